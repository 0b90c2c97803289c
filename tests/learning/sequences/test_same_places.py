"""Pairs that encoders start from: of every two drives, place by place, known by the numbers that stand for frames."""

import numpy as np
import pytest
import torch

from opticornet.datasets.positives import Positives
from opticornet.datasets.traverse import Drive, Split, Traverse
from opticornet.evaluation.scene import Scene
from opticornet.learning.sequences.same_places import RUN, same_places

CPU = torch.device("cpu")


def joined(name: str, *drives: tuple[str, list[float], list[int]]) -> Traverse:
    """Drives of (name, places, length of each sequence), whose descriptors are a number of the drive and the place."""
    rows, bounds, parts = [], [], []
    for drive, places, lengths in drives:
        start = len(rows)
        rows += [(ord(drive[0]), place) for place in places]
        parts.append(Drive(drive, start, len(rows)))
        for length in lengths:
            bounds += [(start, start + length)] * length
            start += length
    values = np.array(rows, np.float32)
    return Traverse(name, values, values[:, 1:].astype(np.float64), "frames", np.array(bounds), joined=tuple(parts))


def scene(reference: Traverse, query: Traverse, radius: float | None = 0.5, table: Positives | None = None) -> Scene:
    return Scene.of("world", Split("train", reference, query, radius, 1.0, table), 1, 0, CPU)


def described(places) -> list[tuple[str, float, str, float]]:
    """Each pair as drive and place of its two frames."""
    sides = torch.cat([places.queries, places.references], dim=1).tolist()
    return [(chr(int(drive)), place, chr(int(other)), other_place) for drive, place, other, other_place in sides]


def test_of_two_drives_each_query_pairs_with_its_nearest_reference_in_its_order():
    reference = joined("r", ("a", [0, 1, 2, 3], [4]))
    query = joined("q", ("x", [3.2, 2.1, 9, 0], [4]))
    places = same_places(scene(reference, query))
    assert places.query_rows.tolist() == [0, 1, 3]
    assert places.reference_rows.tolist() == [3, 2, 0]
    assert places.queries[:, 1].tolist() == pytest.approx([3.2, 2.1, 0])
    assert places.references.tolist() == [[97, 3], [97, 2], [97, 0]]
    assert places.drives.tolist() == [0, 0, 0]


def test_every_two_of_three_drives_pair_place_by_place():
    reference = joined("a+b", ("a", [0, 1, 2], [3]), ("b", [2, 1, 0], [3]))
    places = same_places(scene(reference, joined("x", ("x", [0, 1, 2], [3]))))
    of_a_place = (("x", "a"), ("x", "b"), ("a", "b"))
    assert described(places) == [(one, place, other, place) for place in range(3) for one, other in of_a_place]
    assert places.reference_rows.tolist() == [0, 5, 5, 1, 4, 4, 2, 3, 3]
    assert len(set(places.drives.tolist())) == 3


def test_two_query_drives_pair_with_each_other_and_stretches_of_pairs_are_stretches_of_the_route():
    """The second query drives the other way, and all pairs of a place are neighbours all the same."""
    reference = joined("a", ("a", [0, 1, 2, 3], [4]))
    query = joined("x+y", ("x", [0, 1, 2, 3], [4]), ("y", [3, 2, 1, 0], [4]))
    pairs = described(same_places(scene(reference, query)))
    assert sorted(pairs[3 * 2 : 3 * 3]) == [("x", 2, "a", 2), ("x", 2, "y", 2), ("y", 2, "a", 2)]
    assert [place for _, place, _, _ in pairs] == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]


def test_a_place_that_only_the_second_reference_drive_saw_is_there():
    reference = joined("a+b", ("a", [0, 1], [2]), ("b", [5, 6], [2]))
    places = same_places(scene(reference, joined("x", ("x", [0, 1, 5, 6], [4]))))
    assert described(places) == [("x", 0, "a", 0), ("x", 1, "a", 1), ("x", 5, "b", 5), ("x", 6, "b", 6)]


def test_two_queries_with_the_same_two_references_pair_these_once():
    reference = joined("a+b", ("a", [0, 1], [2]), ("b", [0, 1], [2]))
    places = same_places(scene(reference, joined("x", ("x", [0, 0.25, 1], [3]))))
    assert [pair for pair in described(places) if pair[0] == "a"] == [("a", 0, "b", 0), ("a", 1, "b", 1)]


def test_beside_a_table_its_middle_reference_on_each_drive_counts():
    reference = joined("a+b", ("a", [10, 11, 12], [3]), ("b", [20, 21, 22], [3]))
    query = joined("x+y", ("x", [0, 1], [2]), ("y", [7, 8], [2]))
    table = Positives.of_lists([[0, 1, 2, 4], [5], [1], []])
    assert sorted(described(same_places(scene(reference, query, None, table)))) == [
        ("a", 11, "b", 21),
        ("x", 0, "a", 11),
        ("x", 0, "b", 21),
        ("x", 0, "y", 7),
        ("x", 1, "b", 22),
        ("y", 7, "a", 11),
    ]


def test_a_pair_is_followed_by_the_next_frame_of_the_same_sequence_on_both_drives():
    reference = joined("a+b", ("a", [0, 1, 2, 3, 4], [5]), ("b", [0, 1, 2, 3, 4], [3, 2]))
    places = same_places(scene(reference, joined("x", ("x", [0, 1, 2, 3, 4], [5]))))
    pairs = described(places)
    after = {pairs[pair]: pairs[then] for pair, then in enumerate(places.following) if then >= 0}
    assert after[("x", 0, "a", 0)] == ("x", 1, "a", 1)
    assert after[("x", 1, "b", 1)] == ("x", 2, "b", 2)
    assert ("x", 2, "b", 2) not in after  # a sequence of b ends
    assert ("x", 4, "a", 4) not in after
    assert len(after) == 4 + 3 + 3


def test_of_two_drives_the_next_pair_follows():
    reference, query = (joined(name, (name, list(range(6)), [6])) for name in ("a", "x"))
    assert same_places(scene(reference, query)).following.tolist() == [1, 2, 3, 4, 5, -1]


def test_where_drives_go_different_ways_nothing_follows():
    reference, query = joined("a", ("a", [2, 1, 0], [3])), joined("x", ("x", [0, 1, 2], [3]))
    assert same_places(scene(reference, query)).following.tolist() == [-1, -1, -1]


def test_of_very_many_pairs_evenly_spaced_stretches_are_taken():
    count = 100 * RUN
    reference, query = (joined(name, (name, list(range(count)), [count])) for name in ("a", "x"))
    places = same_places(scene(reference, query), most=4 * RUN + 5)
    starts = np.flatnonzero(np.diff(places.query_rows, prepend=-2) != 1)
    assert places.query_rows[starts].tolist() == [0, 33 * RUN, 66 * RUN, 99 * RUN]
    assert len(places) == 4 * RUN
    assert (places.following >= 0).sum() == 4 * (RUN - 1)
    assert torch.equal(places.queries[:, 1], torch.from_numpy(places.query_rows).float())
