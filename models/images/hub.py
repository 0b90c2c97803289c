"""Any model that a repository offers through ``torch.hub``, written ``hub:<repository>:<entry>``.

The repository is ``owner/name``, ``owner/name:branch`` or a local folder with a ``hubconf.py``; arguments of the entry
follow as in a web address: ``hub:gmberton/cosplace:get_trained_model?backbone=ResNet50&fc_output_dim=2048``.
Loading it runs the repository's code: name only repositories you trust.
"""

import hashlib
from pathlib import Path
from urllib.parse import parse_qsl

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.images.base import ImageEncoder, Preprocess
from utils.errors import UserError

PREFIX = "hub:"


class HubEncoder(ImageEncoder):
    """A hub model as an image encoder: (B, 3, H, W), ImageNet-normalised -> (B, ``out_dims``), unit rows.

    Of a model that returns several things, the first counts.
    """

    def __init__(self, network: nn.Module, name: str, image_size: tuple[int, int] | None) -> None:
        super().__init__()
        self.network = network.eval()
        self.preprocess = Preprocess(image_size)
        self.out_dims = self._probe(name, image_size or (224, 224))

    def forward(self, images: Tensor) -> Tensor:
        return functional.normalize(_first(self.network(images)).float(), dim=1)

    @torch.inference_mode()
    def _probe(self, name: str, size: tuple[int, int]) -> int:
        wanted = "wanted a descriptor (B, D) for images (B, 3, H, W)"
        try:
            out = _first(self.network(torch.zeros(1, 3, *size)))
        except (RuntimeError, ValueError, AssertionError, TypeError) as error:
            raise UserError(f"{name} fails on an image of {size[0]}x{size[1]} pixels ({_line(error)}): {wanted}; "
                            "try another --imageSize") from error
        if not isinstance(out, Tensor) or out.ndim != 2 or len(out) != 1:
            found = f"shape {tuple(out.shape)}" if isinstance(out, Tensor) else type(out).__name__
            raise UserError(f"{name} returns {found}: {wanted}")
        return out.shape[1]


def _first(output: object) -> object:
    return output[0] if isinstance(output, (tuple, list)) and output else output


def _line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def build_hub(name: str, image_size: tuple[int, int] | None = (322, 322)) -> HubEncoder:
    """Load ``hub:<repository>:<entry>[?argument=value&...]`` with the weights its entry brings.

    Images are resized to 322x322, bilinear, antialiased (MegaLoc's and SALAD's evaluation); give the size another
    model was trained for.

    Raises:
        UserError: the name is malformed, the repository or entry cannot be loaded, or it is no image encoder.
    """
    address, _, query = name.removeprefix(PREFIX).partition("?")
    repository, _, entry = address.rpartition(":")
    if not repository or not entry:
        raise UserError(f"{name}: wanted hub:<owner/name or folder>:<entry>, "
                        "for example hub:gmberton/megaloc:get_trained_model")
    arguments = {key: _value(text) for key, text in parse_qsl(query)}
    local = Path(repository).is_dir()
    if local and not Path(repository, "hubconf.py").is_file():
        raise UserError(f"{repository} holds no hubconf.py: wanted the folder of a repository made for torch.hub")
    if not local and not 1 <= repository.count("/") <= 1:
        raise UserError(f"{repository} is neither an existing folder nor owner/name of a repository")
    try:
        network = torch.hub.load(repository, entry, source="local" if local else "github", trust_repo=True,
                                 verbose=False, **arguments)
    except Exception as error:  # the repository's own code may raise anything
        raise UserError(f"cannot load {name}: {type(error).__name__}: {_line(error)}") from error
    if not isinstance(network, nn.Module):
        raise UserError(f"{name} gives a {type(network).__name__}: wanted a torch.nn.Module")
    return HubEncoder(network, name, image_size)


def _value(text: str) -> str | int | float | bool:
    if text in ("True", "False"):
        return text == "True"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def state_sha256(model: nn.Module) -> str:
    """SHA-256 (hex) over the names and bytes of all tensors of a model, in order of their names."""
    digest = hashlib.sha256()
    for key, tensor in sorted(model.state_dict().items()):
        digest.update(key.encode())
        digest.update(tensor.detach().cpu().contiguous().view(torch.uint8).numpy() if tensor.ndim
                      else repr(tensor.item()).encode())
    return digest.hexdigest()
