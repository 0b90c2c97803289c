"""What results are called beside each other. The records here hold what a test's do, as far as labels read it."""

import pytest

from opticornet.evaluation.records import load_record
from opticornet.reports.labels import labels
from opticornet.reports.protocols import group_by_protocol
from opticornet.reports.results import read_results
from opticornet.reports.table import as_latex


def record(pooling="dsdnet", length=5, *, searched=True, dataset="route", run=None, options=(), **method):
    """A test's record: ``run`` is the flags of its run, ``options`` those of the test."""
    own = {"pooling": pooling, "sequence_length": length, "out_dims": 64 if searched else 0, "amp": False}
    own |= {"index": "Flat"} if searched else {"matcher": "diagonal", "matcher_options": {}}
    if run is not None:
        own["weights"] = {"path": f"data/runs/{run.pop('name', 'run')}/checkpoints/model_best.pth.tar", "flags": run}
    return {"data": {"dataset": dataset, "split": "test"}, "method": own | method, "options": dict(options)}


def matched(length=10, **more):
    return record("single+seqmatch", length, searched=False, **more)


def called(*records):
    return labels(records, [f"Nov28_03-37-33_l10_-{number}" for number in range(len(records))])


def test_matchers_and_directions_tell_results_apart():
    reverse, both = (matched(direction=direction) for direction in ("reverse", "both"))
    seqslam = matched(matcher="seqslam", matcher_options={"speeds": [0.8, 1.2]})
    dtw = matched(matcher="dtw", matcher_options={})
    assert called(matched(), seqslam, dtw, reverse, both) == [
        "single+seqmatch (diagonal)",
        "single+seqmatch (seqslam)",
        "single+seqmatch (dtw)",
        "single+seqmatch (reverse; diagonal)",
        "single+seqmatch (either direction; diagonal)",
    ]


def test_what_all_have_in_common_is_not_told():
    assert called(record(index="IVF64,Flat", amp=True), record("seqnet", index="IVF64,Flat", amp=True)) == [
        "dsdnet",
        "seqnet",
    ]
    assert called(record(), record("single", 5), matched(5)) == ["dsdnet", "single", "single+seqmatch"]
    assert called(record(), record("single", 1), matched()) == ["dsdnet S5", "single S1", "single+seqmatch L10"]


def test_indices_and_their_settings():
    probed = [record(index="IVF64,Flat", index_settings={"nlist": 64, "nprobe": n}) for n in (1, 8)]
    assert called(record(), *probed) == [
        "dsdnet (exact search)",
        "dsdnet (IVF64,Flat; nprobe 1)",
        "dsdnet (IVF64,Flat; nprobe 8)",
    ]


def test_maps_at_several_paces_are_told_and_their_cost():
    paced = [record(map_paces=[1.0, 0.5, 2.0], pace_cost=cost) for cost in (0.02, 0.1)]
    assert called(record(map_paces=[1.0], pace_cost=None), *paced) == [
        "dsdnet",
        "dsdnet (map at paces 1 0.5 2; paceCost 0.02)",
        "dsdnet (map at paces 1 0.5 2; paceCost 0.1)",
    ]
    assert called(record(), paced[0]) == ["dsdnet", "dsdnet (map at paces 1 0.5 2)"]


def test_options_of_a_matcher_are_told_where_it_was_used_with_two():
    speeds = [matched(matcher="seqslam", matcher_options={"speeds": [low, 1.2]}) for low in (0.8, 0.9)]
    assert called(*speeds) == ["single+seqmatch (speeds 0.8 1.2)", "single+seqmatch (speeds 0.9 1.2)"]


def test_seeds_and_other_options_of_runs_are_told_where_nothing_else_does():
    runs = [record(run={"pooling": "dsdnet", "seed": seed, "lr": 1e-4, "name": f"r{seed}"}) for seed in (1, 2)]
    assert called(*runs) == ["dsdnet (seed 1)", "dsdnet (seed 2)"]
    assert called(*runs, record("single")) == ["dsdnet (seed 1)", "dsdnet (seed 2)", "single"]


def test_a_seed_of_a_test_without_weights():
    assert called(*(matched(options={"seed": seed}) for seed in (1, 2))) == [
        "single+seqmatch (seed 1)",
        "single+seqmatch (seed 2)",
    ]


def test_a_test_option_that_its_run_has_otherwise_says_whose_it_is():
    tests = [record(run={"seed": 1}, options={"seed": seed}) for seed in (5, 6)]
    assert called(*tests) == ["dsdnet (test seed 5)", "dsdnet (test seed 6)"]


def test_names_of_experiments_tell_apart_what_options_do_not():
    assert called(*(matched(options={"expName": name}) for name in ("", "wet"))) == [
        "single+seqmatch",
        "single+seqmatch (wet)",
    ]
    runs = [record(run={"expName": "same", "name": name}) for name in ("Nov1", "Nov2")]
    assert called(*runs) == ["dsdnet (Nov1)", "dsdnet (Nov2)"]


def test_a_test_done_twice_is_numbered():
    assert called(matched(), matched()) == ["single+seqmatch", "single+seqmatch (2)"]


def test_one_result_of_each_dataset_needs_no_more():
    assert called(record(), record(dataset="other"), record("single")) == ["dsdnet", "dsdnet", "single"]


def test_re_ranking_does_not_read_as_better_than():
    first = record(rerank="s1+seqmatch", rerank_length=5, top_k=20, matcher="diagonal")
    second = record(rerank="s1+seqmatch", rerank_length=10, top_k=20, matcher="diagonal")
    assert called(first, record()) == ["dsdnet, re-ranked by s1+seqmatch", "dsdnet"]
    assert called(first, second) == ["dsdnet, re-ranked by s1+seqmatch L5", "dsdnet, re-ranked by s1+seqmatch L10"]


def test_image_encoders_are_told_and_random_weights_always():
    def by(encoder, kind):
        one = record()
        one["data"]["reference"] = {"descriptors": {"encoder": encoder, "weights": {"kind": kind}}}
        return one

    assert called(by("hog", "none"), by("resnet18", "random")) == ["dsdnet (hog)", "dsdnet (resnet18; random resnet18)"]
    assert called(by("resnet18", "random"), by("resnet18", "random"))[0] == "dsdnet (random resnet18)"


def test_weights_trained_from_random_ones_are_told_where_others_are_published():
    def trained(start):
        return record("sta", weights={"flags": {"startedFrom": start}})

    assert called(trained("random weights"), trained("sta.pth")) == ["sta (from random weights)", "sta"]


def test_a_given_label_is_taken_as_it_is():
    assert called(record(options={"label": "Ours"}), record(options={"label": "Ours", "seed": 1}), record()) == [
        "Ours",
        "Ours (2)",
        "dsdnet",
    ]


def test_one_result_alone_has_the_label_of_its_record():
    assert called(record(label="dsdnet S5 (bfloat16)", amp=True)) == ["dsdnet S5 (bfloat16)"]
    assert labels([{}], ["file"]) == ["file"]
    assert labels([{}, {"method": 3, "data": [], "options": None}], ["a", "b"]) == ["a", "b"]


@pytest.fixture
def tested(tmp_path):
    """test("--matcher", "dtw") -> the record's path."""
    from opticornet.cli import main

    def run(*flags):
        before = set(tmp_path.glob("*.json"))
        line = ["--mode", "test", "--pooling", "single+seqmatch", "--seqL", "5", "--resultsPath", str(tmp_path)]
        assert main([*line, "--bootstrap", "0", "--latencyQueries", "0", *flags]) == 0
        (path,) = set(tmp_path.glob("*.json")) - before
        return path

    return run


def test_real_records_are_told_apart_in_latex_too(tested):
    paths = [tested(), tested("--matcher", "dtw"), tested("--reverse"), tested("--seed", "7"), tested("--expName", "x")]
    results, _ = read_results(paths)
    names = [result.name for result in results]
    assert len(set(names)) == 5
    latex = as_latex(results, group_by_protocol(results))
    assert all(f"{name} &" in latex for name in names)
    assert "[" not in "".join(names)


def test_a_label_is_kept_in_the_record_and_its_name_carries_the_method(tested):
    path = tested("--label", "Matched")
    assert load_record(path)["method"]["label"] == "Matched"
    assert "_single+seqmatch_l5_" in path.name
