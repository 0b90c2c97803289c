"""GSV-Cities (Ali-bey et al., Neurocomputing 2022), as shipped::

<root>/Dataframes/<city>.csv     place_id, year, month, northdeg, city_id, lat, lon, panoid
<root>/Images/<city_id>/<city_id>_<place_id>_<year>_<month>_<northdeg>_<lat>_<lon>_<panoid>.jpg
"""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from opticornet.datasets.columns import Columns, read_columns
from opticornet.datasets.prepare.image_folder import absolute
from opticornet.datasets.prepare.labelled import PlaceSource, SourceImages
from opticornet.datasets.prepare.prepared import Prepared
from opticornet.utils.errors import UserError
from opticornet.utils.options import option
from opticornet.utils.text import counted

# In the order in which FoL, SciceVPR and the dataset's own loader take them.
CITIES = (
    *("Bangkok", "BuenosAires", "LosAngeles", "MexicoCity", "OSL", "Rome", "Barcelona", "Chicago", "Madrid", "Miami"),
    *("Phoenix", "TRT", "Boston", "Lisbon", "Medellin", "Minneapolis", "PRG", "WashingtonDC", "Brussels", "London"),
    *("Melbourne", "Osaka", "PRS"),
)
OFFSET = 100_000  # between the numbers of places of one city and the next
NUMBERS = ("place_id", "year", "month", "northdeg")


@dataclass(frozen=True, kw_only=True)
class GsvCities(PlaceSource):
    """``gsv-cities``: GSV-Cities, images of places in up to 23 cities over several years."""

    cities: tuple[str, ...] = option("--cities", (), "take these cities only; default: all that are there")

    def read(self, root: Path) -> Prepared:
        """The cities that are there, each a group, in the order of the originals (:data:`CITIES`), others behind; rows
        in the order of their tables.

        A place is named by its number in its city, plus :data:`OFFSET` times the number of the city, from 0 and of all
        23. Ranks are by year, month and latitude, falling, as FoL takes the first four.

        Args:
            cities: none: all whose table and images are there.

        Raises:
            UserError: no city, a row without its image, places of two cities that would have one number.
        """
        notes = list[str]()
        tables = {city: _rows(root, city, notes) for city in self._cities(root, notes)}
        numbers = _numbers(root, tables)
        images = [_images(root, table, number) for table, number in zip(tables.values(), numbers, strict=True)]
        return self.prepared(_joined(str(root), images), notes)

    def _cities(self, root: Path, notes: list[str]) -> list[str]:
        """Those to take, in order."""
        there = {path.stem for path in (root / "Dataframes").glob("*.csv")}
        order = {city: number for number, city in enumerate((*CITIES, *sorted(there - set(CITIES))))}
        if missing := [city for city in self.cities if city not in there]:
            known = ", ".join(sorted(there, key=order.__getitem__)) or "no table in Dataframes"
            raise UserError(f"{root}: no city {missing[0]!r}, Dataframes/{missing[0]}.csv; it has {known}")
        if not there:
            raise UserError(f"{root}: no Dataframes/<city>.csv; give the folder that holds Dataframes and Images")
        chosen = sorted(set(self.cities) or there, key=order.__getitem__)
        without = [city for city in chosen if not (root / "Images" / city).is_dir()]
        if without and (self.cities or without == chosen):
            raise UserError(f"{root}: no images of {without[0]} (Images/{without[0]}); unpack them")
        if without:
            notes.append(f"{root}: {', '.join(without)} left out: no images there (Images/<city>)")
        return [city for city in chosen if city not in without]


def _rows(root: Path, city: str, notes: list[str]) -> Columns:
    """The rows of a city's table, each once."""
    table = read_columns(root / "Dataframes" / f"{city}.csv", (*NUMBERS, "city_id", "lat", "lon", "panoid"))
    if other := next((name for name in table["city_id"] if name != city), None):
        raise UserError(f"{table.path}: a row of city_id {other}; wanted {city}, as the table is called")
    first: dict[tuple[str, ...], int] = {}
    for row, cells in enumerate(zip(*table.cells.values(), strict=True)):
        first.setdefault(cells, row)
    if repeated := len(table) - len(first):
        notes.append(f"{table.path}: {counted(repeated, 'row')} left out that repeat an earlier one")
    return table.take(np.fromiter(first.values(), np.int64)) if repeated else table


def _numbers(root: Path, tables: dict[str, Columns]) -> list[np.ndarray]:
    """(N,) number of each row's place in all cities, of each table.

    Raises:
        UserError: two cities share one.
    """
    order = (*CITIES, *sorted(set(tables) - set(CITIES)))
    numbers = [_whole(table, "place_id") + OFFSET * order.index(city) for city, table in tables.items()]
    city_of: dict[int, str] = {}
    for city, of_city in zip(tables, numbers, strict=True):
        for number in np.unique(of_city).tolist():
            if (other := city_of.setdefault(number, city)) != city:
                ids = [number - OFFSET * order.index(name) for name in (other, city)]
                raise UserError(
                    f"{root}: labels clash: place {ids[0]} of {other} and place {ids[1]} of {city} would both be "
                    f"{number}; take one of the cities by `cities`, or number its places below {OFFSET}"
                )
    return numbers


def _images(root: Path, table: Columns, numbers: np.ndarray) -> SourceImages:
    """The images of one city.

    Raises:
        UserError: some are not there.
    """
    place, year, month, degrees = (_whole(table, name) for name in NUMBERS)
    city, (lat, lon) = table["city_id"][0], table.positions().T
    numbers_of = np.stack([place, year, month, degrees], axis=1).tolist()
    names = [
        f"{city}_{p:07d}_{y:04d}_{m:02d}_{d:03d}_{north!r}_{east!r}_{key}.jpg"
        for (p, y, m, d), north, east, key in zip(numbers_of, lat.tolist(), lon.tolist(), table["panoid"], strict=True)
    ]
    there = set(os.listdir(root / "Images" / city))
    if missing := [name for name in names if name not in there]:
        raise UserError(
            f"{table.path}: {len(missing)} of {len(names)} rows match no image in Images/{city}, first {missing[0]}; "
            "unpack all of it, or take other cities by `cities`"
        )
    return SourceImages(
        where=str(table.path),
        images=absolute(root / "Images" / city, names),
        names=tuple(names),
        place=numbers.astype(str),
        group=np.full(len(names), city),
        columns={
            "rank": _ranks(place, year, month, lat).tolist(),
            "lat": lat.tolist(),
            "lon": lon.tolist(),
            "heading": degrees.tolist(),
            "time": [f"{y:04d}-{m:02d}" for y, m in zip(year.tolist(), month.tolist(), strict=True)],
        },
    )


def _ranks(place: np.ndarray, year: np.ndarray, month: np.ndarray, lat: np.ndarray) -> np.ndarray:
    """(N,) of each image in its place: the latest first, of one month the northernmost."""
    order = np.lexsort((-lat, -month, -year, place))
    counts = np.unique(place, return_counts=True)[1]
    ranks = np.empty(len(place), np.int64)
    ranks[order] = np.arange(len(place)) - np.repeat(np.cumsum(counts) - counts, counts)
    return ranks


def _whole(table: Columns, name: str) -> np.ndarray:
    values = table.numbers(name)
    if (bad := np.flatnonzero((values % 1 != 0) | (values < 0) | (values >= 2**53))).size:
        found = f"{name} is {table[name][bad[0]]!r}"
        raise UserError(f"{table.path}: line {table.lines[bad[0]]}: {found}; wanted a whole number from 0")
    return values.astype(np.int64)


def _joined(where: str, parts: list[SourceImages]) -> SourceImages:
    return SourceImages(
        where=where,
        images=tuple(image for part in parts for image in part.images),
        names=tuple(name for part in parts for name in part.names),
        place=np.concatenate([part.place for part in parts]),
        group=np.concatenate([part.group for part in parts]),
        columns={name: [one for part in parts for one in part.columns[name]] for name in parts[0].columns},
    )
