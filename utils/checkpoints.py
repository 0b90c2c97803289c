"""Checkpoints: written whole or not at all, read without trusting a pickle."""

import errno
import pickle
import re
import threading
import warnings
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch.nn.modules.module import register_module_parameter_registration_hook

from opticornet.utils.errors import UserError
from opticornet.utils.files import atomic_path

LATEST = "checkpoint.pth.tar"
BEST = "model_best.pth.tar"
Module = TypeVar("Module", bound=torch.nn.Module)


def save_checkpoint(state: dict[str, Any], path: Path) -> None:
    """Write ``state`` (tensors, numbers, strings, lists, dicts) to ``path`` atomically."""
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        try:
            torch.save(state, file)
        except RuntimeError as error:  # how its writer reports that a write fell short
            raise OSError(errno.ENOSPC, str(error)) from error


def load_checkpoint(path: Path, *, mapped: bool = False) -> dict[str, Any]:
    """Read a checkpoint onto the CPU: ours, or seqNet's with its NumPy scalars.

    With ``mapped`` its tensors stay in the file until they are used (a test wants no optimizer's state); a file of
    PyTorch's oldest format is read nonetheless.

    Raises:
        UserError: no such file, not a checkpoint, or one that holds anything but tensors and plain values.
    """
    if not path.is_file():
        raise UserError(f"no checkpoint {path}; train first, or give `resume` another run folder")
    try:
        state = load_plain(path, mapped=mapped and zipfile.is_zipfile(path))
    except pickle.UnpicklingError as error:
        name = refused_name(error)
        what = f" ({name})" if name else ""
        raise UserError(f"{path} is refused: it holds more than tensors and plain values{what}") from error
    except Exception as error:  # its readers raise whatever damaged bytes lead to
        reason = re.split(r"\.\s|\n", str(error).strip())[0] or type(error).__name__
        raise UserError(f"{path} is not a readable checkpoint, or it was cut short: {reason}") from error
    if not isinstance(state, dict) or "state_dict" not in state:
        raise UserError(f"{path} is not a checkpoint of a sequence encoder: it has no state_dict")
    return state


def load_plain(path: Path, *, mapped: bool = False) -> Any:
    """What ``torch.save`` wrote, onto the CPU: tensors, plain values, NumPy numbers and arrays of them, nothing else.

    Raises:
        Exception: whatever torch raises; :func:`refused_name` gives the name of what it refused to load.
    """
    with torch.serialization.safe_globals(_numpy_globals()), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Detected pickle protocol")  # of a file that torch did not save
        return torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)


def refused_name(error: Exception) -> str:
    """The class or function in a file that torch refused to load; empty where that was not why it failed."""
    named = re.search(r"GLOBAL (\S+)", str(error))
    return named[1] if named else ""


def _numpy_globals() -> list[Any]:
    """What pickled NumPy numbers and arrays of numbers are made of, under its old and new module names."""
    numbers = [np.dtype(kind) for kind in ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "?")]
    functions = (_rebuilder(np.float64(0)), _rebuilder(np.empty(0)))
    return [
        *functions,
        *((function, f"numpy.core.multiarray.{function.__name__}") for function in functions),
        np.ndarray,
        np.dtype,
        *{type(dtype) for dtype in numbers},
    ]


def _rebuilder(value: np.generic | np.ndarray) -> Callable[..., Any]:
    """The function that a pickle of ``value`` calls, which is private to NumPy."""
    reduced = value.__reduce__()
    assert isinstance(reduced, tuple)
    return reduced[0]


def fit_state(module: torch.nn.Module, state: dict[str, torch.Tensor], source: str, *, assign: bool = False) -> None:
    """Load ``state`` into ``module`` strictly; with ``assign`` its tensors become the module's, without a copy.

    Raises:
        UserError: naming the first missing, unexpected and mismatching keys.
    """
    own = module.state_dict()
    missing = sorted(own.keys() - state.keys())
    unexpected = sorted(state.keys() - own.keys())
    mismatching = [
        f"{key} is {tuple(state[key].shape)}, wanted {tuple(own[key].shape)}"
        for key in own
        if key in state and own[key].shape != state[key].shape
    ]
    if missing or unexpected or mismatching:
        faults = [
            f"{len(keys)} {what} (first: {keys[0]})"
            for what, keys in (("missing", missing), ("unexpected", unexpected), ("mismatching", mismatching))
            if keys
        ]
        raise UserError(
            f"{source} does not fit this encoder: {', '.join(faults)}; check `pooling`, its options and, for "
            "delta-lstm, `sequence_length`, or train anew what an earlier version trained"
        )
    module.load_state_dict({key: value.to(own[key].dtype) for key, value in state.items()}, assign=assign)


def build_empty(build: Callable[[], Module]) -> Module:
    """What ``build`` returns, with parameters that take neither memory nor time: those of a file become the module's.

    They are on the meta device. All other tensors are real, as a state dict does not bring each of them (it leaves out
    non-persistent buffers and plain attributes). A module that works with its parameters' values while it is built is
    built with real ones.
    """
    try:
        with _parameters_on_meta():
            module = build()
    except (RuntimeError, TypeError):  # what reading a value that is not there ends in; a true fault is raised again
        return build()
    return build() if any(buffer.is_meta for buffer in module.buffers()) else module


@contextmanager
def _parameters_on_meta() -> Iterator[None]:
    """Parameters that this thread gives to modules lose their values before they are initialised."""
    thread = threading.get_ident()

    def drop_value(_: torch.nn.Module, __: str, parameter: torch.nn.Parameter) -> torch.nn.Parameter | None:
        if parameter.is_meta or threading.get_ident() != thread:
            return None  # as it is: also one that two modules share
        return torch.nn.Parameter(parameter.to("meta"), requires_grad=parameter.requires_grad)

    handle = register_module_parameter_registration_hook(drop_value)  # type: ignore[arg-type]  # it may return one
    try:
        yield
    finally:
        handle.remove()
