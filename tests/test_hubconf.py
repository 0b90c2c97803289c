"""What torch.hub gives of this repository, from any folder and beside packages of generic names."""

import inspect
import os
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import opticornet
from opticornet.inference.published import PUBLISHED, options_of
from opticornet.models.images import IMAGE_ENCODERS
from opticornet.models.images.dinov2 import DinoV2, DinoV2Encoder
from opticornet.models.images.fol.aggregator import GuidedAggregator
from opticornet.models.images.fol.encoder import FoL
from opticornet.models.sequences.delta_lstm import DeltaLSTM
from opticornet.models.sequences.seqnet import SeqNet
from opticornet.utils.errors import UserError
from opticornet.utils.registry import entry

FOLDERS = ("models", "datasets", "utils")
LOAD = """
import sys
import models, datasets, utils  # of somebody else
import torch
network = torch.hub.load(sys.argv[1], "dsdnet", source="local", run=sys.argv[2], trust_repo=True)
assert {module.WHOSE for module in (models, datasets, utils)} == {"theirs"}
assert sys.argv[1] not in sys.path and not network.training
torch.save(network(torch.load("windows.pt")), "found.pt")
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    return opticornet.train(
        dataset="synthetic", seqL=5, w=3, outDims=16, n_epochs=1, quiet=True, device="cpu", threads=1,
        runs_path=tmp_path_factory.mktemp("runs"),
    )  # fmt: skip


def load(root: Path, name: str, **arguments) -> torch.nn.Module:
    return torch.hub.load(str(root), name, source="local", **arguments)


def without_links(root: Path, folder: Path) -> Path:
    """The repository as torch.hub unpacks a zip archive of it: a link is a text file."""
    for name in ("opticornet", *FOLDERS):
        shutil.copytree(root / name, folder / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(root / "hubconf.py", folder)
    for name in FOLDERS:
        link = folder / "opticornet" / name
        assert link.is_symlink()
        link.unlink()
        link.write_text(f"../{name}")
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("where", ["repository", "relative", "unpacked"])
def test_a_trained_encoder_from_another_folder(root, run, tmp_path, where):
    for name in FOLDERS:
        (tmp_path / "site" / name).mkdir(parents=True)
        (tmp_path / "site" / name / "__init__.py").write_text("WHOSE = 'theirs'")
    trained = opticornet.load(run).encoder
    windows = torch.randn(3, 5, trained.in_dims, generator=torch.Generator().manual_seed(0))
    torch.save(windows, tmp_path / "windows.pt")
    (tmp_path / "unpacked").mkdir()
    repository = {
        "repository": lambda: root,
        "relative": lambda: os.path.relpath(root, tmp_path),
        "unpacked": lambda: without_links(root, tmp_path / "unpacked"),
    }[where]()
    done = subprocess.run(
        [sys.executable, "-c", LOAD, str(repository), str(run)],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(tmp_path / "site")}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    torch.testing.assert_close(torch.load(tmp_path / "found.pt"), trained(windows))


def test_sequence_encoders_of_files(root, tmp_path):
    windows = torch.randn(2, 5, 4, generator=torch.Generator().manual_seed(0))
    for name, stored in (("seqnet", SeqNet(4, 6, 3)), ("delta_lstm", DeltaLSTM(4, 6, 5))):
        torch.save({"state_dict": stored.state_dict()}, tmp_path / f"{name}.pth.tar")
        found = load(root, name, weights=str(tmp_path / f"{name}.pth.tar"))
        assert not found.training
        torch.testing.assert_close(found(windows), stored(windows))


@torch.inference_mode()
def test_image_encoders(root, tmp_path):
    images = torch.randn(2, 3, 56, 56, generator=torch.Generator().manual_seed(0))
    stored = DinoV2Encoder(64, 2, 1, pool="gem", image_size=(56, 56), trained_size=56).eval()
    torch.save(stored.state_dict(), tmp_path / "d.pth")
    torch.testing.assert_close(
        load(root, "dinov2_vits14", weights=str(tmp_path / "d.pth"), pool="gem")(images), stored(images)
    )
    random = load(root, "resnet18", weights="random", pool="avg")
    assert not random.training
    torch.testing.assert_close(random(images).norm(dim=1), torch.ones(2))


def test_every_encoder_with_published_weights_is_an_entry(root):
    listed = {name: value for name, value in runpy.run_path(str(root / "hubconf.py")).items() if callable(value)}
    entries = {name: value for name, value in listed.items() if not name.startswith("_")}  # as torch.hub.list does
    published = {name for name in IMAGE_ENCODERS if entry(IMAGE_ENCODERS, name).published} | set(PUBLISHED)
    assert set(entries) == {name.replace("-", "_") for name in published} | {"dsdnet"}
    assert all(inspect.getdoc(value) for value in entries.values())


@pytest.mark.parametrize("method", PUBLISHED)
def test_an_entry_has_the_options_of_its_published_weights(root, method):
    listed = runpy.run_path(str(root / "hubconf.py"))
    arguments = set(inspect.signature(listed[method.replace("-", "_")]).parameters)
    only_refuses = {"size"}  # a file of another, and changes no network
    assert arguments - {"run", "checkpoint", "weights"} == set(options_of(PUBLISHED[method])) - only_refuses


@torch.inference_mode()
def test_options_reach_the_network(root, tmp_path):
    images = torch.randn(1, 3, 70, 70, generator=torch.Generator().manual_seed(0))
    stored = FoL(DinoV2(24, 2, 3, 70), GuidedAggregator(24, 4, 3, 5, 6), local_dims=(5, 4)).eval()
    torch.save(stored.state_dict(), tmp_path / "fol.pth")
    found = load(root, "fol", weights=str(tmp_path / "fol.pth"), heads=3, local=True)(images)
    for mine, theirs in zip(found, stored.forward_with_local(images), strict=True):
        torch.testing.assert_close(mine, theirs)
    torch.save(DeltaLSTM(4, 4, 5, residual=False).state_dict(), tmp_path / "delta.pth")
    assert not load(root, "delta_lstm", weights=str(tmp_path / "delta.pth"), residual=False).residual


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("seqnet", {}, "seqnet: wanted either `run`, a run folder, or `weights`"),
        ("seqnet", {"run": "RUN"}, "`run` .* trained dsdnet, wanted seqnet"),
        ("dsdnet", {"run": "nowhere"}, "nowhere: no such folder"),
        ("fol_base", {"weights": "nowhere.pth"}, "no weights at nowhere.pth"),
        ("fol", {"weights": "random", "local": True}, "`local` belongs to `weights` of a file"),
        ("super_cricavpr", {"heads": 2}, "`heads` belongs to `weights` of a file"),
        ("delta_lstm", {"run": "RUN", "residual": True}, "`residual` belongs to `weights` of a file"),
        ("super_cricavpr", {"weights": "random", "context": 0}, "`context` 0: wanted at least 1"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(root, run, name, arguments, message):
    with pytest.raises(UserError, match=message) as error:
        load(root, name, **{key: str(run) if value == "RUN" else value for key, value in arguments.items()})
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("context", [None, 1])
def test_super_cricavpr_attends_as_told(root, context):
    with torch.device("meta"):
        encoder = load(root, "super_cricavpr", weights="random", context=context)
    assert encoder.context == context
