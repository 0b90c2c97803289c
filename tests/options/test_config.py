"""Options from a file: flags override them, unknown keys are refused, a run can be repeated by its own."""

import json
import tomllib

import pytest
import torch

from opticornet.cli import main
from opticornet.options.config import write_config
from opticornet.options.modes import PrepareOptions, TrainOptions
from opticornet.options.parsing import parse
from opticornet.steps.training.check import check_training_options
from opticornet.utils.checkpoints import load_checkpoint
from opticornet.utils.errors import UserError

ADAGRAD = """
from dataclasses import dataclass

from torch.optim import Adagrad

from opticornet.learning.optimizers.base import OptimizerOptions
from opticornet.utils.options import option


@dataclass(frozen=True, kw_only=True)
class AdagradOptions(OptimizerOptions):
    lr_decay: float = option("--lrDecay", 0.0, "decay of the learning rate")

    def build(self, parameters, lr, weight_decay):
        return Adagrad(parameters, lr, self.lr_decay, weight_decay)


OPTIMIZERS = {"ADAGRAD": AdagradOptions}
"""


def write(tmp_path, text):
    path = tmp_path / "options.toml"
    path.write_text(text)
    return str(path)


def test_flags_override_the_file_and_both_count_as_given(tmp_path):
    path = write(tmp_path, 'pooling = "seqnet"\nseqL = 7\nw = 2\nlr = 1\nplugin = []\n')
    mode, options = parse(["--config", path, "--seqL", "9"])
    assert mode == "train"
    assert (options.pooling, options.sequence_length, options.lr, options.part("pooling").w) == ("seqnet", 9, 1.0, 2)
    assert {"pooling", "sequence_length", "w", "lr"} <= options.given
    assert TrainOptions.of(config=path, seqL=9).record() == options.record()


def test_the_file_may_name_the_mode(tmp_path):
    path = write(tmp_path, 'mode = "test"\nradii = [1, 2.5]\n')
    mode, options = parse(["--config", path])
    assert (mode, options.radii) == ("test", (1.0, 2.5))
    with pytest.raises(UserError, match="is for another mode than train"):
        parse(["--mode", "train", "--config", path])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nEpoch = 5", "unknown option nEpoch (did you mean nEpochs?)"),
        ('lr = "fast"', "--lr 'fast': wanted a number"),
        ("seqL = 2.5", "--seqL 2.5: wanted a whole number"),
        ("amp = 1", "--amp 1: wanted true or false"),
        ('loss = "none"', "--loss none"),
        ("[train]\nlr = 1", "[train] is a table; wanted options, each a name = a value"),
        ("lr = = 1", "is not TOML"),
        ('mode = "fly"', "there is no mode fly"),
        ('mode = ["train"]', "mode ['train']: wanted text"),
        ("plugin = 3", "--plugin 3: wanted several values, each text"),
        ("plugin = [3]", "--plugin 3: wanted text"),
        ("seqL = 5\nsequence_length = 6", "--seqL was given twice, by its name and by its flag"),
        ('pooling = "delta-lstm"\nnoLstm = true', "--noLstm changes nothing here: it is an option of --pooling dsdnet"),
    ],
)
def test_a_bad_file_is_one_line(tmp_path, capsys, text, message):
    assert main(["--config", write(tmp_path, text)]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_a_number_is_no_file():
    with pytest.raises(UserError, match="`config` 3: wanted the path of a TOML file"):
        TrainOptions.of(config=3)


def test_an_argument_by_flag_overrides_the_file_s_by_name(tmp_path):
    path = write(tmp_path, "sequence_length = 7")
    assert TrainOptions.of(config=path, seqL=9).sequence_length == 9
    with pytest.raises(UserError, match="`sequence_length` was given twice"):
        TrainOptions.of(seqL=9, sequence_length=9)


def test_a_missing_file_is_one_line(tmp_path, capsys):
    assert main(["--config", str(tmp_path / "none.toml")]) == 2
    assert "none.toml cannot be read" in capsys.readouterr().err


def test_a_run_is_repeated_by_its_own_options(tmp_path, capsys):
    line = ["--mode", "train", "--nEpochs", "1", "--w", "2", "--outDims", "24", "--seqL", "4", "--quiet"]
    assert main([*line, "--runsPath", str(tmp_path / "first"), "--device", "cpu", "--threads", "1"]) == 0
    (run,) = (tmp_path / "first").iterdir()
    stored = tomllib.loads((run / "options.toml").read_text())
    flags = json.loads((run / "checkpoints" / "flags.json").read_text())
    assert {key: flags[key] for key in stored} == stored
    assert main(["--config", str(run / "options.toml"), "--runsPath", str(tmp_path / "again")]) == 0
    (again,) = (tmp_path / "again").iterdir()
    one, other = (load_checkpoint(r / "checkpoints" / "checkpoint.pth.tar")["state_dict"] for r in (run, again))
    assert all(torch.equal(one[key], other[key]) for key in one)
    changed = [(run / "options.toml").read_text(), (again / "options.toml").read_text()]
    assert changed[0].replace(str(tmp_path / "first"), str(tmp_path / "again")) == changed[1]


def test_what_an_entry_does_not_use_is_not_repeated():
    repeated = PrepareOptions.of(source="oxford", frame_list="names.txt").repeatable()
    assert "spacing" not in repeated
    assert repeated["frameList"] == "names.txt"
    assert "spacing" in PrepareOptions.of(source="oxford").repeatable()
    PrepareOptions.of(**repeated).refuse_unused()


def test_a_part_of_the_method_is_left_out_of_a_file_of_all_options(tmp_path):
    path = tmp_path / "options.toml"
    write_config(path, TrainOptions.of().repeatable())
    options = TrainOptions.of(config=str(path), noDelta=True)
    options.refuse_unused()
    assert options.part("pooling").no_delta


def test_a_flag_that_chooses_otherwise_replaces_the_options_of_the_choice(tmp_path):
    path = tmp_path / "options.toml"
    write_config(path, TrainOptions.of(margin=0.3, w=2, noResidual=True, optim="SGD").repeatable())
    options = TrainOptions.of(config=str(path), loss="triplet", pooling="seqnet", optim="ADAM")
    options.refuse_unused()
    assert (options.part("loss").margin, options.part("pooling").w) == (0.3, 2)  # both losses have it, both methods
    assert options.chosen.keys() & {"margin2", "no_residual", "dsd_fusion", "momentum"} == set()
    _, parsed = parse(["--config", str(path), "--loss", "triplet", "--pooling", "seqnet", "--optim", "ADAM"])
    assert parsed == options
    with pytest.raises(UserError, match="`margin2` changes nothing here"):  # what was typed is refused still
        TrainOptions.of(config=str(path), loss="triplet", margin2=0.01).refuse_unused()


def test_a_file_may_name_the_plugin_whose_options_it_holds(tmp_path, registries_as_before):
    plugin = tmp_path / "adagrad.py"
    plugin.write_text(ADAGRAD)
    path = write(tmp_path, f'plugin = ["{plugin}"]\noptim = "ADAGRAD"\nlrDecay = 0.5\n')
    assert TrainOptions.of(config=path).part("optim").lr_decay == 0.5


def test_the_published_recipe_is_what_it_says():
    mode, options = parse(["--config", "sta", "--dataset", "set"])
    assert mode == "train"
    check_training_options(options.completed())
    assert (options.lr, options.optim, options.schedule, options.seed) == (1e-5, "ADAM", "constant", 43)
    assert (options.batch_size, options.n_neg, options.loss) == (4, 5, "max-margin")
    assert (options.cache_refresh_rate, options.n_neg_sample, options.queries_per_epoch) == (1000, 1000, 5000)
    assert (options.patience, options.select_by, options.n_epochs) == (5, "recall@5", 100)
    assert options.part("loss").margin == 0.1
    decided = options.part("pooling").decided(0, options.sequence_length)
    assert (decided.sta_image_size, decided.sta_layers, decided.sta_clusters) == ((384, 384), 4, 64)
