"""The command line: flags set and remembered, bad ones refused in one line, help."""

import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from opticornet.options.modes import MODES, TestOptions, TrainOptions
from opticornet.options.parsing import parse
from opticornet.utils.errors import UserError


def test_train_is_the_mode_of_flags_without_one_and_defaults_are_the_dataclasses():
    assert parse(["--mode", "train"]) == ("train", TrainOptions())
    assert parse(["--seqL", "5"]) == ("train", TrainOptions.of(sequence_length=5))


def test_no_arguments_at_all_show_help(capsys):
    with pytest.raises(SystemExit) as caught:
        parse([])
    assert caught.value.code == 0
    assert "--mode train" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        (["--mode", "test", "--seql", "5"], "--seql 5 (did you mean --seqL?); see"),
        (["--mode", "test", "--polling=single"], "--polling=single (did you mean --pooling?)"),
        (["--mode", "train", "--marginn", "1"], "did you mean --margin?"),  # of a loss
        (["--mode", "train", "--topK", "5"], "--topK 5 (it is of --mode test)"),
        (["--mode", "tran"], "invalid choice: 'tran' (did you mean train?)"),
        (["--mode", "test", "--pooling", "dsdnt"], "(did you mean dsdnet?)"),
        (["--xyzzyxyz"], "unrecognized arguments: --xyzzyxyz; see"),
        (["--mode", "test", "data"], "unrecognized arguments: data; see"),
    ],
)
def test_what_was_probably_meant_is_named(arguments, meant):
    with pytest.raises(UserError) as caught:
        parse(arguments)
    assert meant in str(caught.value)


def test_given_flags_are_set_and_remembered():
    mode, options = parse(["--mode", "test", "--seqL", "10", "--radii", "1", "2.5", "--reverse"])
    assert mode == "test"
    assert (options.sequence_length, options.radii, options.reverse) == (10, (1.0, 2.5), True)
    assert options.given == {"sequence_length", "radii", "reverse"}
    assert options == TestOptions.of(sequence_length=10, radii=(1.0, 2.5), reverse=True)


def test_resume_without_a_value_means_the_newest_run():
    assert parse(["--resume"])[1].resume == "newest"
    assert parse(["--resume", "data/runs/x"])[1].resume == "data/runs/x"


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--bogus"], "--bogus"),
        (["--seqL", "five"], "--seqL"),
        (["--seqL"], "--seqL"),
        (["--pooling", "transformer"], "transformer"),
        (["--mode", "fly"], "fly"),
        (["--mode", "train", "--topK", "5"], "--topK"),
        (["--seq", "5"], "--seq"),  # no abbreviations: a new flag must not change an old command
    ],
)
def test_bad_arguments_are_one_line_that_names_them(arguments, named):
    with pytest.raises(UserError) as caught:
        parse(arguments)
    assert named in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("mode", MODES)
def test_every_flag_has_a_help_text_and_help_prints(mode, capsys):
    for f in fields(MODES[mode]):
        assert f.name in ("given", "chosen") or f.metadata["help"]
    with pytest.raises(SystemExit) as caught:
        parse(["--mode", mode, "--help"])
    assert caught.value.code == 0
    assert "--" in capsys.readouterr().out


def test_help_lists_the_modes_without_heavy_imports(root):
    code = "import sys, main\ntry: main.main(['--help'])\nfinally: print(sorted({'torch', 'numpy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for mode in MODES:
        assert f"--mode {mode}" in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_flag_takes_several_values_where_the_chosen_one_does():
    line = ["--mode", "prepare", "--query", "a", "b", "--source"]
    assert parse([*line, "folders"])[1].part("source").query == ("a", "b")
    assert parse(["--mode", "prepare", "--source", "folders", "--query", "a"])[1].part("source").query == ("a",)
    assert parse(["--mode", "prepare", "--source", "vpr-bench", "--query", "a"])[1].part("source").query == "a"
    with pytest.raises(UserError, match=r"`query` \('a', 'b'\): wanted text"):
        parse([*line, "vpr-bench"])


@pytest.mark.parametrize(
    ("arguments", "flag"),
    [
        (["--mode", "train", "--lr", "1", "--lr", "2"], "--lr"),
        (["--mode", "train", "--lr=1", "--lr", "1"], "--lr"),
        (["--mode", "train", "--cachedNegatives", "1", "--nNegSample", "1"], "--nNegSample"),
        (["--mode", "prepare", "--source", "msls", "--testCity", "cph", "--testCity", "sf"], "--testCity"),
        (["--mode", "test", "--amp", "--amp"], "--amp"),
        (["--mode", "test", "--mode", "train"], "--mode"),
        (["--config", "a.toml", "--config", "b.toml"], "--config"),
    ],
)
def test_a_flag_that_is_given_twice_is_refused(arguments, flag):
    with pytest.raises(UserError, match=f"^{flag} is given twice; give it once, with all its values"):
        parse(arguments)


@pytest.mark.parametrize("flag", ["cachedNegatives", "nNegSample"])
def test_an_option_may_have_another_flag(tmp_path, flag):
    (tmp_path / "options.toml").write_text(f"{flag} = 7")
    for line in ([f"--{flag}", "7"], ["--config", str(tmp_path / "options.toml")]):
        options = parse(["--mode", "train", *line])[1]
        assert options.n_neg_sample == 7
        assert options.record()["nNegSample"] == 7
        assert "cachedNegatives" not in options.record()
    assert type(options).of(**{flag: 7}).n_neg_sample == 7


def test_a_plugin_may_be_given_again(tmp_path):
    for name in ("a", "b"):
        (tmp_path / f"{name}.py").write_text("LOSSES = {}")
    arguments = ["--mode", "train", "--plugin", str(tmp_path / "a.py"), "--plugin", str(tmp_path / "b.py")]
    assert [Path(path).name for path in parse(arguments)[1].plugin] == ["a.py", "b.py"]


def test_a_flag_that_several_choices_have_takes_what_the_chosen_one_takes():
    line = ["--mode", "extract", "--images", "x", "--output", "x.npy", "--descType"]
    assert parse([*line, "dinov2_vits14", "--pool", "cls"])[1].part("desc_type").pool == "cls"
    assert parse([*line, "resnet18", "--pool", "gmp"])[1].part("desc_type").pool == "gmp"
    with pytest.raises(UserError, match=r"`pool` cls.*: choose one of gem, gmp"):
        parse([*line, "resnet18", "--pool", "cls"])


def shown(mode, capsys):
    """The help of a mode, a line per option."""
    with pytest.raises(SystemExit):
        parse(["--mode", mode, "--help"])
    return " ".join(capsys.readouterr().out.split()).replace(" --", "\n--")


def test_help_says_where_entries_have_other_defaults(capsys):
    text = shown("prepare", capsys)
    assert "nordland: reference traverse, a folder; or several (default summer); oxford: reference traverse" in text
    assert "folders: reference traverse, a folder; or several: one map of all; vpr-bench:" in text
    assert "default: 1 or 10; utm-names: metres within which a match is correct (default 25.0)" in text
    assert "--camera STR folder of the images in a traverse (default stereo/left)" in text


def test_help_groups_the_options_of_every_mode_last(capsys):
    text = shown("test", capsys).partition("show this help")[2]
    assert text.index("Where options and additions come from:") > text.index("--report STR")
    assert text.index("\n--config STR") > text.index("\n--dataset STR")
    assert "hub:\n--imageSize" in shown("extract", capsys)
