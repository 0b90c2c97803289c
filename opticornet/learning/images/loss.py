"""The loss of an image encoder: a weighted sum of terms."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from opticornet.learning.images.terms import LOSS_TERMS
from opticornet.learning.images.terms.base import LabelledImages, LossTerm, LossTermOptions
from opticornet.models.images.trainable import Described
from opticornet.utils.errors import UserError
from opticornet.utils.registry import entry

OptionsOf = Callable[[str], LossTermOptions]
LOSS, SHARE = "loss_", "share_"  # before the name of a term


@dataclass(frozen=True)
class WeightedTerm:
    """A term of the sum.

    Attributes:
        name: in ``LOSS_TERMS``.
        weight: that it is multiplied by.
        term: works it out.
    """

    name: str
    weight: float
    term: LossTerm

    @classmethod
    def of(cls, written: str, options_of: OptionsOf) -> Self:
        """From ``NAME`` or ``NAME:WEIGHT``; the weight is as published where none is written.

        Raises:
            UserError: there is no such term, or what follows its name is no weight above 0.
        """
        name, colon, number = written.partition(":")
        options = options_of(name)
        weight = _number(number) if colon else options.weight
        if not (math.isfinite(weight) and weight > 0):
            raise UserError(f"`loss_terms` {written}: wanted a weight above 0 behind the colon, for example {name}:0.5")
        return cls(name, weight, options.build())

    def __str__(self) -> str:
        return f"{self.name}:{self.weight:g}"


def by_default(name: str) -> LossTermOptions:
    """A term's options, all at their defaults.

    Raises:
        UserError: there is no such term.
    """
    options: LossTermOptions = entry(LOSS_TERMS, name)()
    return options


def weighted_terms(written: Sequence[str], options_of: OptionsOf = by_default) -> tuple[WeightedTerm, ...]:
    """The terms that are written, each once; ``options_of`` gives a term's options by its name.

    Raises:
        UserError: as :meth:`WeightedTerm.of`, or one comes twice.
    """
    terms = tuple(WeightedTerm.of(one, options_of) for one in written)
    names = [term.name for term in terms]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise UserError(f"`loss_terms` {' '.join(written)}: {twice} comes twice; give it once")
    return terms


def check_terms(terms: Sequence[WeightedTerm], method: str, described: Described, has_teacher: bool) -> None:
    """Raise :class:`UserError` where a term needs what the encoder ``method`` does not give, or a teacher."""
    for one in terms:
        if not isinstance(described, one.term.takes):
            others = ", ".join(str(other) for other in terms if other is not one) or "ms"
            raise UserError(
                f"`loss_terms` {one.name} needs {one.term.takes.__name__} of an encoder, and {method} gives "
                f"{type(described).__name__}; leave it out: {others}"
            )
        if one.term.needs_targets and not has_teacher:
            raise UserError(f"`loss_terms` {one.name} needs a teacher: name its run with `teacher`, or leave it out")
    if has_teacher and not any(one.term.needs_targets for one in terms):
        raise UserError("`teacher` changes nothing here: no term of the loss needs targets; add distillation to them")


def total(terms: Sequence[WeightedTerm], images: LabelledImages) -> tuple[Tensor, dict[str, Tensor]]:
    """The weighted sum, a scalar, and by name the value of each term and its share of the sum of all magnitudes."""
    values = {one.name: one.term(images) for one in terms}
    parts = {one.name: one.weight * values[one.name] for one in terms}
    magnitude = torch.stack([part.detach().abs() for part in parts.values()]).sum().clamp_min(1e-12)
    told = {LOSS + name: value.detach() for name, value in values.items()}
    if len(terms) > 1:
        told |= {SHARE + name: part.detach().abs() / magnitude for name, part in parts.items()}
    return torch.stack(list(parts.values())).sum(), told


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
