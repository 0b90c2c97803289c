"""The published windows, ground truth and exclusion, of the golden tree of files, beside the project's own rules."""

from functools import cache

import numpy as np
import pytest
import torch

from opticornet.datasets.folder.reading import load_folder
from opticornet.datasets.positives import Positives
from opticornet.datasets.prepare.sources.utm_sequences import UtmSequences
from opticornet.datasets.prepare.writing import write_prepared
from opticornet.datasets.traverse import Split, Traverse
from opticornet.datasets.windows import Windows
from opticornet.evaluation.protocols.base import OURS, Protocol
from opticornet.evaluation.protocols.sta import StaProtocol, starts_of_windows
from opticornet.evaluation.scene import Scene, WindowSettings
from opticornet.learning.sequences.mining import Miner, Searched
from opticornet.learning.sequences.places import too_near
from opticornet.utils.errors import UserError

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def golden(shared) -> dict[str, np.ndarray]:
    return dict(np.load(shared / "golden" / "sta" / "sta_sequence_index.npz", allow_pickle=False))


@pytest.fixture(scope="module")
def opened(golden, tmp_path_factory):
    """opened(*cities): the training split of the golden tree, prepared as a dataset folder."""
    top = tmp_path_factory.mktemp("sta")
    for role, key in (("database", "db_files"), ("queries", "q_files")):
        for name in golden[key].tolist():
            path = top / "root" / "train" / role / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()

    @cache
    def of(*cities: str) -> Split:
        folder = top / "-".join(("set", *cities))
        write_prepared(folder, "golden", UtmSequences(cities=cities).read(top / "root"))
        return load_folder(folder).splits["train"]

    return of


def scene_of(split: Split, length: int, filter_length: int = 0, protocol: Protocol = OURS) -> Scene:
    settings = WindowSettings(protocol=protocol)
    return Scene.of("golden", split, length, filter_length, CPU, frozenset(), settings)


def paths(side: Windows) -> list[str]:
    """The files of each window, as it is read, as the golden file joins them."""
    names = np.array(side.traverse.names)[side.starts[:, None] + np.arange(side.length)]
    return ["|".join(row) for row in (names[:, ::-1] if side.backwards else names)]


@pytest.mark.parametrize(
    ("case", "length", "protocol", "cities"),
    [
        ("s5", 5, StaProtocol(), ()),
        ("s3", 3, StaProtocol(), ()),
        ("s4cut", 4, StaProtocol(cut_last_frame=True), ()),
        ("s5rev_sf", 5, StaProtocol(reverse_frames=True), ("sf",)),
    ],
)
def test_windows_are_the_published_ones(golden, opened, case, length, protocol, cities):
    scene = scene_of(opened(*cities), length, protocol=protocol)
    assert paths(scene.reference) == golden[f"{case}_db_seqs"].tolist()
    assert paths(scene.query) == golden[f"{case}_q_seqs"].tolist()


def test_windows_of_an_even_length_begin_one_frame_later(golden, opened):
    reference = scene_of(opened(), 4, protocol=StaProtocol()).reference
    assert paths(reference) == golden["s4_build_db_seqs"].tolist()
    assert np.array_equal(reference.starts[:, None] + np.arange(4), golden["s4_build_idx"])


@pytest.mark.parametrize(("case", "length"), [("s5", 5), ("s3", 3)])
def test_positives_and_what_training_excludes_are_the_published_ones(golden, opened, case, length):
    scene = scene_of(opened(), length, protocol=StaProtocol())
    positives, found = scene.positives(), np.flatnonzero(scene.has_positive())
    assert found.tolist() == golden[f"{case}_qIdx"].tolist()
    counts = (len(scene.reference), len(found), len(scene.query) - len(found), len(scene.reference) + len(scene.query))
    assert list(counts) == golden[f"{case}_counts"].tolist()
    for made, key in ((positives, "pIdx"), (too_near(scene, 25.0), "nonNegIdx")):
        assert made.of(found).rows.tolist() == golden[f"{case}_{key}_flat"].tolist()
        assert made.of(found).offsets.tolist() == golden[f"{case}_{key}_off"].tolist()


def test_a_place_may_be_its_own_negative_by_the_published_exclusion_and_never_by_ours(opened):
    published, ours = (scene_of(opened(), 5, 5, protocol) for protocol in (StaProtocol(), OURS))
    seventh = np.flatnonzero(published.has_positive())[7]
    assert 10 in published.positives()[seventh]
    assert 10 not in too_near(published, 25.0)[seventh]
    excluded = too_near(ours, 25.0)
    assert all(set(ours.positives()[query]) <= set(excluded[query]) for query in range(len(ours.query)))


def test_the_published_triplets_are_mined(golden, opened):
    """The nearest positive, and of the references drawn the three nearest that are not excluded, all by the distances
    of vectors of any length, which are the order of inner products of unit vectors of three more numbers."""
    scene = scene_of(opened(), 5, protocol=StaProtocol())
    queries = np.flatnonzero(scene.has_positive())[golden["mine_sampled_queries"]]
    features, count = golden["mine_table"].astype(np.float64), len(scene.reference)
    zero, squares = np.zeros((len(features), 1)), (features**2).sum(1, keepdims=True) / 2
    references = np.hstack([features, squares, zero, zero])[:count]
    asked = np.hstack([features, zero - 1, zero, zero])[count + golden["mine_sampled_queries"]]
    size = max(np.linalg.norm(rows, axis=1).max() for rows in (references, asked))
    for rows, column in ((references, -2), (asked, -1)):
        rows[:, column] = np.sqrt(size**2 - (rows**2).sum(1))
    drawn = torch.zeros(count, dtype=torch.bool)
    drawn[torch.from_numpy(golden["mine_sampled_db"])] = True
    miner = Miner(scene.positives(), too_near(scene, 25.0), 3, torch.inf, squared=True)
    vectors = (torch.from_numpy(rows / size).float() for rows in (asked, references))
    mined = miner.mine(torch.from_numpy(queries), *vectors, Searched(torch.arange(count), drawn))
    triplets = torch.cat([mined.positives[:, None], mined.negatives], 1)
    assert triplets.tolist() == golden["mine_triplets"][:, 1:].tolist()


@pytest.mark.parametrize(("length", "protocol"), [(5, StaProtocol()), (4, StaProtocol(cut_last_frame=True))])
def test_the_filter_alone_gives_the_published_windows(opened, length, protocol):
    published = scene_of(opened(), length, protocol=protocol)
    ours = scene_of(opened(), length, length + protocol.cut_last_frame)
    for side, other in ((published.reference, ours.reference), (published.query, ours.query)):
        assert np.array_equal(side.starts, other.starts)
        assert np.array_equal(side.rows, other.rows)


def test_by_our_rule_a_reference_of_three_frames_is_at_its_middle_one_and_positions_keep_their_digits(opened):
    published, ours = (scene_of(opened(), 3, 3, protocol) for protocol in (StaProtocol(), OURS))
    assert np.array_equal(published.reference.rows, ours.reference.rows + 1)
    assert np.array_equal(published.query.rows, ours.query.rows)
    northings = ours.reference.positions[:, 1]
    assert northings[0] == 6169999.64
    assert published.query.positions[0, 1] % 0.5 == 0


def test_windows_hold_no_gap_no_unusable_frame_and_are_of_scored_ones():
    bounds = np.array([[0, 7]] * 7 + [[7, 12]] * 5)
    assert starts_of_windows(np.array([[0, 12]] * 12), bounds, 5).tolist() == [0, 1, 2, 7]
    usable, scored = np.ones(12, bool), np.ones(12, bool)
    usable[1], scored[4] = False, False
    drive = Traverse("day", None, np.arange(12.0)[:, None], "frames", bounds, usable=usable, scored=scored)
    windows = StaProtocol().windows(drive, 5, "query")
    assert windows.rows.tolist() == [9]
    assert windows.unusable == 2


def drive(count: int) -> Traverse:
    return Traverse("day", None, np.arange(float(count))[:, None], "frames", np.tile([0, count], (count, 1)))


@pytest.mark.parametrize(
    ("length", "protocol", "message"),
    [
        (3, StaProtocol(cut_last_frame=True), "`cut_last_frame` is for even lengths, and `sequence_length` is 3"),
        (2, StaProtocol(), "`sequence_length` 2: `protocol` sta takes a reference's third frame"),
        (7, StaProtocol(), "`sequence_length` 7 leaves no window of day, whose longest sequence has 6 frames"),
    ],
)
def test_lengths_that_the_published_code_cannot_have(length, protocol, message):
    with pytest.raises(UserError, match=message):
        protocol.windows(drive(6), length, "reference")


def test_a_table_of_positives_is_refused():
    split = Split("test", drive(6), drive(6), None, positives=Positives.of_lists([[0]] * 6))
    with pytest.raises(UserError, match="split test has a table of positives, and `protocol` sta judges by a radius"):
        StaProtocol().placed(split)
