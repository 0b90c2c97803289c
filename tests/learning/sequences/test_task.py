"""The task of tuples of windows: what it encodes, what a checkpoint holds, what a table of positives means."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from opticornet.datasets.drives import join_drives
from opticornet.datasets.frames import DescriptorFrames
from opticornet.datasets.positives import Positives
from opticornet.datasets.traverse import Split, Traverse
from opticornet.datasets.windows import Windows
from opticornet.evaluation import ground_truth
from opticornet.evaluation.scene import Scene
from opticornet.learning.former import upgraded
from opticornet.learning.losses.base import TupleLoss
from opticornet.learning.losses.max_margin import MaxMarginLoss
from opticornet.learning.losses.quadruplet import QuadrupletLoss
from opticornet.learning.losses.triplet import TripletLoss
from opticornet.learning.sequences.mining import MinedTuples, Miner, Searched
from opticornet.learning.sequences.places import TrainingPlaces
from opticornet.learning.sequences.sides import Side
from opticornet.learning.sequences.task import SequenceSettings, SequenceTask
from opticornet.learning.sequences.tuples import Mining, MiningSettings, TupleBatches
from opticornet.models.sequences.seqnet import SeqNet
from opticornet.utils.checkpoints import load_checkpoint, save_checkpoint

CPU = torch.device("cpu")


def scene(negative_radius: float) -> Scene:
    """20 places 10 m apart, seen twice; a table says that query i shows reference i."""
    rng = np.random.default_rng(0)
    positions, bounds = 10.0 * np.arange(20)[:, None], np.tile([0, 20], (20, 1))
    reference, query = (
        Traverse(name, rng.standard_normal((20, 4)).astype(np.float32), positions, "metres", bounds)
        for name in ("reference", "query")
    )
    table = Positives.of_lists([[row] for row in range(20)])
    return Scene.of("line", Split("train", reference, query, None, negative_radius, table), 3, 0, CPU)


def scene_of(split: Split) -> Scene:
    return Scene.of("line", split, 1, 0, CPU)


def task(negative_radius: float = 2.0, loss: TupleLoss | None = None, **more) -> SequenceTask:
    torch.manual_seed(0)
    settings = SequenceSettings(MiningSettings(**{"batch_size": 32, "n_neg": 10} | more))
    both = scene(negative_radius), scene(negative_radius)
    return SequenceTask("seqnet", SeqNet(4, 2, 3), loss or QuadrupletLoss(0.1, 0.05), *both, settings)


@pytest.mark.parametrize(("radius", "negatives"), [(1.0, [3, 7]), (1.5, [3, 7]), (2.0, [2, 8])])
def test_beside_a_table_the_negative_radius_counts_rows_on_both_sides(radius, negatives):
    one = task(radius)
    excluded = one.places.excluded[5]
    kept = np.setdiff1d(np.arange(20), excluded)
    assert [kept[kept < 5].max(), kept[kept > 5].min()] == negatives


def test_positives_are_looked_for_on_all_reference_drives_and_negatives_keep_off_them_all():
    """Place 5 looks on the second drive as the query sees it; there it is row 14 of the map, on the first row 5."""
    places, frames = np.arange(10.0)[:, None], np.eye(12, dtype=np.float32)
    bounds = np.tile([0, 10], (10, 1))
    strange = frames[:10] + 0.9 * frames[10]
    first = Traverse("first", strange, places, "frames", bounds)
    second = Traverse("second", frames[9::-1], places[::-1], "frames", bounds)
    query = Traverse("query", frames[:10], places, "frames", bounds)
    split = Split("train", join_drives([first, second], "here"), query, 0.5, 1.5)
    encoder = SeqNet(12, 12, 1)
    with torch.no_grad():
        encoder.conv.weight.copy_(torch.eye(12)[:, :, None])
        encoder.conv.bias.zero_()
    places = TrainingPlaces.of(scene_of(split), encoder)
    assert places.positives[5].tolist() == [5, 14]
    assert places.excluded[5].tolist() == [4, 5, 6, 13, 14, 15]
    batches = TupleBatches(encoder, TripletLoss(10.0), places, MiningSettings(32, 4), torch.Generator())
    tuples = batches.mine(torch.arange(10))
    assert tuples.positives.tolist() == list(range(19, 9, -1))
    assert not set(tuples.negatives[5].tolist()) & {4, 5, 6, 13, 14, 15}


def test_beside_a_table_neighbours_end_with_their_drive():
    table = Positives.of_lists([[19], *[[row] for row in range(1, 20)]])
    whole = scene(2.0).split
    reference = join_drives([whole.reference.cut(0, 12), replace(whole.reference.cut(12, 20), name="other")], "here")
    split = replace(whole, reference=reference, positives=table)
    excluded = TrainingPlaces.of(scene_of(split), SeqNet(4, 2, 1)).excluded
    assert excluded[11].tolist() == [9, 10, 11]
    assert excluded[12].tolist() == [12, 13, 14]


def batch() -> MinedTuples:
    return MinedTuples(
        torch.tensor([5]), torch.tensor([5]), torch.tensor([[10, 12, 13]]), torch.ones(1, 3, dtype=torch.bool)
    )


def test_beside_a_table_negatives_are_apart_by_rows_too():
    apart = task(2.0).source.encode_batch(batch()).apart[0]
    assert apart.tolist() == [[False, False, True], [False, False, False], [True, False, False]]


@pytest.mark.parametrize(
    ("options", "most"), [({"batch_size": 3, "n_neg": 2}, (3, 9)), ({"batch_size": 3}, (3, 20)), ({}, (20, 20))]
)
def test_a_batch_holds_anchors_and_for_each_a_positive_and_all_negatives_at_the_most(options, most):
    assert task(**options).source.most_windows() == most


def test_a_batch_is_encoded_as_its_windows_are():
    one = task()
    tuples = MinedTuples(
        torch.tensor([3, 4]), torch.tensor([3, 4]), torch.tensor([[9, 12], [12, 0]]), torch.tensor([[1, 1], [1, 0]]) > 0
    )
    encoded = one.source.encode_batch(tuples)
    query, reference = (one.module(side.gather(torch.arange(20))) for side in (one.places.query, one.places.reference))
    torch.testing.assert_close(encoded.anchors, query[[3, 4]])
    torch.testing.assert_close(encoded.positives, reference[[3, 4]])
    torch.testing.assert_close(encoded.negatives[:, 0], reference[[9, 12]])
    torch.testing.assert_close(encoded.negatives[0, 1], reference[12])
    assert not encoded.negatives[1, 1].any()


def test_tuples_are_encoded_in_the_runs_precision_and_their_loss_is_exact():
    one = task(loss=TripletLoss(0.1))
    precise = []
    one.source.tuple_loss.register_forward_hook(lambda *_: precise.append(not torch.is_autocast_enabled("cpu")))
    exact = one.loss(batch())
    with torch.autocast("cpu", torch.bfloat16):
        mixed = one.loss(batch())
    assert precise == [True, True]
    assert mixed.loss.dtype == mixed.values["positive_distance"].dtype == torch.float32
    assert exact.values["positive_distance"] != mixed.values["positive_distance"]


def test_the_numbers_of_a_step_have_names():
    terms = task().loss(batch())
    assert terms.samples == 1
    assert {name: len(value.flatten()) for name, value in terms.values.items()} == {
        "active": 1,
        "positive_distance": 1,
        "negative_distance": 3,
    }


def test_a_checkpoint_with_nothing_mined_can_be_read_again(tmp_path):
    one = task()
    one.source.mining.tuples = MinedTuples.join([], n_neg=10)
    save_checkpoint(one.state() | {"state_dict": {}}, tmp_path / "state")
    assert len(Mining.of(load_checkpoint(tmp_path / "state")["mining"]).tuples) == 0


def test_a_task_on_the_cpu_leaves_gpus_alone(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_rng_state", lambda device: pytest.fail(f"{device} was asked"))
    task()


def long_side(count: int = 700) -> Side:
    """Two sequences of windows of 3 frames, whose numbers tell them apart."""
    bounds = np.repeat([[0, count // 2], [count // 2, count]], count // 2, axis=0)
    rows = np.random.default_rng(1).standard_normal((count, 4)).astype(np.float32)
    traverse = Traverse("drive", rows, np.arange(float(count))[:, None], "frames", bounds)
    return Side(Windows.of(traverse, 3, 0), DescriptorFrames(rows, CPU))


def test_some_windows_are_encoded_as_among_all():
    side, encoder = long_side(), task().module
    rows = torch.randperm(len(side), generator=torch.Generator().manual_seed(4))
    together = side.encode(encoder, amp=False)
    assert torch.equal(side.encode_rows(encoder, rows, amp=False), together[rows])
    for some in (rows[:1], rows[:50], rows[100:600]):
        torch.testing.assert_close(side.encode_rows(encoder, some, amp=False), together[some], rtol=0, atol=1e-6)


def test_of_a_few_windows_no_frames_are_read_but_theirs():
    side, asked = long_side(), []
    rows = side.frames.rows
    side.frames.rows = lambda start, stop: asked.append(stop - start) or rows(start, stop)
    side.encode_rows(task().module, torch.tensor([600, 3, 290]), amp=False)
    assert asked == [3, 3, 3]


@pytest.mark.parametrize(("rate", "parts"), [(0, 1), (6, 4)])
def test_an_epoch_encodes_all_references_each_part_and_each_anchor_once(monkeypatch, rate, parts):
    one = task(loss=QuadrupletLoss(2.0, 1.0), cache_refresh_rate=rate)
    encoded = {"query": [], "reference": []}
    for name, windows in encoded.items():
        side = getattr(one.places, name)
        rows = side.frames.rows
        monkeypatch.setattr(side.frames, "rows", lambda *ends, rows=rows, name=name: sides.append(name) or rows(*ends))
        assert not windows
    sides: list[str] = []
    encode_traverse = type(one.module).encode_traverse

    def counting(encoder, frames, starts, length):
        encoded[sides[-1]].append(len(starts))
        return encode_traverse(encoder, frames, starts, length)

    monkeypatch.setattr(type(one.module), "encode_traverse", counting)
    assert list(one.batches(0, 0))
    assert sum(encoded["reference"]) == parts * 20
    assert sum(encoded["query"]) == 20


def test_a_sample_gives_the_tuples_that_it_gave_where_all_references_were_encoded(monkeypatch):
    more = {"n_neg": 3, "n_neg_sample": 6, "cache_refresh_rate": 4, "batch_size": 2}
    encoded = []
    encode_rows = Side.encode_rows
    monkeypatch.setattr(
        Side,
        "encode_rows",
        lambda side, encoder, rows, amp: encoded.append((side, rows)) or encode_rows(side, encoder, rows, amp),
    )
    few = task(loss=QuadrupletLoss(2.0, 1.0), **more)
    found = [*few.batches(0, 0), *few.batches(1, 0)]
    counts = [len(rows) for side, rows in encoded if side is few.places.reference]
    assert min(counts) >= 6
    assert max(counts) < 20

    searched = Miner.searched

    def all_encoded(miner, queries, count, generator, remembered):
        drawn = searched(miner, queries, count, generator, remembered)
        everyone = torch.zeros(count, dtype=torch.bool)
        everyone[drawn.rows[drawn.drawn]] = True
        return Searched(torch.arange(count), everyone)

    monkeypatch.setattr(Miner, "searched", all_encoded)
    all_of_them = task(loss=QuadrupletLoss(2.0, 1.0), **more)
    expected = [*all_of_them.batches(0, 0), *all_of_them.batches(1, 0)]
    assert len(found) > 10
    starts = few.places.reference.starts  # two at either end are of one window, and may change places
    for one, other in zip(found, expected, strict=True):
        assert torch.equal(one.anchors, other.anchors)
        assert torch.equal(one.positives, other.positives)
        assert torch.equal(one.mask, other.mask)
        assert torch.equal(starts[one.negatives[one.mask]], starts[other.negatives[other.mask]])


def test_an_epoch_may_be_some_anchors_others_each_time():
    one = task(loss=MaxMarginLoss(0.1), queries_per_epoch=7, cache_refresh_rate=3, batch_size=2)
    epochs = [torch.cat([batch.anchors for batch in one.batches(epoch, 0)]).tolist() for epoch in range(2)]
    assert [len(set(epoch)) for epoch in epochs] == [len(epoch) for epoch in epochs] == [7, 7]
    assert set(epochs[0]) != set(epochs[1])
    assert not one.finished()
    for batch in one.batches(2, 0):
        assert batch.mask.all()  # the nearest ones, whether or not they violate the margin


def test_anchors_of_a_shorter_epoch_have_a_positive():
    one = task(loss=MaxMarginLoss(0.1), queries_per_epoch=5)
    has_one = np.arange(20) % 3 == 0
    places = replace(
        one.places, positives=Positives.of_lists([[row] * has for row, has in enumerate(has_one.tolist())])
    )
    one.source.places = places
    drawn = one.source.draw_anchors()
    assert len(drawn) == 5
    assert has_one[drawn].all()


def test_what_validation_reads_is_prepared_once(monkeypatch):
    one = task()
    trees = []
    nearest = ground_truth._nearest
    monkeypatch.setattr(ground_truth, "_nearest", lambda *places: trees.append(1) or nearest(*places))
    monkeypatch.setattr(Scene, "frames", lambda *_: pytest.fail("frames were prepared again"))
    one.validation.truth.__dict__.pop("nearest_reference", None)
    object.__setattr__(one.validation.truth, "listed", None)
    scores = {one.validate().score for _ in range(3)}
    assert len(scores) == 1
    assert len(trees) == 1


@pytest.mark.parametrize("step", [0, 3])
def test_a_checkpoint_of_the_former_layout_is_understood(step):
    """Where loop and task were one: what is the task's now."""
    tuples = {"anchors": torch.arange(4), "positives": torch.arange(4)}
    tuples |= {"negatives": torch.zeros(4, 2, dtype=torch.int64), "mask": torch.ones(4, 2, dtype=torch.bool)}
    progress = {
        "epoch": 2, "order": torch.arange(20), "part": 1, "tuples": tuples if step else None, "step": step,
        "totals": {"loss": 6.0, "active": 3.0, "tuples": 12} if step else {}, "best": (0.75, 0.5), "best_epoch": 1,
        "stale": 1, "learned": False, "recalls": {1: 0.5, 5: 0.75}, "seconds": 1.5,
    }  # fmt: skip
    own = torch.Generator().manual_seed(3).get_state()
    old = {"epoch": 2, "in_dims": 4, "recalls": {1: 0.5, 5: 0.75}, "best_score": 0.75, "progress": progress}
    old |= {"remembered": None, "random": {"own": own, "torch": torch.get_rng_state(), "cuda": None}}
    new = upgraded(old)
    assert new["progress"] == {
        "epoch": 2, "step": step, "samples": 12 if step else 0, "totals": {"loss": 6.0, "active": 3.0} if step else {},
        "seconds": 1.5, "best": (0.75, 0.5), "best_epoch": 1, "stale": 1, "converged": False,
        "metrics": {"recall@1": 0.5, "recall@5": 0.75}, "best_metrics": {"recall@5": 0.75, "recall@1": 0.5},
    }  # fmt: skip
    one = task()
    one.restore(new, "here")
    assert one.source.mining.part == 1
    assert torch.equal(one.generator.get_state(), own)
    assert (one.source.mining.found > 0) == bool(step)
    assert upgraded(new) is new
