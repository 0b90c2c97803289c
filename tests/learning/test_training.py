"""The trainer's parts: what a checkpoint holds, and what a table of positives means for negatives."""

import numpy as np
import pytest
import torch

from opticornet.datasets.traverse import Split, Traverse
from opticornet.evaluation.scene import Scene
from opticornet.learning.mining import MinedTuples
from opticornet.learning.training import Progress, Trainer, make_miner
from opticornet.options.modes import TrainOptions
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
    table = np.arange(20)[:, None] + [0, 1]
    return Scene.of("line", Split("train", reference, query, None, negative_radius, table), 3, 0, CPU)


def trainer(negative_radius: float = 2.0) -> Trainer:
    options = TrainOptions.of(sequence_length=3, out_dims=2, pooling="seqnet", threads=1)
    return Trainer(options, scene(negative_radius), scene(negative_radius))


@pytest.mark.parametrize(("radius", "negatives"), [(1.0, [3, 7]), (1.5, [3, 7]), (2.0, [2, 8])])
def test_beside_a_table_the_negative_radius_counts_rows_on_both_sides(radius, negatives):
    one = trainer(radius)
    _, excluded = make_miner(one.scene, one.options, one.loss).excluded.of(torch.tensor([5]))
    kept = np.setdiff1d(np.arange(20), excluded)
    assert [kept[kept < 5].max(), kept[kept > 5].min()] == negatives


def test_beside_a_table_negatives_are_apart_by_rows_too():
    batch = MinedTuples(
        torch.tensor([5]), torch.tensor([5]), torch.tensor([[10, 12, 13]]), torch.ones(1, 3, dtype=torch.bool)
    )
    apart = trainer(2.0).encode_batch(batch).apart[0]
    assert apart.tolist() == [[False, False, True], [False, False, False], [True, False, False]]


def test_a_checkpoint_with_nothing_mined_can_be_read_again(tmp_path):
    one = trainer()
    one.progress.tuples = MinedTuples.join([], n_neg=10)
    save_checkpoint(one.state(), tmp_path / "state")
    assert len(Progress.of(load_checkpoint(tmp_path / "state")["progress"]).tuples) == 0


def test_only_the_random_state_of_the_gpu_in_use_is_kept(monkeypatch):
    """A run begun beside eight GPUs goes on beside one."""
    states = {"cuda": torch.arange(16, dtype=torch.uint8)}
    monkeypatch.setattr(torch.cuda, "get_rng_state", lambda device: states[device.type])
    monkeypatch.setattr(torch.cuda, "set_rng_state", lambda state, device: states.update({device.type: state}))
    one = trainer()
    one.device = torch.device("cuda")
    saved = one.state()
    states["cuda"] = None
    one.restore(saved, "here")
    assert states["cuda"].tolist() == list(range(16))


def test_a_trainer_on_the_cpu_leaves_gpus_alone(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_rng_state", lambda device: pytest.fail(f"{device} was asked"))
    trainer()
