"""Several drives as one traverse: their rows, one drive after the other, none of them copied."""

import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from opticornet.datasets.labels import first_repeated
from opticornet.datasets.traverse import Drive, Traverse
from opticornet.utils.errors import UserError
from opticornet.utils.mapped import RowMatrix, release


class JoinedRows:
    """Rows of several matrices, one after the other, read when asked for: a ``RowMatrix``.

    A slice that lies within one of them is that one's own slice, which of a memory map is a view. Otherwise rows of the
    smaller matrices are filled up with zeros.

    Args:
        parts: (N_i, ...) each, of as many dimensions.
    """

    def __init__(self, parts: Sequence[RowMatrix]) -> None:
        self._parts = tuple(parts)
        self._ends = np.cumsum([len(part) for part in parts])
        self.shape: tuple[int, ...] = (
            int(self._ends[-1]),
            *map(max, zip(*(part.shape[1:] for part in parts), strict=True)),
        )
        self.dtype: np.dtype[Any] = np.result_type(*(part.dtype for part in parts))
        self.ndim = len(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: int | slice | np.ndarray, /) -> Any:
        if isinstance(key, slice):
            return self._slice(range(len(self))[key])
        rows = np.asarray(key)
        if rows.size and not -len(self) <= rows.min() <= rows.max() < len(self):
            raise IndexError(f"rows {rows.min()} to {rows.max()} of {len(self)}")
        rows = np.where(rows < 0, rows + len(self), rows)
        return self._read(np.atleast_1d(rows).ravel()).reshape(*rows.shape, *self.shape[1:])

    def _slice(self, rows: range) -> Any:
        """What a slice holds: unread where its rows are neighbours."""
        if rows.step != 1 and len(rows) > 1:
            return self._read(np.array(rows))
        low, high = (rows[0], rows[-1] + 1) if rows else (0, 0)
        starts = self._ends - [len(part) for part in self._parts]
        held = [
            part[max(low - start, 0) : high - start]
            for part, start, end in zip(self._parts, starts.tolist(), self._ends.tolist(), strict=True)
            if start < high and end > low
        ]
        if len(held) < 2:
            return held[0] if held else self._parts[0][:0]
        return JoinedRows(held)

    def __array__(self, dtype: Any = None, /, *, copy: bool | None = None) -> np.ndarray:
        if copy is False:
            raise ValueError("rows of several matrices cannot become an array without a copy")
        return self._read(np.arange(len(self)), dtype)

    def _read(self, rows: np.ndarray, dtype: Any = None) -> np.ndarray:
        """(M, ...) rows in any order, also repeated."""
        values = np.zeros((len(rows), *self.shape[1:]), dtype or self.dtype)
        numbers = np.searchsorted(self._ends, rows, "right")
        for number, part in enumerate(self._parts):
            if len(places := np.flatnonzero(numbers == number)):
                own = rows[places] - (self._ends[number] - len(part))
                wanted: tuple[Any, ...] = (places, *map(slice, part.shape[1:]))
                values[wanted] = part[own]
                release(part)
        return values


def join_drives(drives: Sequence[Traverse], where: str) -> Traverse:
    """Drives as one traverse, one after the other; one drive as it is.

    What all have is joined; so are frame names, times and flags that some have: other frames are then called by their
    images or rows, have no time (NaN), and are scored and usable. Frames that have fewer local features than those of
    other drives get zero rows, which nothing matches.

    Args:
        drives: with positions in one unit; bounds of their own.
        where: whose drives they are, for messages.

    Raises:
        UserError: a drive is named twice; positions, descriptors or local features differ; some have descriptors
            only and others images only.
    """
    if len(drives) == 1:
        return drives[0]
    _check_alike(drives, where)
    starts = np.cumsum([0, *map(len, drives)])[:-1]
    described = all(drive.descriptors is not None for drive in drives)
    return Traverse(
        name=" + ".join(drive.name for drive in drives),
        descriptors=JoinedRows([drive.need_descriptors() for drive in drives]) if described else None,
        positions=np.concatenate([drive.positions for drive in drives]),
        units=drives[0].units,
        bounds=np.concatenate([drive.bounds + start for drive, start in zip(drives, starts, strict=True)]),
        names=_joined_names(drives),
        timestamps=_where_any(drives, lambda drive: drive.timestamps, np.nan),
        images=_of_all(
            drives, lambda drive: drive.images, lambda all_of: tuple(path for one in all_of for path in one)
        ),
        source=", ".join(drive.source for drive in drives),
        local_features=_of_all(drives, lambda drive: drive.local_features, JoinedRows),
        lat_lon=_of_all(drives, lambda drive: drive.lat_lon, np.concatenate),
        images_source=", ".join(drive.images_source for drive in drives),
        scored=_where_any(drives, lambda drive: drive.scored, True),
        usable=_where_any(drives, lambda drive: drive.usable, True),
        filled=_where_any(drives, lambda drive: drive.filled, False),
        joined=tuple(
            Drive(
                name=drive.name,
                start=int(start),
                stop=int(start) + len(drive),
                source=drive.source,
                images_source=drive.images_source,
                undescribed=drive.undescribed,
                drive_images=drive.drive_images or drive.images,
                first_row=drive.first_row,
            )
            for drive, start in zip(drives, starts, strict=True)
        ),
    )


def joined_rows(drives: Sequence[Traverse], cuts: Sequence[tuple[int, int]]) -> np.ndarray:
    """(M,) int64: the rows of half-open cuts of some whole drives, counted over all of them one after the other."""
    starts = np.cumsum([0, *map(len, drives)])[:-1]
    return np.concatenate([start + np.arange(*cut) for start, cut in zip(starts, cuts, strict=True)])


def frame_labels(drives: Sequence[Traverse]) -> tuple[str, ...] | int:
    """What a table may call the frames of some whole drives: their names, behind "DRIVE/" where several drives have the
    same name; the number of frames where none has names, which are called by their joined rows then."""
    names = _joined_names(drives)
    if names is None:
        return sum(map(len, drives))
    if first_repeated(names) is None:
        return names
    owners = (drive.name for drive in drives for _ in range(len(drive)))
    return tuple(f"{owner}/{name}" for owner, name in zip(owners, names, strict=True))


def _check_alike(drives: Sequence[Traverse], where: str) -> None:
    """Raise :class:`UserError` where drives cannot be one traverse."""
    first, names = drives[0], [drive.name for drive in drives]
    if (twice := first_repeated(names)) is not None:
        raise UserError(f"{where}: drive {twice} is named twice; name each drive once")
    for drive in drives[1:]:
        both = f"{where}: {first.name} and {drive.name}"
        if drive.units != first.units or drive.positions.shape[1] != first.positions.shape[1]:
            raise UserError(f"{both} have positions of different kinds; give all drives the same")
    described = [drive for drive in drives if drive.descriptors is not None]
    for drive in described[1:]:
        if drive.dims != described[0].dims:
            raise UserError(
                f"{where}: {described[0].name} has {described[0].dims}-D descriptors and {drive.name} {drive.dims}-D; "
                "extract both with the same method"
            )
    local = [(drive.name, drive.local_features.shape[2]) for drive in drives if drive.local_features is not None]
    for name, channels in local[1:]:
        if channels != local[0][1]:
            raise UserError(
                f"{where}: {local[0][0]} has local features of {local[0][1]} dimensions and {name} of {channels}; "
                "extract both with the same method"
            )
    without = [drive for drive in drives if drive.descriptors is None]
    if without and (bare := next((drive for drive in described if drive.images is None), None)) is not None:
        raise UserError(
            f"{where}: {without[0].name} has images only and {bare.name} descriptors only; give all drives descriptors "
            "or all of them images"
        )


def _of_all(drives: Sequence[Traverse], get: Callable[[Traverse], Any], join: Callable[[list[Any]], Any]) -> Any:
    """What all drives have, joined; None where one has not."""
    values = [get(drive) for drive in drives]
    return None if any(value is None for value in values) else join(values)


def _where_any(drives: Sequence[Traverse], get: Callable[[Traverse], np.ndarray | None], other: Any) -> Any:
    """(N,) what drives have, ``other`` where one has nothing; None where none has."""
    values = [get(drive) for drive in drives]
    if all(value is None for value in values):
        return None
    return np.concatenate(
        [np.full(len(drive), other) if value is None else value for drive, value in zip(drives, values, strict=True)]
    )


def _joined_names(drives: Sequence[Traverse]) -> tuple[str, ...] | None:
    if all(drive.names is None for drive in drives):
        return None
    return tuple(name for drive in drives for name in drive.names or _other_names(drive))


def _other_names(drive: Traverse) -> list[str]:
    """What frames without names are called."""
    if drive.images is not None:
        return list(map(os.path.basename, drive.images))
    return [str(row) for row in drive.drive_rows]
