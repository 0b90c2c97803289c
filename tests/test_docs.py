"""Every command that README and docs show runs, on small data in the same layout.

Blocks fenced as ``bash`` are commands of a user; each line that starts with ``python main.py`` is run here, in the
order of the page, in a folder that holds what the page assumes. Large sizes in them are cut, nothing else.
"""

import glob
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from opticornet.cli import main
from opticornet.datasets import catalogue, synthetic
from opticornet.datasets.seqnet import layout as seqnet_layout
from opticornet.datasets.seqnet.structs import read_image_names, read_struct
from opticornet.evaluation import records
from opticornet.options.modes import TrainImagesOptions, TrainOptions
from opticornet.options.registries import REGISTRIES

ROOT = Path(__file__).resolve().parent.parent
PAGES = ["README.md", *sorted(str(page.relative_to(ROOT)) for page in (ROOT / "docs").glob("*.md"))]
SMALLER = {
    "--outDims 8192": "--outDims 16",
    "--descType hog": "--descType hog --imageSize 32 32",
    "--descType efficientnet-lite0": "--descType efficientnet-lite0 --imageSize 32 32",
    "--staImageSize 96 160": "--staImageSize 32 48",
    "--descType resnet18 --weights random": "--descType resnet18 --imageSize 32 32 --weights random",
}


def commands(page: str) -> list[str]:
    """The ``python main.py`` lines of a page's bash blocks, continued lines joined."""
    text = (ROOT / page).read_text(encoding="utf-8")
    blocks = re.findall(r"^```bash\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [line.split(" #")[0].strip() for line in lines if line.strip().startswith("python main.py")]


def python_blocks(page: str) -> list[str]:
    """The blocks of Python of a page."""
    return re.findall(r"^```python\n(.*?)^```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


@pytest.fixture
def user_folder(tmp_path, monkeypatch) -> Path:
    """A folder with small data where the pages look for it; few epochs."""
    monkeypatch.chdir(tmp_path)
    for options in (TrainOptions, TrainImagesOptions):
        monkeypatch.setattr(options, "__init__", few_epochs(options.__init__))
    rng = np.random.default_rng(0)
    small_nordland(tmp_path / "data" / "descData" / "netvlad-pytorch", rng, monkeypatch)
    own_descriptors(tmp_path / "my-dataset", rng)
    own_images(tmp_path / "my-images", rng)
    small = synthetic.SyntheticParameters(train_m=260, val_m=120, test_m=160, dims=64)
    simulate = synthetic.simulate
    monkeypatch.setattr(catalogue.synthetic, "simulate", lambda parameters, name: simulate(0, small, name))
    return tmp_path


def few_epochs(initialise):
    def initialise_with_one_epoch(self, **fields):
        initialise(self, **(fields | {"n_epochs": 1}))

    return initialise_with_one_epoch


def unit(frames: np.ndarray) -> np.ndarray:
    return (frames / np.linalg.norm(frames, axis=1, keepdims=True)).astype(np.float32)


def small_nordland(folder: Path, rng: np.random.Generator, monkeypatch) -> None:
    """The four seasons in seqNet's layout with a hundredth of the rows."""
    rows = {"train": (0, 150), "test": (151, 181), "val": (182, 212)}
    monkeypatch.setattr(seqnet_layout, "NORDLAND_ROWS", rows)
    folder.mkdir(parents=True)
    route = np.cumsum(rng.standard_normal((220, 16)), axis=0)
    for season in ("summer", "winter", "spring", "fall"):
        np.save(folder / f"nordland-clean-{season}.npy", unit(route + rng.standard_normal(route.shape)))


def own_descriptors(folder: Path, rng: np.random.Generator) -> None:
    """Two drives of 200 frames with x, y in metres."""
    folder.mkdir()
    route = np.cumsum(rng.standard_normal((200, 16)), axis=0)
    for drive in ("day", "night"):
        np.save(folder / f"{drive}.npy", unit(route + rng.standard_normal(route.shape)))
        lines = ["name,x,y", *(f"{drive}{i:04d}.jpg,{2.0 * i},0.0" for i in range(200))]
        (folder / f"{drive}.csv").write_text("\n".join(lines))


def own_images(folder: Path, rng: np.random.Generator) -> None:
    """Two drives of 60 images of one route."""
    places = rng.integers(0, 255, (60, 32, 32, 3))
    for drive in ("day", "night"):
        (folder / drive).mkdir(parents=True)
        for i, place in enumerate(places):
            noisy = np.clip(place + rng.integers(-20, 20, place.shape), 0, 255).astype(np.uint8)
            Image.fromarray(noisy).resize((64, 48)).save(folder / drive / f"{i:04d}.png")


def earlier_results(folder: Path) -> None:
    """A run and two results, as a user has who reads about looking at them."""
    for pooling, name in (("single", "first"), ("smooth", "second")):
        results = folder / "data" / "results"
        run(f"python main.py --mode test --pooling {pooling} --resultsPath data/results --expName {name}")
        (record,) = results.glob(f"*_{name}.json")
        record.rename(folder / f"{name}.json")
        record.with_suffix(".npz").rename(folder / record.with_suffix(".npz").name)
    run("python main.py --mode test --pooling delta --resultsPath data/results")
    run("python main.py --mode train")


def plugins(folder: Path) -> None:
    """The page's blocks of Python as files, named after what the first of their registries adds."""
    for block in python_blocks("docs/adding-a-method.md"):
        name = re.search(r'^[A-Z_]+ = \{"([\w-]+)"', block, re.MULTILINE).group(1)
        (folder / f"{name.lower().replace('-', '_')}.py").write_text(block)


# What a page's reader has done before.
ASSUMED = {"docs/reports.md": earlier_results, "docs/adding-a-method.md": plugins}


def run(command: str) -> int:
    """Run a command as a shell would: file name patterns expanded."""
    for large, small in SMALLER.items():
        command = command.replace(large, small)
    words = [match for word in shlex.split(command)[2:] for match in (sorted(glob.glob(word)) or [word])]
    return main(words)


@pytest.mark.slow
@pytest.mark.usefixtures("registries_as_before")
@pytest.mark.parametrize("page", PAGES)
def test_every_command_of_a_page_runs(page, user_folder, capsys):
    lines = commands(page)
    if not lines:
        pytest.skip(f"{page} shows no commands")
    ASSUMED.get(page, lambda folder: None)(user_folder)
    for toml in re.findall(r"^```toml\n(.*?)^```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE):
        if toml.startswith('name = "my-dataset"'):
            (user_folder / "my-dataset" / "dataset.toml").write_text(toml)
    for line in lines:
        status = run(line)
        assert status == 0, f"{line}: {capsys.readouterr().err}"


def test_every_plugin_of_the_page_is_used_and_every_registry_has_one(tmp_path):
    page = "docs/adding-a-method.md"
    plugins(tmp_path)
    files = {path.name for path in tmp_path.glob("*.py")}
    assert files == {name for line in commands(page) for name in re.findall(r"--plugin (\S+)", line)}
    added = {name for block in python_blocks(page) for name in re.findall(r"^([A-Z_]+) = ", block, re.MULTILINE)}
    assert added == set(REGISTRIES)


@pytest.mark.slow
def test_python_of_the_page_runs(user_folder, capsys):
    for block in python_blocks("docs/python.md"):
        exec(compile(block, "docs/python.md", "exec"), {"__name__": "__main__"})
    out = capsys.readouterr().out
    assert re.search(r"^dsdnet S5 \(adapted\) 0\.\d+$", out, re.MULTILINE)
    assert re.search(r"^\[[\d ]+\]$", out, re.MULTILINE)


OPTICORNET_COMMANDS = """
python main.py --mode train --pooling dsdnet --dataset nordland-sw --seqL 10 --w 5 --outDims 8192 --expName "w5"
python main.py --mode train --pooling dsdnet --dataset oxford-v1.0 --seqL 5 --w 3 --outDims 8192 --expName "w3"
python main.py --mode train --pooling dsdnet --dataset msls --msls_trainCity melbourne --msls_valCity austin --seqL 5 \
--w 3 --outDims 8192 --expName "msls_w3"
python main.py --mode test --pooling dsdnet --dataset msls --msls_valCity amman --seqL 5 --split test \\
--resume ./data/runs/
python main.py --mode train --pooling dsdnet --dataset nordland-sw --seqL 1 --w 1 --outDims 8192 --expName "w1"
python main.py --mode test --pooling dsdnet --dataset nordland-sf --seqL 5 --split test \
--resume ./data/runs/Jun03_15-22-44_l10_w5/
"""


@pytest.mark.slow
def test_the_commands_of_opticornets_own_page_run(user_folder, shared, capsys):
    structs = shared / "data" / "seqnet-structs"
    for path in structs.rglob("*.*"):  # all but Nordland's list of names, which is as long as the full dataset
        link = user_folder / "structFiles" / path.relative_to(structs)
        link.parent.mkdir(parents=True, exist_ok=True)
        if path.name != "nordland_clean_imageNames.txt":
            link.symlink_to(path)
    descriptors = user_folder / "data" / "descData" / "netvlad-pytorch"
    rng = np.random.default_rng(1)
    for path in structs.glob("*.db"):
        struct = read_struct(path)
        if path.name.startswith("msls"):
            city = path.name.split("_")[1]
            for side, positions in (("database", struct.reference_positions), ("query", struct.query_positions)):
                np.save(descriptors / f"msls_{city}_{side}.npy", unit(rng.standard_normal((len(positions), 8))))
    for traverse in ("2015-03-17-11-08-44", "2014-12-16-18-44-24"):
        names = structs / "imageNamesFiles" / f"oxford_{traverse}_imagenames_subsampled-2m.txt"
        frames = rng.standard_normal((len(read_image_names(names)), 8))
        np.save(descriptors / f"oxford_{traverse}_stereo_left.npy", unit(frames))
    for command in OPTICORNET_COMMANDS.strip().replace("\\\n", "").splitlines():
        assert run(command) == 0, f"{command}: {capsys.readouterr().err}"
        for trained in (user_folder / "data" / "runs").glob("*_l10_w5"):  # the page names a run of its authors
            trained.rename(trained.with_name("Jun03_15-22-44_l10_w5"))


@pytest.mark.slow
def test_the_demo_ends_with_a_table_of_every_method(user_folder, capsys, monkeypatch):
    monkeypatch.setattr(records, "UNSTEADY", 0.0)
    assert main(["--mode", "demo"]) == 0
    out = capsys.readouterr().out
    table = out[out.rindex("method  ") :]
    for method in ("single S5", "smooth S5", "delta S5", "single+seqmatch L5", "dsdnet S1", "s1+seqmatch L5"):
        assert f"\n{method}" in table
    assert "\ndsdnet S5, re-ranked by s1+seqmatch " in table
    assert "\nseqnet S5" in table
    assert table.count("  ~") == table.count("~") - 1 == 10  # times, and below what the mark says
    assert "report: data/results/demo/report/index.html; open it: " in table
    assert "--logdir data/runs" in table
    page = Path("data/results/demo/report/index.html").read_text()
    assert "dsdnet S5, re-ranked by s1+seqmatch" in page
    assert len(list((user_folder / "data" / "results" / "demo").glob("*.json"))) == 10


def test_the_readme_shows_commands():
    assert len(commands("README.md")) > 5
