"""A dataset folder that has labelled places and nothing else, in every step."""

import pytest

from opticornet.cli import main
from opticornet.datasets.places.opening import open_places
from opticornet.datasets.prepare.sources.gsv_cities import GsvCities
from opticornet.datasets.prepare.writing import write_prepared


@pytest.fixture
def places(gsv_cities, tmp_path) -> str:
    write_prepared(tmp_path / "places", "gsv", GsvCities().read(gsv_cities))
    return str(tmp_path / "places")


def test_check_tells_what_is_in_it(places, capsys):
    assert main(["--mode", "check", "--dataset", places]) == 0
    printed = capsys.readouterr().out
    assert "places train: 72 images of 15 places in 3 groups" in printed
    assert "sizes 32 x 24 (16)" in printed


@pytest.mark.parametrize(
    "arguments",
    [
        ["--mode", "test", "--pooling", "single"],
        ["--mode", "extract", "--descType", "efficientnet-lite0"],
        ["--mode", "train", "--pooling", "seqnet"],
    ],
)
def test_steps_that_need_traverses_say_so_in_a_line(places, capsys, tmp_path, monkeypatch, arguments):
    monkeypatch.chdir(tmp_path)
    assert main([*arguments, "--dataset", places]) == 2
    said = capsys.readouterr().err.strip()
    assert said.endswith(
        "has places, which image encoders are trained on, and no traverses, which this needs; add some with splits of "
        "them, or name another dataset"
    )
    assert "\n" not in said


def test_a_table_written_by_prepare_reads_back(places, gsv_cities):
    found, (written,) = open_places(places), GsvCities().read(gsv_cities).places
    assert found.images == written.images
    assert [found.labels[place] for place in found.place] == written.columns["place"]
    assert found.rank.tolist() == written.columns["rank"]
    assert found.positions.shape == (15, 3)
