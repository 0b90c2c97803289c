"""Checkpoints: read safely, fitted strictly."""

import pickle

import numpy as np
import pytest
import torch

from opticornet.utils.checkpoints import build_empty, fit_state, load_checkpoint, save_checkpoint
from opticornet.utils.errors import UserError


class Malicious:
    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return (open, (str(self.marker), "w"))


def test_numpy_scalars_of_seqnet_checkpoints_load(tmp_path):
    path = tmp_path / "checkpoint.pth.tar"
    state = {
        "epoch": 3,
        "state_dict": {"pool.0.conv.bias": torch.ones(2)},
        "recalls": {1: np.float64(0.5), 5: np.float32(0.25), 10: np.int64(1)},
        "best_score": np.float64(0.25),
        "optimizer": {"state": {}, "param_groups": []},
        "parallel": False,
    }
    torch.save(state, path)
    loaded = load_checkpoint(path)
    assert loaded["recalls"] == {1: 0.5, 5: 0.25, 10: 1}
    assert loaded["best_score"] == 0.25
    assert torch.equal(loaded["state_dict"]["pool.0.conv.bias"], torch.ones(2))


@pytest.mark.parametrize("hidden", ["value", "state_dict"])
def test_code_in_a_checkpoint_is_refused_and_not_run(tmp_path, hidden):
    marker, path = tmp_path / "ran", tmp_path / "checkpoint.pth.tar"
    torch.save({"state_dict": {}} | {hidden: Malicious(marker)}, path)
    with pytest.raises(UserError, match="more than tensors"):
        load_checkpoint(path)
    assert not marker.exists()


def test_a_pickle_that_torch_did_not_write_is_refused_without_a_word_besides(tmp_path, recwarn):
    (tmp_path / "model.pth").write_bytes(pickle.dumps({"state_dict": {}}, protocol=4))
    with pytest.raises(UserError, match="is refused: it holds more than tensors and plain values"):
        load_checkpoint(tmp_path / "model.pth")
    assert not recwarn.list


def test_missing_and_broken_files_are_named(tmp_path):
    with pytest.raises(UserError, match="no checkpoint"):
        load_checkpoint(tmp_path / "none.pth.tar")
    whole = tmp_path / "whole.pth.tar"
    save_checkpoint({"state_dict": {"w": torch.zeros(1000)}}, whole)
    for name, content in (("empty", b""), ("text", b"hello"), ("truncated", whole.read_bytes()[:2000])):
        path = tmp_path / f"{name}.pth.tar"
        path.write_bytes(content)
        with pytest.raises(UserError, match=name):
            load_checkpoint(path)


def test_something_else_saved_by_torch_is_not_a_checkpoint(tmp_path):
    path = tmp_path / "tensor.pth.tar"
    torch.save(torch.zeros(3), path)
    with pytest.raises(UserError, match="no state_dict"):
        load_checkpoint(path)


def test_a_misfit_lists_the_first_key_of_each_kind():
    module = torch.nn.Linear(3, 2)
    expected = r"1 missing \(first: bias\).*1 unexpected \(first: extra\).*weight is \(2, 4\)"
    with pytest.raises(UserError, match=expected):
        fit_state(module, {"weight": torch.zeros(2, 4), "extra": torch.zeros(1)}, "FILE")


class Frugal(torch.nn.Module):
    """Parameters, some of them shared or frozen, beside what no state dict holds."""

    def __init__(self):
        super().__init__()
        self.map, self.tied = torch.nn.Linear(3, 3), torch.nn.Linear(3, 3)
        self.tied.weight = self.map.weight
        self.frozen = torch.nn.Parameter(torch.ones(2), requires_grad=False)
        self.register_buffer("kept", torch.ones(2))
        self.register_buffer("left_out", torch.arange(3), persistent=False)
        self.plain = torch.ones(2)


def test_an_empty_module_has_all_but_its_parameters():
    module = build_empty(Frugal)
    assert all(parameter.is_meta for parameter in module.parameters())
    assert module.tied.weight is module.map.weight
    assert not module.frozen.requires_grad
    assert not any(tensor.is_meta for tensor in (module.kept, module.left_out, module.plain))
    wanted = {key: torch.full(value.shape, 2.0) for key, value in module.state_dict().items()}
    fit_state(module, wanted, "file", assign=True)
    assert all(torch.equal(value, wanted[key]) for key, value in module.state_dict().items())
    assert not torch.nn.Linear(2, 2).weight.is_meta  # modules built afterwards are whole


@pytest.mark.parametrize("kind", ["reads", "derives"])
def test_a_module_that_works_with_its_parameters_is_built_whole(kind):
    class Working(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.ones(3))
            if kind == "reads":
                self.scale = self.weight.sum().item()
            else:
                self.register_buffer("scale", self.weight.detach().sum(), persistent=False)

    module = build_empty(Working)
    assert module.scale == 3
    assert not module.weight.is_meta


def test_a_module_that_cannot_be_built_says_so():
    with pytest.raises(ZeroDivisionError):
        build_empty(lambda: 1 / 0)
