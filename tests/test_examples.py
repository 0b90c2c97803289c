"""The notebooks of examples/ run, in any folder, and show and write what they say."""

import json
import os
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = ROOT / "examples"
NOTEBOOKS = sorted(path.name for path in EXAMPLES.glob("*.ipynb"))


def cells(name: str) -> list[dict]:
    """A committed notebook's cells."""
    return json.loads((EXAMPLES / name).read_text(encoding="utf-8"))["cells"]


class Executed:
    """What a notebook showed and wrote.

    Attributes:
        printed: all text, and all tables.
        pictures: how many.
        warned: what went to stderr.
        folder: where it put its files.
    """

    def __init__(self, name: str, folder: Path) -> None:
        nbformat, nbclient = _libraries()
        start, temporary = folder / "start", folder / "temporary"
        start.mkdir()
        temporary.mkdir()
        notebook = nbformat.read(EXAMPLES / name, as_version=4)
        client = nbclient.NotebookClient(
            notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": str(start)}}
        )
        client.execute(env=_environment(folder, temporary))
        outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
        shown = [output.get("data", {}) for output in outputs]
        texts = [output.get("text", "") for output in outputs] + [data.get("text/markdown", "") for data in shown]
        self.printed = "\n".join(texts)
        self.pictures = sum("image/png" in data for data in shown)
        self.warned = [output["text"] for output in outputs if output.get("name") == "stderr"]
        (self.folder,) = temporary.glob("opticornet-*")
        assert not list(start.iterdir()), "a notebook writes to its temporary folder only"


def _libraries():
    """nbformat and nbclient; the test is skipped where they, or a kernel, are missing."""
    reason = "notebooks are executed with nbclient and ipykernel: pip install -e '.[test]'"
    pytest.importorskip("ipykernel", reason=reason)
    return pytest.importorskip("nbformat", reason=reason), pytest.importorskip("nbclient", reason=reason)


def _environment(folder: Path, temporary: Path) -> dict[str, str]:
    """The checkout's package, this environment's kernel, and no settings or backends of the user's."""
    left = {name: value for name, value in os.environ.items() if name not in ("MPLBACKEND", "JUPYTER_PATH")}
    own = {name: str(folder / name) for name in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR")}
    return left | own | {"PYTHONPATH": str(ROOT), "TMPDIR": str(temporary)}


def recalls(table: str) -> dict[str, float]:
    """First column of a printed table, but that frames are adapted, to its R@1."""
    return {
        name.strip(): float(r1)
        for name, r1 in re.findall(r"^\| ([\w ,+-]+?)(?: \(adapted\))? +\| (0\.\d{3}|1\.000)", table, re.M)
    }


@pytest.mark.slow
def test_own_descriptors(tmp_path):
    done = Executed("own_descriptors.ipynb", tmp_path)
    found = recalls(done.printed)
    assert len(found) == 5
    assert found["dsdnet S5"] > max(r1 for name, r1 in found.items() if name != "dsdnet S5")
    assert done.pictures == 1
    assert done.warned == []
    assert "errors: 0" in done.printed
    assert (done.folder / "report" / "index.html").stat().st_size > 100_000


@pytest.mark.slow
def test_own_images(tmp_path):
    pytest.importorskip("cv2", reason="images need opencv: pip install -e '.[images]'")
    done = Executed("own_images.ipynb", tmp_path)
    assert done.pictures == 3
    assert (done.folder / "my-dataset" / "dusk.npy").is_file()
    shares = re.search(r"(\d+)% of 48 images found.*?\n.*?confident ones (\d+)%", done.printed)
    found, confident = map(int, shares.groups())
    assert 50 < found < confident
    assert re.search(r"single S5 \(adapted\) on my-dataset \(test\): 48 of 48 queries counted", done.printed)


@pytest.mark.slow
def test_own_method(tmp_path):
    done = Executed("own_method.ipynb", tmp_path)
    found = recalls(done.printed)
    assert found.keys() == {f"{method}, {loss}" for method in ("bell", "dsdnet") for loss in ("quadruplet", "softmax")}
    assert found["dsdnet, quadruplet"] > found["bell, quadruplet"] > 0.4
    assert found["bell, softmax"] != found["bell, quadruplet"], "the loss was used"
    assert done.pictures == 1
    assert done.warned == []
    assert len(list((done.folder / "results").glob("*.json"))) == 4


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_is_committed_without_outputs_and_tested(name):
    code = [cell for cell in cells(name) if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)
    assert f"def test_{Path(name).stem}(" in Path(__file__).read_text(encoding="utf-8")
    assert f"({name})" in (EXAMPLES / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_links_of_a_notebook_lead_somewhere(name):
    text = "\n".join("".join(cell["source"]) for cell in cells(name) if cell["cell_type"] == "markdown")
    for link in re.findall(r"\]\(([^)#]+)", text):
        assert (EXAMPLES / link).is_file(), link
