"""Re-ranking that knows what was searched: never below either of its stages on val, and the record says how."""

import json

import numpy as np
import pytest

from opticornet.cli import main
from opticornet.evaluation.answering import search
from opticornet.evaluation.rerank_weight import CRITERION
from opticornet.options.modes import TestOptions
from opticornet.steps import test as steps_test
from opticornet.steps.test import test as run_test
from opticornet.steps.testing import choosing
from opticornet.steps.testing import rerank_weight as steps
from opticornet.utils.errors import UserError

PLACES = 160


def write(folder, val=True):
    """Two noisy drives over the same places."""
    folder.mkdir(exist_ok=True)
    generator = np.random.default_rng(2)
    places = generator.standard_normal((PLACES, 24))
    for name in ("day", "night"):
        frames = places + 0.9 * generator.standard_normal(places.shape)
        np.save(folder / f"{name}.npy", frames.astype(np.float32))
    toml = ['name = "made"', 'units = "frames"']
    toml += [f'traverses.{name}.descriptors = "{name}.npy"' for name in ("day", "night")]
    for split, start, stop in (("val", 0, 70), ("test", 80, 160), ("test-other", 90, 150)):
        if split != "val" or val:
            toml += [f"[splits.{split}]", "reference = 'day'\nquery = 'night'\npositive_radius = 1"]
            toml += [f"reference_rows = [{start}, {stop}]\nquery_rows = [{start}, {stop}]"]
    (folder / "dataset.toml").write_text("\n".join(toml))
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write(tmp_path_factory.mktemp("made"))


def answer(folder, out, **options):
    given = {"pooling": "smooth", "sequence_length": 3, "rerank": "single+seqmatch", "latency_queries": 0}
    given |= {"dataset": str(folder), "results_path": str(out), "bootstrap": 0, "device": "cpu"} | options
    record = run_test(TestOptions.of(**{name: value for name, value in given.items() if value != ""}))
    return record, np.load(out / record.predictions, allow_pickle=False)


def test_weight_0_is_matching_alone_and_1_the_search(folder, tmp_path):
    searched, found = answer(folder, tmp_path, rerank="", recall_at=(1, 5, 20))
    record, arrays = answer(folder, tmp_path, rerank_weight="1", recall_at=(1, 5, 20))
    assert record.recall == searched.recall
    assert np.array_equal(arrays["preds"], found["preds"][:, :20])
    np.testing.assert_allclose(arrays["distances"], found["distances"][:, :20], rtol=1e-6)
    alone, _ = answer(folder, tmp_path, pooling="single+seqmatch", rerank="")
    record, arrays = answer(folder, tmp_path, rerank_weight="0", top_k=70)
    assert record.recall["1"] == alone.recall["1"]
    assert record.method.rerank_weight.criterion == "given"


def test_between_them_the_distance_is_their_mean(folder, tmp_path):
    distances = {}
    for weight in ("0", "0.3", "1"):
        _, arrays = answer(folder, tmp_path, rerank_weight=weight, equal_windows="each")
        order = arrays["preds"].argsort(axis=1)
        distances[weight] = np.take_along_axis(arrays["distances"], order, axis=1)
        assert (np.diff(arrays["distances"], axis=1) >= 0).all()
    np.testing.assert_allclose(distances["0.3"], 0.7 * distances["0"] + 0.3 * distances["1"], rtol=1e-5)


def test_by_default_it_is_chosen_on_val_and_the_record_says_how(folder, tmp_path):
    record, _ = answer(folder, tmp_path)
    chosen = record.method.rerank_weight
    assert (chosen.chosen_on, chosen.criterion) == (("val",), CRITERION)
    assert {"0", "1", f"{chosen.weight:g}"} <= set(chosen.measured)
    assert chosen.measured[f"{chosen.weight:g}"] >= max(chosen.measured["0"], chosen.measured["1"])
    again, _ = answer(folder, tmp_path, rerank_weight=f"{chosen.weight:g}")
    assert again.recall == record.recall
    written = json.loads((tmp_path / record.predictions).with_suffix(".json").read_text())
    assert written["method"]["rerank_weight"]["weight"] == chosen.weight
    assert written["options"]["rerankWeight"] == "auto"


def test_few_queries_of_val_are_joined_by_those_of_train(folder, tmp_path, monkeypatch, capsys):
    both = write(tmp_path / "both")
    toml = (both / "dataset.toml").read_text()
    train = toml[toml.index("[splits.val]") : toml.index("[splits.test]")].replace("splits.val", "splits.train")
    (both / "dataset.toml").write_text(toml + "\n" + train.replace("[0, 70]", "[80, 160]") + "\nnegative_radius = 5")
    record, _ = answer(both, tmp_path / "out", adapt="none")
    assert f"({CRITERION} on val, train)" in capsys.readouterr().out
    alone, _ = answer(folder, tmp_path / "alone", adapt="none")
    chosen, of_val = record.method.rerank_weight, alone.method.rerank_weight
    assert (chosen.chosen_on, of_val.chosen_on) == (("val", "train"), ("val",))
    assert chosen.measured["0"] != of_val.measured["0"]
    monkeypatch.setattr(steps, "MANY_QUERIES", 70)
    assert answer(both, tmp_path / "many", adapt="none")[0].method.rerank_weight == of_val
    monkeypatch.undo()
    tested, _ = answer(both, tmp_path / "train", splits=("train",), adapt="none")
    assert tested.method.rerank_weight.chosen_on == ("val",)


@pytest.mark.parametrize("quiet", [False, True])
def test_a_note_says_why_the_train_split_does_not_join(folder, tmp_path, capsys, quiet):
    both = write(tmp_path / "both")
    toml = (both / "dataset.toml").read_text()
    train = '[splits.train]\nreference = "day"\nquery = "night"\nreference_rows = [80, 82]\npositive_radius = 1'
    (both / "dataset.toml").write_text(f"{toml}\n{train}\nnegative_radius = 5")
    record, _ = answer(both, tmp_path / "out", adapt="none", quiet=quiet)
    assert record.method.rerank_weight.chosen_on == ("val",)
    notes = [line for line in capsys.readouterr().err.splitlines() if "train split" in line]
    assert len(notes) == (not quiet)
    for note in notes:
        assert note.startswith("note: --rerankWeight is chosen on val alone, as the train split cannot be opened: ")
        assert "--seqL" in note


def test_the_threshold_of_no_answer_is_of_distances_so_weighted(folder, tmp_path):
    record, arrays = answer(folder, tmp_path, no_answer="val", rerank_weight="1")
    searched, _ = answer(folder, tmp_path, no_answer="val", rerank="")
    assert record.no_answer.threshold == pytest.approx(searched.no_answer.threshold)
    assert np.array_equal(arrays["noAnswer"], arrays["distances"][:, 0] > record.no_answer.threshold)


@pytest.mark.parametrize("options", [{"direction": "both"}, {"rerank_length": 6}, {"rerank_length": 1}], ids=str)
def test_it_is_chosen_whatever_is_compared(folder, tmp_path, options):
    record, _ = answer(folder, tmp_path, **options)
    assert record.method.rerank_weight.chosen_on == ("val",)


def test_without_a_val_split_it_is_seqnets_and_the_summary_says_so(tmp_path, capsys):
    folder = write(tmp_path / "made", val=False)
    record, _ = answer(folder, tmp_path)
    assert record.method.rerank_weight.weight == 0
    assert record.method.rerank_weight.criterion == f"not chosen: {folder} has no val split"
    assert f"weight of the searched distance 0 (not chosen: {folder} has no val split)" in capsys.readouterr().out
    with pytest.raises(UserError, match=r"`rerank_weight` auto: .* has no val split; give a number from 0 to 1"):
        answer(folder, tmp_path, rerank_weight="auto")


def test_val_is_not_tested_with_what_was_chosen_on_it(folder, tmp_path):
    record, _ = answer(folder, tmp_path, splits=("val",))
    assert record.method.rerank_weight.criterion == "not chosen: the tested split is val itself"
    line = ["--mode", "test", "--dataset", folder, "--pooling", "smooth", "--seqL", 3, "--rerank", "single+seqmatch"]
    line += ["--split", "all", "--resultsPath", tmp_path / "all", "--bootstrap", 0, "--latencyQueries", 0]
    assert main([str(part) for part in line]) == 0
    records = [json.loads(path.read_text()) for path in (tmp_path / "all").glob("*.json")]
    chosen = {record["data"]["split"]: record["method"]["rerank_weight"]["chosen_on"] for record in records}
    assert chosen == {"val": [], "test": ["val"], "test-other": ["val"]}


def watched(monkeypatch, module, name):
    """A list of the arguments that a function of a module is called with from now on."""
    calls, original = [], getattr(module, name)
    monkeypatch.setattr(module, name, lambda *given: (calls.append(given), original(*given))[1])
    return calls


def test_val_is_answered_once_for_all_splits(folder, tmp_path, monkeypatch):
    opened, answered = (watched(monkeypatch, choosing, name) for name in ("open_scenes", "answer_queries"))
    given = {"pooling": "smooth", "sequence_length": 3, "rerank": "single+seqmatch", "splits": ("test", "test-other")}
    options = TestOptions.of(dataset=str(folder), bootstrap=0, device="cpu", quiet=True, **given)
    records = steps_test.test_splits(options)
    weights = {name: record.method.rerank_weight for name, record in records.items()}
    assert weights["test"] == weights["test-other"]
    assert weights["test"].chosen_on == ("val",)
    assert (len(opened), len(answered)) == (1, 1)
    assert answered[0][0].latency_queries == 0  # untimed


@pytest.mark.parametrize("paces", [(1.0,), (1.0, 0.5)])
def test_val_is_opened_and_its_map_encoded_once_for_weight_and_threshold(folder, tmp_path, monkeypatch, paces):
    opened, encoded = watched(monkeypatch, choosing, "open_scenes"), watched(monkeypatch, search, "encode_side")
    both, _ = answer(folder, tmp_path, no_answer="val", map_paces=paces)
    assert len(opened) == 1
    of_val = [side.traverse.name for _, side, *_ in encoded if len(side) == 70]
    assert of_val == ["day"] * len(paces) + ["night"] * 2
    weight = both.method.rerank_weight
    threshold, _ = answer(folder, tmp_path, no_answer="val", rerank_weight=repr(weight.weight), map_paces=paces)
    assert both.no_answer == threshold.no_answer
    alone, _ = answer(folder, tmp_path, map_paces=paces)
    assert (alone.method.rerank_weight, alone.recall) == (weight, both.recall)


def test_it_is_an_option_of_matching_only(folder, tmp_path):
    with pytest.raises(UserError, match="`rerank_weight` changes nothing here"):
        answer(folder, tmp_path, rerank="", rerank_weight="0.5")
