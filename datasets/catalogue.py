"""``dataset``: a built-in name or a dataset folder, opened and checked.

Adding a built-in dataset is one function that gives a :class:`Dataset` and one line in :data:`BUILT_IN`.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np

from opticornet.datasets import synthetic
from opticornet.datasets.descriptors.local_files import LocalSource
from opticornet.datasets.folder.reading import load_folder
from opticornet.datasets.folder.toml import TOML_NAME, FolderEntry, read_toml
from opticornet.datasets.images.cropping import Crop
from opticornet.datasets.seqnet import layout as seqnet_layout
from opticornet.datasets.split_names import USUAL_SPLITS, test_split_names
from opticornet.datasets.traverse import Dataset, Split
from opticornet.utils.errors import UserError

SourceValue = str | Path | tuple[str, ...] | tuple[int, ...] | LocalSource


@dataclass(frozen=True)
class Source:
    """Where the built-in datasets find their files, and what datasets leave to the user.

    Attributes:
        data_path: the folder that holds ``descData/<desc_type>/``.
        desc_type: which descriptors, a folder name.
        struct_path: seqNet's ground truth (struct files, split indices, sequence bounds).
        msls_train_city, msls_val_city: the MSLS cities of the train split and of the val split.
        msls_test_city: those of the test split, or of several ``test-CITY``; none: that of val.
        crop: left, top, right and bottom of the part of images that is taken, in pixels; empty: all.
        local: where local features are, and how many per frame; None: they are not opened.
    """

    data_path: Path = Path("data")
    desc_type: str = "netvlad-pytorch"
    struct_path: Path = Path("structFiles")
    msls_train_city: str = "melbourne"
    msls_val_city: str = "austin"
    msls_test_city: tuple[str, ...] = ()
    crop: tuple[int, ...] = ()
    local: LocalSource | None = None

    @classmethod
    def of(cls, **values: SourceValue) -> "Source":
        """From its attributes as options give them: paths may be text.

        Raises:
            TypeError: it has no such attribute.
        """
        if unknown := values.keys() - {attribute.name for attribute in fields(cls)}:
            raise TypeError(f"a source of datasets has no {', '.join(sorted(unknown))}")
        default = cls()
        return cls(
            data_path=Path(str(values.get("data_path", default.data_path))),
            desc_type=str(values.get("desc_type", default.desc_type)),
            struct_path=Path(str(values.get("struct_path", default.struct_path))),
            msls_train_city=str(values.get("msls_train_city", default.msls_train_city)),
            msls_val_city=str(values.get("msls_val_city", default.msls_val_city)),
            msls_test_city=tuple(values.get("msls_test_city", default.msls_test_city)),  # type: ignore[arg-type]
            crop=tuple(values.get("crop", default.crop)),  # type: ignore[arg-type]
            local=values.get("local", default.local),  # type: ignore[arg-type]
        )

    def msls_cities(self) -> dict[str, str]:
        """The MSLS city of each split."""
        tested = test_split_names(self.msls_test_city or (self.msls_val_city,))
        return {"train": self.msls_train_city, "val": self.msls_val_city} | tested


def _synthetic(
    name: str, parameters: synthetic.SyntheticParameters
) -> Callable[[Source, tuple[str, ...] | None], Dataset]:
    """Always the same world: a ``seed`` of training that also changed the data could not be compared."""

    def load(source: Source, split_names: tuple[str, ...] | None) -> Dataset:
        splits = synthetic.simulate(parameters=parameters, name=name).splits
        return Dataset(name, {split: splits[split] for split in split_names or splits})

    return load


def _descriptors(source: Source) -> Path:
    return source.data_path / "descData" / source.desc_type


def _nordland(reference: str, query: str) -> Callable[[Source, tuple[str, ...] | None], Dataset]:
    def load(source: Source, split_names: tuple[str, ...] | None) -> Dataset:
        return seqnet_layout.nordland(reference, query, _descriptors(source), source.struct_path, split_names)

    return load


def _oxford(name: str) -> Callable[[Source, tuple[str, ...] | None], Dataset]:
    def load(source: Source, split_names: tuple[str, ...] | None) -> Dataset:
        return seqnet_layout.oxford(name, _descriptors(source), source.struct_path, split_names)

    return load


def _msls(source: Source, split_names: tuple[str, ...] | None) -> Dataset:
    return seqnet_layout.msls(source.msls_cities(), _descriptors(source), source.struct_path, split_names)


BUILT_IN: dict[str, Callable[[Source, tuple[str, ...] | None], Dataset]] = {
    "synthetic": _synthetic("synthetic", synthetic.SyntheticParameters()),
    "synthetic-20k": _synthetic("synthetic-20k", synthetic.MANY_PLACES),
    "nordland-sw": _nordland("summer", "winter"),
    "nordland-sf": _nordland("spring", "fall"),
    "oxford-v1.0": _oxford("oxford-v1.0"),
    "oxford-pnv": _oxford("oxford-pnv"),
    "msls": _msls,
}


def load_dataset(name: str, *, splits: tuple[str, ...] | None = None, **source: SourceValue) -> Dataset:
    """Open a dataset by its built-in name or its folder; only the files of the wanted splits are touched.

    Args:
        name: a key of :data:`BUILT_IN`, or the path of a folder with a ``dataset.toml``.
        splits: names of splits; default every split the dataset has.
        source: attributes of :class:`Source`, which has the defaults.

    Raises:
        UserError: unknown name, or anything wrong with the files, in one line. NaN in descriptors is not looked for
            here (that would read them): see :func:`opticornet.datasets.descriptors.arrays.check_finite`. Nor is whether
            image files are there: see :func:`opticornet.datasets.images.frames.check_image_files`.
    """
    where = Source.of(**source)
    if isinstance(splits, str):
        raise UserError(f"`splits` {splits!r}: wanted a tuple of names, ({splits!r},)")
    if name in BUILT_IN:
        there = split_names(name, **source)
        if absent := [split for split in splits or () if split not in there]:
            raise UserError(f"dataset {name}: no split {absent[0]!r}; it has {', '.join(there)}")
        dataset = BUILT_IN[name](where, splits)
    else:
        _require_folder(name)
        dataset = load_folder(name, splits, where.local)
    for split in dataset.splits.values():
        check_split(dataset.name, split)
    return dataset if not where.crop else _cropped(dataset, Crop.of_option(where.crop))


def _cropped(dataset: Dataset, crop: Crop | None) -> Dataset:
    splits = {
        name: replace(split, reference=replace(split.reference, crop=crop), query=replace(split.query, crop=crop))
        for name, split in dataset.splits.items()
    }
    return replace(dataset, splits=splits)


def _require_folder(name: str) -> None:
    if not Path(name).is_dir():
        raise UserError(
            f"dataset {name!r} is neither built in ({', '.join(BUILT_IN)}) nor a folder with a {TOML_NAME}; "
            "check the name or the path"
        )


def split_names(name: str, **source: SourceValue) -> tuple[str, ...]:
    """The splits a dataset has; nothing but its ``dataset.toml`` is opened. Arguments: :func:`load_dataset`."""
    if name == "msls":
        return tuple(Source.of(**source).msls_cities())
    if name in BUILT_IN:
        return USUAL_SPLITS
    entry = folder_entry(name)
    entry.need_traverses(Path(name))
    return tuple(entry.splits)


def folder_entry(name: str) -> FolderEntry:
    """What the ``dataset.toml`` of a dataset folder says.

    Raises:
        UserError: no such folder, or anything wrong with the file.
    """
    _require_folder(name)
    return read_toml(Path(name))


def struct_files(name: str, splits: tuple[str, ...], source: Source) -> tuple[Path, ...]:
    """The struct files a built-in dataset takes its geometry from; none for the others."""
    if name.startswith("oxford-") and name in BUILT_IN:
        paths = [seqnet_layout.oxford_struct(name, source.struct_path, split) for split in splits]
    elif name == "msls":
        cities = source.msls_cities()
        paths = [seqnet_layout.msls_struct(cities[split], source.struct_path) for split in splits]
    else:
        paths = []
    return tuple(dict.fromkeys(paths))


def check_split(dataset_name: str, split: Split) -> None:
    """What every split must satisfy, whichever reader made it.

    Raises:
        UserError: different D, units or position dimensions; an empty traverse, or one of neither descriptors nor
            images; a radius that is not finite and positive, or a negative radius below the positive one; malformed
            bounds.
    """
    where = f"dataset {dataset_name}, split {split.name}"
    reference, query = split.reference, split.query
    for traverse in (reference, query):
        count = len(traverse)
        if not count:
            raise UserError(f"{where}: traverse {traverse.name} has no frames; check its rows")
        if traverse.descriptors is None and traverse.images is None:
            raise UserError(f"{where}: traverse {traverse.name} has neither descriptors nor images; give one of them")
        for what, frames in (("descriptors", traverse.descriptors), ("images", traverse.images)):
            if frames is not None and (len(frames) != count or traverse.bounds.shape != (count, 2)):
                raise UserError(f"{where}: traverse {traverse.name} has {len(frames)} {what} but other position rows")
        rows = np.arange(count)
        low, high = traverse.bounds.T
        if (low < 0).any() or (low > rows).any() or (rows >= high).any() or (high > count).any():
            raise UserError(f"{where}: sequence bounds of traverse {traverse.name} do not hold their own frames")
    described = reference.descriptors is not None and query.descriptors is not None
    if described and reference.dims != query.dims:
        raise UserError(
            f"{where}: {reference.name} has {reference.dims}-D descriptors and {query.name} {query.dims}-D; "
            "extract both with the same method"
        )
    if reference.units != query.units or reference.positions.shape[1] != query.positions.shape[1]:
        raise UserError(f"{where}: positions of {reference.name} and {query.name} are of different kinds")
    if split.positive_radius is not None and split.positives is not None:
        raise UserError(f"{where}: a positive radius and a table of positives; wanted one of the two, or neither")
    for what, radius in (("positive", split.positive_radius), ("negative", split.negative_radius)):
        if radius is not None and not (math.isfinite(radius) and radius > 0):
            raise UserError(f"{where}: {what} radius {radius:g} {split.units}; wanted a number above 0")
    if split.positive_radius and split.negative_radius and split.negative_radius < split.positive_radius:
        raise UserError(
            f"{where}: negative radius {split.negative_radius:g} lies below the positive radius "
            f"{split.positive_radius:g}; negatives lie beyond positives"
        )
