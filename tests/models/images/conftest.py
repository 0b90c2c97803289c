"""Weights and inputs of the golden fixtures, made from their formulas."""

import numpy as np
import pytest
import torch


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
