"""A flag that changes nothing is refused, whatever mode it belongs to, and says why."""

import pytest

from opticornet.cli import main
from opticornet.datasets.catalogue import BUILT_IN
from opticornet.options.shared import SEQNET_DATASETS

MARGIN = "--margin changes nothing here: it is an option of --loss quadruplet or triplet or max-margin, not of multi-"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("train --pooling seqnet --noLstm", "--noLstm changes nothing here: it is an option of --pooling dsdnet"),
        ("train --pooling delta-lstm --init random", "--init changes nothing here"),
        ("train --loss multi-similarity --margin 5", MARGIN),
        ("train --loss triplet --margin2 0.01", "--margin2 changes nothing here: it is an option of --loss quadruplet"),
        ("train --optim ADAM --momentum 0.1", "--momentum changes nothing here: it is an option of --optim SGD"),
        ("train --lrStep 5", "--lrStep changes nothing here: it is an option of --lrSchedule step, not of cosine"),
        ("train --msls_trainCity cph", "--msls_trainCity changes nothing here: it is for --dataset msls"),
        (
            "test --pooling single+seqmatch --index IVF8,Flat",
            "--index changes nothing here: no descriptors",
        ),
        ("test --pooling single --nprobe 3", "--nprobe changes nothing here: an index Flat has no lists"),
        ("test --pooling single --extractOnly --resultsPath x --rerank local", "--rerank changes nothing here"),
        ("test --pooling single --extractOnly --resultsPath x --topK 5", "--topK changes nothing here"),
        ("test --pooling single --velocities 1 1 1", "--velocities changes nothing here: no frames are matched"),
        ("test --pooling single+seqmatch --contrastWindow 5", "it is an option of --matcher seqslam, not of diagonal"),
        ("test --pooling single --rerankSeqL 5", "it is an option of --rerank single+seqmatch or s1+seqmatch or local"),
        (
            "test --pooling single --rerank local --rerankResume x",
            "it is an option of --rerank s1+seqmatch, not",
        ),
        (
            "test --pooling single --rerank local --rerankSeqL 1 --reverse",
            "--reverse changes nothing here: single frames are compared",
        ),
        ("test --pooling single --amp", "--amp changes nothing here: no encoder computes matrix products"),
        ("test --pooling single+seqmatch --amp", "--amp changes nothing here"),
        ("test --pooling delta --rerank single+seqmatch --amp", "--amp changes nothing here"),
        ("test --pooling single --projector 9", "--projector changes nothing here: nothing is kept to show it in"),
        ("train --noDelta --noLstm", "--noLstm changes nothing here: --noDelta leaves the LSTM out already"),
        ("train --noLstm --noResidual", "--noResidual changes nothing here: --noLstm leaves the LSTM out"),
        ("compare --diff a.json b.json --sort R@1", "--sort changes nothing here: two results are compared, not runs"),
        ("check --seed 5", "--seed changes nothing here"),
        (
            "prepare --source oxford --root . --output x --frameList y --spacing 3",
            "--spacing changes nothing here: --frameList says which frames to take",
        ),
        ("test --pooling single --ckpt latest", "--ckpt changes nothing here: no weights are loaded"),
        ("check --structPath x", "--structPath changes nothing here: it is for --dataset nordland-sw"),
        (
            "compare --diff a b --csv x",
            "--csv changes nothing here: two results are compared, not runs; leave out --diff",
        ),
        ("prepare --source vpr-bench --root . --output x --spacing 3", "it is an option of --source oxford"),
        ("extract --descType scicevpr --images x --output x.npy --imageSize 3 3", "--imageSize changes nothing here"),
        ("extract --descType hog --images x --output x.npy --pool gem", "--pool changes nothing here"),
    ],
)
def test_what_changes_nothing_is_refused(tmp_path, monkeypatch, capsys, line, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "inner").mkdir()
    words = line.replace("--root . --output x", "--root inner --output x").split()
    assert main(["--mode", *words]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_the_datasets_in_seqnets_layout_are_all_that_is_built_in_but_the_simulations():
    assert set(SEQNET_DATASETS) == set(BUILT_IN) - {"synthetic", "synthetic-20k"}
