"""Any model that a repository offers through ``torch.hub``, written ``hub:<repository>:<entry>``.

The repository is ``owner/name``, ``owner/name:branch`` or a local folder with a ``hubconf.py``; arguments of the entry
follow as in a web address: ``hub:gmberton/cosplace:get_trained_model?backbone=ResNet50&fc_output_dim=2048``.
Loading it runs the repository's code: name only repositories you trust. Its packages may have any names, those of other
repositories in the same process too: each repository imports in private.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl

import torch
from torch import Tensor, nn
from torch.nn import functional

from opticornet.models.images.base import ImageEncoder, Preprocess, ResizingOptions
from opticornet.utils.errors import UserError
from opticornet.utils.private_imports import PrivateImports
from opticornet.utils.text import number_or_text

PREFIX = "hub:"


class HubEncoder(ImageEncoder):
    """A hub model as an image encoder: (B, 3, H, W), ImageNet-normalised -> (B, ``out_dims``), unit rows.

    Of a model that returns several things, the first counts. A model in which the images of a batch attend to one
    another gets them one at a time.

    Args:
        network: what the entry gave.
        name: for messages.
        image_size: (height, width) in pixels that images are resized to; None keeps theirs.
        imports: of the repository's code, which may import more when it runs.
    """

    def __init__(
        self, network: nn.Module, name: str, image_size: tuple[int, int] | None, imports: PrivateImports
    ) -> None:
        super().__init__()
        self.network = network.eval()
        self.name = name
        self.imports = imports
        self.preprocess = Preprocess(image_size)
        with torch.inference_mode():
            pair = torch.rand(2, 3, *(image_size or (224, 224)))
            try:
                alone = torch.cat([self._describe(image[None]) for image in pair])
                together = self._describe(pair)
            except ValueError as error:
                raise UserError(f"{error}; try another `image_size`") from error
        self.out_dims = alone.shape[1]
        self.one_by_one = not torch.allclose(alone, together, rtol=0, atol=1e-5)

    def forward(self, images: Tensor) -> Tensor:
        if self.one_by_one:
            return torch.cat([self._describe(image[None]) for image in images])
        return self._describe(images)

    def _describe(self, images: Tensor) -> Tensor:
        """Descriptors of some images: (B, 3, H, W) -> (B, D), unit rows.

        Raises:
            ValueError: the repository's code fails, or does not return descriptors.
        """
        wanted = "wanted a descriptor (B, D) for images (B, 3, H, W)"
        size = "x".join(map(str, images.shape[-2:]))
        try:
            with self.imports.active():
                out = _first_output(self.network(images))
        except torch.OutOfMemoryError:
            raise
        except Exception as error:  # the repository's own code may raise anything
            raise ValueError(
                f"{self.name} fails on an image of {size} pixels ({_first_line(error)}): {wanted}"
            ) from error
        if (
            not isinstance(out, Tensor)
            or out.ndim != 2
            or len(out) != len(images)
            or out.shape[1] != getattr(self, "out_dims", out.shape[1])
        ):
            found = f"shape {tuple(out.shape)}" if isinstance(out, Tensor) else type(out).__name__
            raise ValueError(f"{self.name} returns {found} for {len(images)} images of {size} pixels: {wanted}")
        return functional.normalize(out.float(), dim=1)


def _first_output(output: object) -> object:
    return output[0] if isinstance(output, (tuple, list)) and output else output


def _first_line(error: Exception) -> str:
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
        raise UserError(
            f"{name}: wanted hub:<owner/name or folder>:<entry>, for example hub:gmberton/megaloc:get_trained_model"
        )
    arguments = {key: _argument_value(text) for key, text in parse_qsl(query)}
    local = Path(repository).is_dir()
    if local and not Path(repository, "hubconf.py").is_file():
        raise UserError(f"{repository} holds no hubconf.py: wanted the folder of a repository made for torch.hub")
    if not local and not 1 <= repository.count("/") <= 1:
        raise UserError(f"{repository} is neither an existing folder nor owner/name of a repository")
    try:
        folder = Path(repository) if local else _downloaded(repository)
        imports = PrivateImports(folder, also=(Path(torch.hub.get_dir()),))
        with imports.active():
            network = torch.hub.load(str(imports.folder), entry, source="local", **arguments)
    except Exception as error:  # the repository's own code may raise anything
        raise UserError(
            f"cannot load {name}: {type(error).__name__}: {_first_line(error)}; without a network, give a local "
            "folder of the repository, and its weights where it looks for them"
        ) from error
    if not isinstance(network, nn.Module):
        raise UserError(f"{name} gives a {type(network).__name__}: wanted a torch.nn.Module")
    return HubEncoder(network, name, image_size, imports)


def _downloaded(repository: str) -> Path:
    """The folder of a repository on GitHub in PyTorch's hub folder, where PyTorch puts it if it is not there yet.

    PyTorch has no public function for this step, and which packages a repository brings must be known before its code
    is run.
    """
    return Path(torch.hub._get_cache_or_reload(repository, False, True, verbose=False))


def _argument_value(text: str) -> str | int | float | bool:
    if text in ("True", "False"):
        return text == "True"
    return number_or_text(text)


def state_sha256(model: nn.Module) -> str:
    """SHA-256 (hex) over the names and bytes of all tensors of a model, in order of their names."""
    digest = hashlib.sha256()
    for key, tensor in sorted(model.state_dict().items()):
        digest.update(key.encode())
        digest.update(
            tensor.detach().cpu().contiguous().view(torch.uint8).numpy()
            if tensor.ndim
            else repr(tensor.item()).encode()
        )
    return digest.hexdigest()


@dataclass(frozen=True, kw_only=True)
class HubOptions(ResizingOptions):
    """``hub:<repository>:<entry>``: the name itself says what to build, see :func:`build_hub`."""

    def build(self) -> ImageEncoder:
        raise NotImplementedError("a hub model is built from its address")
