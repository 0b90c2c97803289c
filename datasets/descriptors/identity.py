"""What made frame descriptors, and whether those that meet were made alike.

Descriptors of two encoders may have the same length; only the record that an extraction writes beside them tells them
apart. A run keeps it of what it was trained on, and whatever uses the run compares.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Self

from opticornet.datasets.descriptors.files import read_identity
from opticornet.datasets.traverse import Split, Traverse
from opticornet.utils.errors import UserError

_KINDS = {"encoder": str, "weights": dict, "options": dict, "preprocess": dict, "projection": dict, "standardise": str}


@dataclass(frozen=True)
class DescriptorIdentity:
    """What made a traverse's frame descriptors, as the ``.json`` that an extraction writes beside them says.

    Attributes:
        encoder: name of the image encoder.
        weights: kind ("none", "random", "file" or "hub"), name and sha256 of its weights.
        pool: how it pools; None where it has no choice.
        options: its other options.
        preprocess: image size, normalisation, interpolation.
        projection: dims, whiten and what it was fitted on; None: none.
        standardise: "none", or over what earlier versions standardised descriptors.
        amp: whether it computed in bfloat16, which only rounds and is not compared.
    """

    encoder: str
    weights: dict[str, Any]
    pool: str | None = None
    options: dict[str, Any] = field(default_factory=dict)
    preprocess: dict[str, Any] = field(default_factory=dict)
    projection: dict[str, Any] | None = None
    standardise: str = "none"
    amp: bool = False

    @classmethod
    def of(cls, record: Any) -> Self | None:
        """From a record's JSON or a checkpoint's entry; None where it does not say what encoder and weights it was."""
        if not isinstance(record, dict):
            return None
        known = {f.name: record[f.name] for f in fields(cls) if record.get(f.name) is not None}
        if not {"encoder", "weights"} <= known.keys():
            return None
        return cls(**known) if all(isinstance(known.get(name, kind()), kind) for name, kind in _KINDS.items()) else None

    @classmethod
    def beside(cls, traverse: Traverse) -> Self | None:
        """Of a traverse's descriptors, of several drives those of the first that is known; None where nothing beside
        them says."""
        made = (cls.of(read_identity(Path(part.source))) for part in traverse.parts)
        return next((identity for identity in made if identity is not None), None)

    @property
    def is_random(self) -> bool:
        """Whether the encoder was never trained."""
        return self.weights.get("kind") == "random"

    def difference(self, other: "DescriptorIdentity", name: str, other_name: str) -> str:
        """In words, all in which two differ, or of different encoders only that; empty where they were made alike.

        ``name`` and ``other_name`` are whose descriptors they made.
        """
        if self.encoder != other.encoder:
            return f"encoder {self.encoder} for {name}, {other.encoder} for {other_name}"
        theirs = other._compared()
        return "; ".join(
            f"{key} {_said(value, theirs[key])} for {name}, {_said(theirs[key], value)} for {other_name}"
            for key, value in self._compared().items()
            if value != theirs[key]
        )

    def _compared(self) -> dict[str, Any]:
        """What decides, by name. Files of weights are renamed: where there is a hash, it alone counts."""
        counts = ("sha256",) if self.weights.get("sha256") else ("kind", "name")
        return {
            "weights": {key: self.weights[key] for key in counts if self.weights.get(key)},
            "pool": self.pool,
            "options": self.options,
            "preprocess": self.preprocess,
            "projection": self.projection,
            "standardise": self.standardise,
        }


def _said(value: Any, other: Any) -> str:
    """A value in words; of a table only the entries that another one has otherwise."""
    if not isinstance(value, dict):
        return "none" if value is None else str(value)
    other = other if isinstance(other, dict) else {}
    shown = (f"{key} {value[key]}" for key in value if key not in other or other[key] != value[key])
    return ", ".join(shown) or "none"


@dataclass(frozen=True)
class SplitIdentity:
    """What made the descriptors of a split's two traverses; None of one where nothing says."""

    reference: DescriptorIdentity | None = None
    query: DescriptorIdentity | None = None

    @classmethod
    def of(cls, split: Split) -> Self:
        return cls(DescriptorIdentity.beside(split.reference), DescriptorIdentity.beside(split.query))

    @classmethod
    def restored(cls, saved: Any) -> Self:
        """From :meth:`saved`; nothing is known where ``saved`` is no such thing, as in checkpoints that lack it."""
        sides = saved if isinstance(saved, dict) else {}
        return cls(*(DescriptorIdentity.of(sides.get(side)) for side in ("reference", "query")))

    def saved(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)


@dataclass(frozen=True)
class Comparison:
    """What came out of comparing descriptors that meet.

    Attributes:
        differences: in words; empty where all that is known was made alike.
        unknown: whose descriptors nothing is known of, where something is known of others'.
        known: one of those others, in words; empty where ``unknown`` is.
    """

    differences: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    known: str = ""

    @classmethod
    def of(cls, made: Mapping[str, DescriptorIdentity | None]) -> Self:
        """Compare all with the first that is known; ``made`` has them by whose they are."""
        known = {name: identity for name, identity in made.items() if identity is not None}
        if not known:
            return cls()
        (first_name, first), *others = known.items()
        unknown = tuple(name for name in made if name not in known)
        return cls(
            tuple(found for name, other in others if (found := first.difference(other, first_name, name))),
            unknown,
            f"{first_name}, by {first.encoder}" if unknown else "",
        )

    def refuse_differences(self, insisted: bool) -> None:
        """Unless the user insisted.

        Raises:
            UserError: there are differences.
        """
        if self.differences and not insisted:
            raise UserError(
                f"frame descriptors were made differently: {self.differences[0]}; extract them alike, or give "
                "`other_descriptors` to use them all the same"
            )

    def note(self) -> str:
        """What could not be compared, in a sentence; empty where there is no such."""
        if not self.unknown:
            return ""
        return (
            f"nothing says what made the frame descriptors of {', '.join(self.unknown)}; whether they go with those of "
            f"{self.known}, was not compared"
        )


def of_data(*splits: Split) -> dict[str, DescriptorIdentity | None]:
    """What made the descriptors of splits, by whose they are: of every drive."""
    return {
        f"{drive.name} ({role} of {split.name})": DescriptorIdentity.beside(drive)
        for split in splits
        for role, traverse in (("reference", split.reference), ("query", split.query))
        for drive in traverse.parts
    }


def of_run(run: str, trained_on: SplitIdentity) -> dict[str, DescriptorIdentity | None]:
    """What made the descriptors that a run was trained on, by whose they are."""
    if trained_on.reference == trained_on.query:
        return {f"run {run}": trained_on.reference}
    return {f"run {run} (reference)": trained_on.reference, f"run {run} (query)": trained_on.query}
