import csv
import shutil

import numpy as np
import pytest

from opticornet.datasets.places.opening import check_place_images, open_places
from opticornet.datasets.prepare.sources.gsv_cities import CITIES, GsvCities
from opticornet.datasets.prepare.writing import write_prepared
from opticornet.learning.images.sampling import PlaceSampler
from opticornet.utils.errors import UserError


def table(root, city):
    with open(root / "Dataframes" / f"{city}.csv") as file:
        return list(csv.DictReader(file))


def rewrite(root, city, change):
    rows = change(table(root, city))
    with open(root / "Dataframes" / f"{city}.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def refused(root, **options) -> str:
    with pytest.raises(UserError) as caught:
        GsvCities(**options).read(root)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def opened(root, folder, **options):
    write_prepared(folder, "gsv", GsvCities(**options).read(root))
    return open_places(folder)


def test_cities_come_in_the_order_of_the_originals_and_places_are_numbered_by_it(gsv_cities, tmp_path):
    places = opened(gsv_cities, tmp_path / "data")
    check_place_images(places)
    assert (len(places), len(places.labels)) == (72, 15)
    assert places.group_names == ("Boston", "Medellin", "London")
    assert [CITIES.index(name) for name in places.group_names] == [12, 14, 19]
    assert places.labels[:6] == ("1200003", "1200004", "1200005", "1200006", "1200007", "1400003")
    assert places.labels[-1] == "1900008"
    assert places.group.tolist() == [0] * 5 + [1] * 4 + [2] * 6


def test_ranks_go_by_year_month_and_latitude_falling(gsv_cities, tmp_path):
    def change(rows):
        when = [("2010", "3"), ("2014", "1"), ("2013", "12"), ("2014", "2")]
        return [row | {"year": year, "month": month} for row, (year, month) in zip(rows, when * 9, strict=False)]

    rewrite(gsv_cities, "Boston", change)
    for row in table(gsv_cities, "Boston"):
        name = "{city_id}_{place_id:0>7}_{year}_{month:0>2}_{northdeg:0>3}_{lat}_{lon}_{panoid}.jpg".format(**row)
        (gsv_cities / "Images" / "Boston" / name).touch()
    places = opened(gsv_cities, tmp_path / "data", cities=("Boston",))
    of_first = np.flatnonzero(places.place == 0)
    assert len(of_first) == 4
    assert places.rank[of_first].tolist() == [3, 1, 2, 0]


def test_of_equal_months_the_northernmost_is_first(gsv_cities, tmp_path):
    def change(rows):
        lats = np.round(42 + np.array([0.1, 0.3, 0.2, 0.4]), 6)
        return [
            row | {"year": "2012", "month": "5", "lat": repr(float(lat))} for row, lat in zip(rows, lats, strict=False)
        ]

    rewrite(gsv_cities, "Boston", change)
    for row in table(gsv_cities, "Boston"):
        name = "{city_id}_{place_id:0>7}_{year}_{month:0>2}_{northdeg:0>3}_{lat}_{lon}_{panoid}.jpg".format(**row)
        (gsv_cities / "Images" / "Boston" / name).touch()
    assert opened(gsv_cities, tmp_path / "data", cities=("Boston",)).rank.tolist() == [3, 1, 2, 0]


def test_numbers_in_names_are_as_python_writes_them(gsv_cities):
    def change(rows):
        return [rows[0] | {"lat": "42.50", "lon": "1e-05", "northdeg": "7", "place_id": "12"}]

    rewrite(gsv_cities, "Boston", change)
    row = table(gsv_cities, "Boston")[0]
    name = f"Boston_0000012_{row['year']}_{int(row['month']):02d}_007_42.5_1e-05_{row['panoid']}.jpg"
    (gsv_cities / "Images" / "Boston" / name).touch()
    (places,) = GsvCities(cities=("Boston",)).read(gsv_cities).places
    assert places.images == (str(gsv_cities / "Images" / "Boston" / name),)
    assert places.columns["time"] == [f"{row['year']}-{int(row['month']):02d}"]


def test_only_some_cities_and_those_of_ones_own_behind(gsv_cities, tmp_path):
    rewrite(gsv_cities, "Medellin", lambda rows: [row | {"city_id": "Aachen"} for row in rows])
    (gsv_cities / "Dataframes" / "Medellin.csv").rename(gsv_cities / "Dataframes" / "Aachen.csv")
    (gsv_cities / "Images" / "Medellin").rename(gsv_cities / "Images" / "Aachen")
    for image in (gsv_cities / "Images" / "Aachen").iterdir():
        image.rename(image.with_name(image.name.replace("Medellin", "Aachen")))
    places = opened(gsv_cities, tmp_path / "data", cities=("Aachen", "London"))
    assert places.group_names == ("London", "Aachen")
    assert places.labels[-1] == "2300006"


def test_a_city_without_images_is_left_out_with_a_note(gsv_cities):
    shutil.rmtree(gsv_cities / "Images" / "London")
    prepared = GsvCities().read(gsv_cities)
    assert set(prepared.places[0].columns["group"]) == {"Boston", "Medellin"}
    assert prepared.notes == (f"{gsv_cities}: London left out: no images there (Images/<city>)",)
    assert "no images of London (Images/London); unpack them" in refused(gsv_cities, cities=("London",))


def test_rows_that_repeat_one_are_left_out_and_counted(gsv_cities):
    rewrite(gsv_cities, "London", lambda rows: [*rows, rows[4], rows[2]])
    prepared = GsvCities().read(gsv_cities)
    assert len(prepared.places[0]) == 72
    assert prepared.notes == (
        f"{gsv_cities / 'Dataframes' / 'London.csv'}: 2 rows left out that repeat an earlier one",
    )


def test_a_held_out_city_is_validated_on(gsv_cities, tmp_path):
    prepared = GsvCities(val_groups=("London",)).read(gsv_cities)
    write_prepared(tmp_path / "data", "gsv", prepared)
    assert [len(traverse) for traverse in prepared.traverses] == [16, 13]
    assert open_places(tmp_path / "data").group_names == ("Boston", "Medellin")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: [rows[0] | {"place_id": "-1"}], "line 2: place_id is '-1'; wanted a whole number from 0"),
        (lambda rows: [rows[0] | {"year": "x"}], "line 2: year is 'x'; wanted a finite number"),
        (lambda rows: [rows[0] | {"month": "1.5"}], "line 2: month is '1.5'; wanted a whole number"),
        (lambda rows: [rows[0] | {"lon": "-180.5"}], "line 2: no such latitude, longitude: ["),
        (lambda rows: [rows[0] | {"city_id": "Oslo"}], "a row of city_id Oslo; wanted Boston"),
        (
            lambda rows: [{"place_id": "3"}],
            "no column year, month, northdeg, city_id, lat, lon, panoid; it has place_id",
        ),
    ],
)
def test_a_table_of_other_values(gsv_cities, change, message):
    rewrite(gsv_cities, "Boston", change)
    found = refused(gsv_cities)
    assert message in found
    assert "Boston.csv" in found


def test_images_that_are_not_there(gsv_cities):
    gone = sorted((gsv_cities / "Images" / "London").iterdir())[:2]
    for image in gone:
        image.unlink()
    message = refused(gsv_cities)
    assert f"2 of 29 rows match no image in Images/London, first {gone[0].name}; unpack all of it" in message


def test_places_of_two_cities_that_would_be_one_are_refused(gsv_cities):
    rewrite(
        gsv_cities, "Boston", lambda rows: [row | {"place_id": str(int(row["place_id"]) + 700_000)} for row in rows]
    )
    message = refused(gsv_cities)
    assert "labels clash: place 700003 of Boston and place 3 of London would both be 1900003; take one" in message


def test_folders_that_are_no_gsv_cities(tmp_path, gsv_cities):
    assert "no Dataframes/<city>.csv; give the folder that holds Dataframes and Images" in refused(tmp_path)
    assert "no city 'Rome', Dataframes/Rome.csv; it has Boston, Medellin, London" in refused(
        gsv_cities, cities=("Rome",)
    )
    shutil.rmtree(gsv_cities / "Images")
    assert "no images of Boston" in refused(gsv_cities)


def test_the_published_order_is_that_of_shuffled_tables(gsv_cities, tmp_path):
    """As the originals: each city's rows shuffled by NumPy's stream, places of four images, as they first come."""
    places = opened(gsv_cities, tmp_path / "data")
    state, expected = np.random.RandomState(0), []
    for city in ("Boston", "Medellin", "London"):
        ids = [int(row["place_id"]) + 100_000 * CITIES.index(city) for row in table(gsv_cities, city)]
        expected += list(dict.fromkeys(ids[row] for row in state.permutation(len(ids)) if ids.count(ids[row]) >= 4))
    sampler = PlaceSampler(places, 60, 4, order="published", choice="first", seed=0)
    (batch,) = sampler.batches(0)
    assert [int(places.labels[place]) for place in batch.places[::4]] == expected
    assert len(expected) == 14
    assert (places.rank[batch.rows].reshape(-1, 4) == [0, 1, 2, 3]).all()
    assert "1 of 15 places have fewer than 4 images and are left out, with 3 of 72 images" in sampler.notes[0]
