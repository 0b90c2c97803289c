"""Fixtures every test may use, among them weights and inputs of the golden numbers, made from their formulas."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from opticornet.options.registries import REGISTRIES

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def root() -> Path:
    """The repository's top folder."""
    return ROOT


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data and golden numbers beside the checkout; the test is skipped where there is none."""
    folder = ROOT.parent / "shared"
    if not folder.is_dir():
        pytest.skip("real data and golden numbers (../shared) are not on this machine")
    return folder


@pytest.fixture
def nordland(shared, tmp_path) -> Path:
    """A dataset folder over the real Nordland descriptors, split as their README says."""
    folder = tmp_path / "nordland-1k"
    folder.mkdir()
    for season in ("summer", "winter"):
        (folder / f"{season}.npy").write_bytes((shared / "data" / "nordland-1k" / f"{season}.npy").read_bytes())
    lines = ['name = "nordland-1k"', 'units = "frames"']
    lines += [f'[traverses.{season}]\ndescriptors = "{season}.npy"' for season in ("summer", "winter")]
    for split, start, stop in (("train", 0, 600), ("val", 620, 780), ("test", 800, 1000)):
        lines += [
            f"[splits.{split}]",
            'reference = "summer"\nquery = "winter"',
            f"reference_rows = [{start}, {stop}]\nquery_rows = [{start}, {stop}]",
            "positive_radius = 1\nnegative_radius = 5",
        ]
    (folder / "dataset.toml").write_text("\n".join(lines))
    return folder


@pytest.fixture
def registries_as_before() -> Iterator[None]:
    """Every registry holds after a test what it held before, whatever plugins it loaded."""
    before = {name: dict(registry) for name, registry in REGISTRIES.items()}
    yield
    for name, entries in before.items():
        REGISTRIES[name].clear()
        REGISTRIES[name].update(entries)


def _by_formula(key: str, shape: tuple[int, ...], seed: int) -> torch.Tensor:
    z = np.random.RandomState(seed).standard_normal(shape)
    last = key.rsplit(".", 1)[-1]
    if last in ("pos_embed", "cls_token", "mask_token"):
        value = 0.5 * z
    elif last == "gamma":
        value = 0.5 + 0.1 * z
    elif last == "p":
        value = 3 + 0.1 * z
    elif len(shape) == 1:
        value = 0.1 * z + (last == "weight")
    else:
        value = z / np.sqrt(np.prod(shape[1:]))
    return torch.from_numpy(value.astype(np.float32))


@pytest.fixture(scope="session")
def fill():
    """fill(model, base): load the formula weights numbered from `base`; returns the model in eval mode."""

    def load(model: torch.nn.Module, base: int) -> torch.nn.Module:
        own = model.state_dict()
        model.load_state_dict(
            {key: _by_formula(key, tuple(own[key].shape), base + number) for number, key in enumerate(sorted(own))}
        )
        return model.eval()

    return load


@pytest.fixture(scope="session")
def formula_state():
    """formula_state(arrays, base): the state dict of the names and shapes that a golden file lists."""

    def make(arrays: dict[str, torch.Tensor | np.ndarray], base: int) -> dict[str, torch.Tensor]:
        layout = sorted(zip(map(str, arrays["keys"]), map(str, arrays["shapes"]), strict=True))
        return {
            key: _by_formula(key, tuple(map(int, shape.split("x"))), base + number)
            for number, (key, shape) in enumerate(layout)
        }

    return make


@pytest.fixture(scope="session")
def normal():
    """normal(seed, *shape): standard normal float32 numbers of the frozen stream."""

    def draw(seed: int, *shape: int) -> torch.Tensor:
        return torch.from_numpy(np.random.RandomState(seed).standard_normal(shape).astype(np.float32))

    return draw


@pytest.fixture(scope="session")
def golden(shared):
    """golden("fol/fol_ot"): the arrays of that file by name, floats and integers as tensors."""

    def load(name: str) -> dict[str, torch.Tensor | np.ndarray]:
        with np.load(shared / "golden" / f"{name}.npz", allow_pickle=False) as file:
            return {
                key: file[key] if file[key].dtype.kind == "U" else torch.from_numpy(file[key]) for key in file.files
            }

    return load


@pytest.fixture(scope="session")
def state_of():
    """state_of(arrays): the state dict a golden file stores under `sd/`."""

    def select(arrays: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return {key.removeprefix("sd/"): value for key, value in arrays.items() if key.startswith("sd/")}

    return select


@pytest.fixture(scope="session")
def layout():
    """layout(model): names and shapes of a model's state dict, as the golden key files write them."""

    def describe(model: torch.nn.Module) -> dict[str, str]:
        return {key: "x".join(map(str, value.shape)) for key, value in model.state_dict().items()}

    return describe
