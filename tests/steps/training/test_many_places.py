"""Where places are many, training adds to the closed form that it starts from."""

from dataclasses import replace

import pytest

from opticornet.datasets import catalogue
from opticornet.datasets.synthetic import MANY_PLACES, simulate
from opticornet.learning.history import read_epochs
from opticornet.options.modes import TrainOptions
from opticornet.steps.train import train


@pytest.mark.slow
def test_an_epoch_over_all_references_finds_more_than_the_start(tmp_path, monkeypatch):
    fewer = replace(MANY_PLACES, train_m=8000.0, val_m=800.0, test_m=100.0)
    monkeypatch.setattr(catalogue.synthetic, "simulate", lambda **_: simulate(1, fewer))
    options = TrainOptions.of(
        dataset="synthetic", runs_path=str(tmp_path), loss="soft-contrastive", lr=1e-3, n_epochs=1, references=256,
        batch_size=64, device="cpu", quiet=True,
    )  # fmt: skip
    start, *_, last = [epoch["recalls"]["1"] for epoch in read_epochs(train(options))]
    assert last > start + 0.05
