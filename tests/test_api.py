"""What ``import opticornet`` gives: steps as functions, and ways to what they made."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch

import opticornet
from opticornet.options.modes import TrainOptions
from opticornet.utils.errors import UserError


@pytest.fixture
def run(tmp_path):
    return opticornet.train(
        dataset="synthetic", seqL=5, w=3, outDims=16, n_epochs=1, runs_path=tmp_path / "runs", quiet=True, device="cpu"
    )


def test_importing_the_package_imports_nothing_heavy(root):
    code = "import sys, opticornet; dir(opticornet); print(sorted({'torch', 'numpy'} & set(sys.modules)))"
    out = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True).stdout
    assert out.strip() == "[]"
    assert set(opticornet.__all__) <= set(dir(opticornet))
    assert all(callable(getattr(opticornet, name)) for name in opticornet.__all__)
    with pytest.raises(AttributeError, match="no attribute 'tarin'"):
        opticornet.tarin  # noqa: B018


def test_a_run_is_loaded_without_options(run, tmp_path):
    loaded = opticornet.load(run)
    assert (loaded.method, loaded.sequence_length, loaded.options.w) == ("dsdnet", 5, 3)
    assert not loaded.encoder.training
    split = opticornet.open_dataset("synthetic", splits=("test",)).splits["test"]
    encoded = loaded.encode(split.query.descriptors)
    assert encoded.shape == (len(split.query), loaded.encoder.encoding_dims(5))
    np.testing.assert_allclose(np.linalg.norm(encoded, axis=1), 1, atol=1e-5)
    window = torch.from_numpy(loaded.adapted(split.query.descriptors)[5:10])[None]
    np.testing.assert_allclose(encoded[7], loaded.encoder(window)[0].detach(), atol=1e-5)
    assert opticornet.load(runs_path=tmp_path / "runs").weights == loaded.weights

    record = opticornet.test(resume=run, latency_queries=0, bootstrap=0)
    assert record.method.weights == loaded.weights


def test_a_run_of_seqnets_is_loaded_too(tmp_path):
    checkpoints = tmp_path / "Jun03_15-22-44_l5_x" / "checkpoints"
    checkpoints.mkdir(parents=True)
    weights = {"pool.0.conv.weight": torch.rand(6, 4, 3), "pool.0.conv.bias": torch.rand(6)}
    torch.save({"epoch": 2, "state_dict": weights, "recalls": {}}, checkpoints / "model_best.pth.tar")
    flags = {"pooling": "seqnet", "seqL": 5, "w": 3, "outDims": 6, "nGPU": 1}
    (checkpoints / "flags.json").write_text(json.dumps(flags))
    loaded = opticornet.load(checkpoints.parent)
    assert loaded.encode(np.random.rand(9, 4).astype(np.float32)).shape == (9, 6)


def test_memory_mapped_frames_are_encoded_without_a_word(run, tmp_path, recwarn):
    np.save(tmp_path / "frames.npy", np.random.default_rng(0).standard_normal((40, 128)).astype(np.float32))
    frames = np.load(tmp_path / "frames.npy", mmap_mode="r")
    loaded = opticornet.load(run)
    np.testing.assert_array_equal(loaded.encode(frames[::2]), loaded.encode(np.array(frames[::2])))
    assert not recwarn.list


def test_errors_speak_of_arguments(run, tmp_path):
    with pytest.raises(UserError, match=r"`sequence_length` 999 is above the shortest sequence"):
        opticornet.train(dataset="synthetic", sequence_length=999, runs_path=tmp_path / "other", quiet=True)
    with pytest.raises(UserError, match=r"unknown option nEpoch \(did you mean nEpochs\?\)"):
        opticornet.train(nEpoch=3)
    with pytest.raises(UserError, match="3 frames in windows of 5"):
        opticornet.load(run).encode(np.zeros((3, 256), np.float32))


def test_options_are_an_object_or_names_and_never_ignored():
    options = TrainOptions.of(dataset="synthetic")
    with pytest.raises(UserError, match="lr: give a TrainOptions, or options by name, not both"):
        opticornet.train(options, lr=1e-3)
    with pytest.raises(UserError, match="TrainOptions: wanted TestOptions, or options by name"):
        opticornet.test(options)
    with pytest.raises(UserError, match="dict: wanted TrainOptions"):
        opticornet.train({"lr": 1e-3})


def test_wrong_arguments_are_named(run, tmp_path):
    with pytest.raises(UserError, match="`checkpoint` first: choose one of best, latest"):
        opticornet.load(run, checkpoint="first")
    with pytest.raises(UserError, match=r"`run` .*none: no such folder"):
        opticornet.load(tmp_path / "none")
    with pytest.raises(UserError, match="dataset synthetic: no split 'tset'; it has train, val, test"):
        opticornet.open_dataset("synthetic", splits=("tset",))
    with pytest.raises(UserError, match=r"`splits` 'test': wanted a tuple of names, \('test',\)"):
        opticornet.open_dataset("synthetic", splits="test")
    with pytest.raises(UserError, match=r"`predictions_file` none\.npz: no such file"):
        opticornet.test(pooling="single+seqmatch", predictions_file="none.npz")


def test_what_a_check_prints_speaks_of_flags(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="2 wrong"):
        opticornet.check(dataset="msls")
    assert "struct file there (--structPath)" in capsys.readouterr().out


def test_an_installed_plugin_is_there_without_the_command_line(monkeypatch):
    asked = []
    monkeypatch.setattr("opticornet.api.load_installed", lambda: asked.append(True))
    with pytest.raises(UserError):
        opticornet.train(lr=0)
    assert asked
