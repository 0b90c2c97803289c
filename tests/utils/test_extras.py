"""What runs with the core libraries alone, and what is said of the others."""

import subprocess
import sys

import pytest

from opticornet.utils.errors import UserError
from opticornet.utils.extras import needs_extra

EXTRAS = ("PIL", "cv2", "jinja2", "markupsafe", "matplotlib", "tensorboard", "timm", "torchvision")
WITHOUT = """
import shlex, sys
for library in sys.argv[1].split():
    sys.modules[library] = None
from opticornet.cli import main
for command in sys.argv[2:]:
    print(main(shlex.split(command)))
"""


def run_without(libraries: tuple[str, ...], *commands: str, folder, root) -> tuple[list[str], list[str]]:
    """Lines on stdout (each command's, then its exit status) and on stderr where no such library can be imported."""
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, " ".join(libraries), *commands],
        cwd=folder,
        env={"PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    return done.stdout.splitlines(), done.stderr.splitlines()


def test_a_missing_library_is_named_with_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(UserError) as error, needs_extra("images"):
        import cv2  # noqa: F401
    assert str(error.value) == 'cv2 is not installed; wanted for this: pip install "opticornet[images]"'


def test_a_missing_module_of_ours_is_a_bug():
    with pytest.raises(ModuleNotFoundError), needs_extra("images"):
        import opticornet.nowhere  # noqa: F401


@pytest.mark.slow
def test_the_core_trains_tests_and_says_what_reports_and_images_need(tmp_path, root):
    out, err = run_without(
        EXTRAS,
        "--mode train --nEpochs 1 --outDims 16 --device cpu",
        "--mode test --resume --bootstrap 0 --resultsPath results --projector 5",
        "--mode compare",
        "--mode test --pooling single --report report",
        "--mode extract --descType hog --images images --output rows.npy",
        folder=tmp_path,
        root=root,
    )
    assert [line for line in out if line in ("0", "1", "2")] == ["0", "0", "0", "2", "2"]
    report, extract = err
    assert report.endswith('is not installed; wanted for this: pip install "opticornet[report]"')
    assert extract.endswith('is not installed; wanted for this: pip install "opticornet[images]"')
    assert len(list((tmp_path / "results").glob("*.json"))) == 1  # the refused test wrote nothing


@pytest.mark.slow
@pytest.mark.parametrize(
    ("library", "encoder"),
    [
        ("cv2", "hog"),
        ("PIL", "thumbnail"),
        ("torchvision", "resnet18 --weights random"),
        ("timm", "dinov2_vits14 --weights random"),
    ],
)
def test_an_encoder_says_which_library_it_lacks(tmp_path, root, library, encoder):
    (tmp_path / "a.png").touch()
    command = f"--mode extract --descType {encoder} --images . --output rows.npy"
    out, err = run_without((library,), command, folder=tmp_path, root=root)
    assert err == [f'error: {library} is not installed; wanted for this: pip install "opticornet[images]"']
    assert out == ["2"]
