"""Plugins: files that add methods, losses and sources without touching the repository."""

import json
import re
import textwrap

import pytest

from opticornet.cli import main
from opticornet.models.sequences import SEQUENCE_ENCODERS
from opticornet.options import plugins
from opticornet.options.modes import TrainImagesOptions, TrainOptions
from opticornet.options.plugins import load_plugin
from opticornet.utils.errors import UserError

WEIGHTED = """
from dataclasses import dataclass

import torch
from torch import nn

from opticornet.models.sequences.base import SequenceEncoder, SequenceEncoderOptions
from opticornet.utils.options import option


class Weighted(SequenceEncoder):
    def __init__(self, in_dims, width):
        super().__init__(in_dims, in_dims)
        self.width = nn.Parameter(torch.tensor(width))

    def forward(self, windows):
        self.check(windows)
        place = torch.linspace(-1, 1, windows.shape[1])
        weights = torch.softmax(-(self.width * place).square(), dim=0)
        return nn.functional.normalize(torch.einsum("bld,l->bd", windows, weights), dim=1)


@dataclass(frozen=True, kw_only=True)
class WeightedOptions(SequenceEncoderOptions):
    width: float = option("--bellWidth", 1.0, "width of the bell")

    def build(self, in_dims, length):
        return Weighted(in_dims, self.width)


SEQUENCE_ENCODERS = {"weighted": WeightedOptions}
"""


SPREAD = """
from dataclasses import dataclass

from opticornet.learning.images.terms.base import LossTerm, LossTermOptions
from opticornet.utils.options import option


class Spread(LossTerm):
    def __init__(self, power):
        super().__init__()
        self.power = power

    def forward(self, images):
        return images.described.descriptors.mean(0).abs().pow(self.power).sum()


@dataclass(frozen=True, kw_only=True)
class SpreadOptions(LossTermOptions):
    power: float = option("--spreadPower", 2.0, "power of the mean")

    def build(self):
        return Spread(self.power)


LOSS_TERMS = {"spread": SpreadOptions}
"""


pytestmark = pytest.mark.usefixtures("registries_as_before")


@pytest.fixture
def weighted(tmp_path):
    path = tmp_path / "weighted.py"
    path.write_text(WEIGHTED)
    return path


def test_a_plugin_adds_a_choice_and_its_flags(weighted, capsys):
    options = TrainOptions.of(plugin=(str(weighted),), pooling="weighted", width=2.0)
    assert options.part("pooling").width == 2.0
    assert options.record()["bellWidth"] == 2.0
    with pytest.raises(SystemExit):
        main(["--mode", "train", "--plugin", str(weighted), "--help"])
    shown = capsys.readouterr().out
    assert "sta,weighted" in shown
    assert "--bellWidth FLOAT" in shown


def test_it_trains_and_a_run_remembers_it(weighted, tmp_path, capsys):
    runs = tmp_path / "runs"
    line = ["--plugin", str(weighted), "--pooling", "weighted", "--bellWidth", "1.5", "--nEpochs", "1"]
    assert main(["--mode", "train", *line, "--runsPath", str(runs), "--quiet", "--device", "cpu"]) == 0
    (run,) = runs.iterdir()
    flags = json.loads((run / "checkpoints" / "flags.json").read_text())
    assert flags["plugin"] == [str(weighted)]
    assert flags["bellWidth"] == 1.5

    del SEQUENCE_ENCODERS["weighted"]
    tested = ["--mode", "test", "--resume", str(run), "--latencyQueries", "0", "--bootstrap", "0"]
    assert main(tested) == 0
    assert "weighted S5" in capsys.readouterr().out

    weighted.write_text(WEIGHTED + "\n# changed\n")
    assert main(tested) == 2
    assert f"{weighted}, which has changed since" in capsys.readouterr().err
    weighted.unlink()
    assert main(tested) == 2
    assert f"plugin {weighted}, which is not there" in capsys.readouterr().err


def test_a_plugin_that_changed_replaces_what_it_added(weighted):
    first = load_plugin(weighted)
    assert load_plugin(weighted) is first
    weighted.write_text(WEIGHTED.replace("1.0, ", "3.0, "))
    load_plugin(weighted)
    assert TrainOptions.of(pooling="weighted").part("pooling").width == 3.0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "no such file"),
        ("1 / 0", "fails: ZeroDivisionError"),
        ("x = (", "fails: SyntaxError"),
        ("x = 1", "adds nothing: wanted a dictionary named SEQUENCE_ENCODERS or"),
        (WEIGHTED.replace('"weighted"', '"dsdnet"'), "adds 'dsdnet' to SEQUENCE_ENCODERS, which has one"),
        ("SEQUENCE_ENCODERS = {'x': 5}", "adds 'x' to SEQUENCE_ENCODERS, which is no dataclass"),
        ("SEQUENCE_ENCODERS = {'x': 'no.such:Thing'}", "x: no.such:Thing cannot be imported"),
        ("SEQUENCE_ENCODERS = {3: 'no.such:Thing'}", "adds 3 to SEQUENCE_ENCODERS: wanted text as its name"),
        ("import sys; sys.exit('bye')", "fails: SystemExit: bye"),
        (WEIGHTED.replace("(SequenceEncoderOptions)", ""), "does not derive from opticornet.models.sequences.base."),
        (WEIGHTED.replace("def build", "def make"), "which lacks build"),
        (
            WEIGHTED.replace(' = option("--bellWidth", 1.0, "width of the bell")', ""),
            "whose field width has no default",
        ),
        (WEIGHTED.replace("width: float", "width: 'Nope'"), "whose annotations fail: NameError"),
        (WEIGHTED.replace("--bellWidth", "bellWidth"), "whose flag 'bellWidth' does not begin with --"),
        (WEIGHTED.replace("--bellWidth", "--lr"), "is taken by --mode train itself (--lr); rename it"),
        (WEIGHTED.replace("width: float", "lr: float"), "is taken by --mode train itself (--lr); rename it"),
        (WEIGHTED.replace("--bellWidth", "--w"), "is taken by 'seqnet' (w, --w); rename it"),
        (WEIGHTED.replace("width: float", "alpha: float"), "is taken by 'multi-similarity' (alpha, --alpha)"),
    ],
)
def test_a_bad_plugin_is_one_line(tmp_path, capsys, text, message):
    path = tmp_path / "bad.py"
    if text is not None:
        path.write_text(text)
    before = dict(SEQUENCE_ENCODERS)
    assert main(["--mode", "train", "--plugin", str(path), "--bellWidth", "1"]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert before == SEQUENCE_ENCODERS


@pytest.fixture
def spread(tmp_path):
    path = tmp_path / "spread.py"
    path.write_text(SPREAD)
    return path


def test_a_term_of_a_loss_has_options_of_its_own_beside_those_of_others(spread, capsys):
    given = {"plugin": (spread,), "desc_type": "resnet18", "dataset": "places"}
    options = TrainImagesOptions.of(**given, lossTerms=("ms", "spread:0.5"), spreadPower=3.0)
    options.refuse_unused()
    assert options.part("loss_terms", "spread").power == 3.0
    assert options.record()["spreadPower"] == 3.0
    assert TrainImagesOptions.of(**options.record()).part("loss_terms", "spread").power == 3.0
    without = TrainImagesOptions.of(**given, lossTerms=("ms",), spreadPower=3.0)
    with pytest.raises(UserError, match="it is an option of `loss_terms` spread, not of ms"):
        without.refuse_unused()
    with pytest.raises(SystemExit):
        main(["--mode", "train", "--descType", "resnet18", "--plugin", str(spread), "--help"])
    shown = capsys.readouterr().out
    assert "as published: ms, distillation" in " ".join(shown.split())
    assert "--spreadPower FLOAT" in shown


def test_a_changed_choice_of_terms_leaves_behind_the_options_of_those_it_drops(spread, tmp_path):
    config = tmp_path / "options.toml"
    config.write_text(f'plugin = ["{spread}"]\nlossTerms = ["ms", "spread"]\nspreadPower = 3.0\n')
    kept = TrainImagesOptions.of(config=config, lossTerms=("spread:2", "ms"))
    assert kept.part("loss_terms", "spread").power == 3.0
    assert "power" not in TrainImagesOptions.of(config=config, lossTerms=("ms",)).chosen


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (SPREAD.replace("--spreadPower", "--amp"), "is taken by --mode train itself (--amp); rename it"),
        (SPREAD.replace("--spreadPower", "--placeOrder"), "is taken by --mode train itself (--placeOrder); rename it"),
        (SPREAD.replace("--spreadPower", "--vladClusters"), "is taken by 'resnet18' (vlad_clusters, --vladCl"),
        (SPREAD.replace('{"spread"', '{"ms"'), "adds 'ms' to LOSS_TERMS, which has one"),
    ],
)
def test_options_of_a_term_may_not_be_taken_for_others(spread, text, message):
    spread.write_text(text)
    with pytest.raises(UserError, match=re.escape(message)):
        load_plugin(spread)


def test_two_terms_do_not_share_an_option(spread):
    second = 'LOSS_TERMS = {"spread": SpreadOptions, "wide": WideOptions}'
    wide = SPREAD[SPREAD.index("@dataclass") : SPREAD.index("LOSS_TERMS")].replace("SpreadOptions", "WideOptions")
    spread.write_text(SPREAD[: SPREAD.index("LOSS_TERMS")] + wide + second)
    with pytest.raises(UserError, match=r"power, --spreadPower, of 'spread' is taken by 'wide' \(power"):
        load_plugin(spread)


def test_entries_of_one_registry_may_share_an_option(weighted):
    weighted.write_text(WEIGHTED.replace('"--bellWidth", 1.0', '"--w", 1.0').replace("width: float", "w: float"))
    load_plugin(weighted)
    assert TrainOptions.of(pooling="weighted", w=2.0).part("pooling").w == 2.0


def test_an_entry_may_be_text_that_says_where_its_class_is(tmp_path):
    path = tmp_path / "text.py"
    path.write_text('SEQUENCE_ENCODERS = {"again": "opticornet.models.sequences.seqnet:SeqNetOptions"}')
    options = TrainOptions.of(plugin=[path], pooling="again", w=2)
    assert TrainOptions.of(plugin=[path], pooling="again", w=2) == options  # added a second time


def test_an_installed_package_may_announce_a_plugin(monkeypatch, weighted):
    class Point:
        value = "somewhere:module"

        def load(self):
            namespace = type(plugins)("somewhere")
            exec(textwrap.dedent(WEIGHTED), vars(namespace))
            return namespace

    monkeypatch.setattr(plugins.metadata, "entry_points", lambda group: [Point()] if group == plugins.GROUP else [])
    plugins.load_installed()
    plugins.load_installed()  # once per process, however often it is asked for
    assert "weighted" in SEQUENCE_ENCODERS

    class Broken(Point):
        value = "nowhere:module"

        def load(self):
            raise ImportError("no module named nowhere")

    monkeypatch.setattr(plugins.metadata, "entry_points", lambda group: [Broken()])
    with pytest.raises(UserError, match=r"installed plugin nowhere:module fails: ImportError"):
        plugins.load_installed()
