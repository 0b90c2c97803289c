"""The tensors of a checkpoint, from which sizes are read."""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeVar

from torch import Tensor, nn

from opticornet.models.images.base import ImageEncoder, find_state_dict, load_state, read_state_dict
from opticornet.utils.checkpoints import build_empty
from opticornet.utils.errors import UserError

Network = TypeVar("Network", bound=nn.Module)


@dataclass(frozen=True)
class Weights:
    """The tensors of a checkpoint by name, and what messages call it.

    Attributes:
        method: what it should be the weights of.
        tensors: by name.
        source: the file, or "the state dict".
    """

    method: str
    tensors: Mapping[str, Tensor]
    source: str

    @classmethod
    def of(cls, method: str, given: str | Path | Mapping[str, Any]) -> Self:
        """From a file, or from what one holds, whose tensors are copied.

        Raises:
            UserError: neither, or there is no state dict.
        """
        if isinstance(given, Mapping):
            found = find_state_dict(given, "the state dict")
            return cls(method, {key: value.detach().cpu().clone() for key, value in found.items()}, "the state dict")
        if not isinstance(given, str | os.PathLike):
            raise UserError(f"`file_or_state_dict` {type(given).__name__}: wanted a path or a state dict")
        return cls(method, read_state_dict(given), str(given))

    def shape(self, key: str, dimensions: int) -> tuple[int, ...]:
        """Shape of a tensor that has so many dimensions.

        Raises:
            UserError: there is no such tensor.
        """
        if key not in self.tensors:
            raise self.misfit_error(f"it has no {key}")
        shape = tuple(self.tensors[key].shape)
        if len(shape) != dimensions:
            raise self.misfit_error(f"{key} is {shape}, wanted {dimensions} dimensions")
        return shape

    def count(self, numbered: str) -> int:
        """How many different values the group of the pattern ``numbered`` takes at the beginning of names."""
        return len({match[1] for key in self.tensors if (match := re.match(numbered, key))})

    def has(self, prefix: str) -> bool:
        """Whether a name begins with ``prefix``."""
        return any(key.startswith(prefix) for key in self.tensors)

    def without_prefix(self, prefix: str) -> "Weights":
        """The same weights without ``prefix`` before their names; unchanged unless all names have it."""
        if not all(key.startswith(prefix) for key in self.tensors):
            return self
        tensors = {key.removeprefix(prefix): value for key, value in self.tensors.items()}
        return Weights(self.method, tensors, self.source)

    def fill(self, build: Callable[[], Network]) -> Network:
        """The network that ``build`` returns, with these weights.

        Raises:
            UserError: a tensor is missing, left over, or of another shape.
        """
        network = build_empty(build)
        if isinstance(network, ImageEncoder):
            network.load(self.tensors, self.source)
        else:
            load_state(network, self.tensors, self.source)
        return network

    def misfit_error(self, reason: str) -> UserError:
        """The error that says why these are not the method's weights."""
        return UserError(f"{self.source} does not fit {self.method}: {reason}")


def check_positive_integer(name: str, value: object) -> None:
    """Raise :class:`UserError` where the option ``name`` is none."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise UserError(f"`{name}` {value!r}: wanted a whole number of at least 1")
