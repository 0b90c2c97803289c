"""Every flag of the command line: one dataclass a mode, and what several modes share.

Nothing heavy is imported here: ``python main.py --help`` answers at once.
"""

import argparse
import os
from dataclasses import dataclass

from opticornet.models.sequences import SEQUENCE_ENCODERS
from opticornet.options.flags import OneLineParser, Options, add_flags, option

NEWEST = "newest"
MATCHED = ("single+seqmatch", "s1+seqmatch")  # methods that match frames instead of searching descriptors


@dataclass(frozen=True, kw_only=True)
class DataOptions(Options):
    """Which data."""

    dataset: str = option("--dataset", "synthetic", "built-in name, or a folder with a dataset.toml")
    data_path: str = option("--dataPath", "data", "where the built-in datasets' files are")
    desc_type: str = option("--descType", "netvlad-pytorch", "frame descriptor: a folder name below descData")
    struct_path: str = option("--structPath", "structFiles", "where seqNet's ground-truth files are")
    msls_train_city: str = option("--msls_trainCity", "melbourne", "MSLS city to train on")
    msls_val_city: str = option("--msls_valCity", "austin", "MSLS city to validate and test on")
    seed: int = option("--seed", 123, "seed of every random choice")

    def source(self) -> dict[str, str]:
        """The arguments of ``opticornet.datasets.catalogue.load_dataset`` besides the name."""
        return {name: getattr(self, name) for name in DATA_FIELDS if name != "dataset"}


DATA_FIELDS = ("dataset", "data_path", "desc_type", "struct_path", "msls_train_city", "msls_val_city")


@dataclass(frozen=True, kw_only=True)
class RunOptions(DataOptions):
    """Where runs live and which one to go on with."""

    runs_path: str = option("--runsPath", "data/runs", "folder of all runs")
    save_path: str = option("--savePath", "checkpoints", "folder of a run's checkpoints, inside the run")
    exp_name: str = option("--expName", "", "ending of the run's and the results' name")
    resume: str = option(
        "--resume", "", "run to resume, or a folder of runs for its newest; no value: the newest", const=NEWEST
    )
    device: str = option("--device", "auto", "where to compute", choices=("auto", "cpu", "cuda"))
    nocuda: bool = option("--nocuda", False, "same as --device cpu")
    threads: int = option("--threads", 0, "CPU threads; 0: all cores")
    quiet: bool = option("--quiet", False, "print results and errors only")
    verbose: bool = option("--verbose", False, "print details too")


@dataclass(frozen=True, kw_only=True)
class EncoderOptions(RunOptions):
    """What turns a window of frames into one vector."""

    pooling: str = option(
        "--pooling",
        "dsdnet",
        "sequence method",
        choices=(*SEQUENCE_ENCODERS, *MATCHED),
    )
    sequence_length: int = option("--seqL", 5, "frames in a window")
    out_dims: int = option(
        "--outDims", 0, "channels of the convolution; 0: three a frame dimension (one where w is 1), at most 1024"
    )
    w: int = option("--w", 3, "frames under the convolution's kernel")
    no_delta: bool = option("--noDelta", False, "dsdnet without temporal differencing (nor the LSTM on it)")
    no_lstm: bool = option("--noLstm", False, "dsdnet without the LSTM")
    no_residual: bool = option("--noResidual", False, "dsdnet without the residual around the LSTM")
    dsd_fusion: str = option("--dsdFusion", "concat", "how dsdnet joins mean and delta", choices=("sum", "concat"))
    filter_length: int = option(
        "--seqL_filterData",
        0,
        "drop frames whose centred window of this many frames leaves their sequence; 0: keep all (msls: --seqL)",
    )
    amp: bool = option("--amp", False, "bfloat16 matrix products")


ENCODER_FIELDS = ("pooling", "out_dims", "w", "no_delta", "no_lstm", "no_residual", "dsd_fusion")


@dataclass(frozen=True, kw_only=True)
class TrainOptions(EncoderOptions):
    """``--mode train``: learn a sequence encoder."""

    init: str = option(
        "--init", "whitening", "weights to start from, for methods that can whiten", choices=("whitening", "random")
    )
    loss: str = option("--loss", "quadruplet", "loss", choices=("quadruplet", "triplet", "multi-similarity"))
    margin: float = option("--margin", 0.1, "margin; seqNet's triplet takes its square root")
    margin2: float = option("--margin2", 0.05, "the quadruplet's second margin, below --margin")
    n_neg: int = option("--nNeg", 10, "hardest violating negatives an anchor")
    n_neg_sample: int = option("--nNegSample", 0, "random references searched for negatives; 0: all of them")
    batch_size: int = option("--batchSize", 32, "anchors a step")
    cache_refresh_rate: int = option("--cacheRefreshRate", 0, "anchors between two minings; 0: once an epoch")
    n_epochs: int = option("--nEpochs", 30, "epochs")
    optim: str = option("--optim", "ADAMW", "optimizer", choices=("SGD", "ADAM", "ADAMW"))
    lr: float = option("--lr", 1e-4, "learning rate; from random weights about 1e-3 is better")
    schedule: str = option("--lrSchedule", "cosine", "learning rate over the epochs", choices=("step", "cosine"))
    lr_step: int = option("--lrStep", 50, "epochs between two steps of the step schedule", minimum=1)
    lr_gamma: float = option("--lrGamma", 0.5, "factor of a step")
    weight_decay: float = option("--weightDecay", 0.0, "weight decay")
    momentum: float = option("--momentum", 0.9, "momentum of SGD")
    eval_every: int = option("--evalEvery", 1, "epochs between two validations")
    patience: int = option("--patience", 0, "validations without a better score before stopping; 0: never stop")


@dataclass(frozen=True, kw_only=True)
class TestOptions(EncoderOptions):
    """``--mode test``: encode, retrieve, re-rank, score, save."""

    __test__ = False  # not a test class, whatever pytest makes of its name

    split: str = option("--split", "test", "split to score", choices=("train", "val", "test"))
    ckpt: str = option("--ckpt", "best", "which checkpoint of the run", choices=("best", "latest"))
    index: str = option("--index", "Flat", "faiss index_factory string; Flat is exact")
    matcher: str = option("--matcher", "diagonal", "sequence matcher", choices=("diagonal", "seqslam", "dtw"))
    match_memory_mb: int = option("--matchMemory", 1024, "memory the sequence matcher may fill, in MiB")
    velocities: tuple[float, ...] = option(
        "--velocities", (0.8, 1.2, 0.1), "seqslam: slowest and fastest speed of the reference, and the step between"
    )
    contrast_window: int = option("--contrastWindow", 0, "seqslam: references around for contrast; 0: off")
    reverse: bool = option("--reverse", False, "match query windows backwards: the route driven the other way")
    rerank: str = option(
        "--rerank",
        "",
        "re-order the candidates by sequence matching, or by local features (extract --local)",
        choices=("single+seqmatch", "s1+seqmatch", "local"),
    )
    rerank_resume: str = option("--rerankResume", "", "run whose encoder describes single frames for s1+seqmatch")
    rerank_length: int = option("--rerankSeqL", 0, "frames a re-ranking window; 0: --seqL")
    top_k: int = option("--topK", 20, "candidates to re-rank")
    predictions_file: str = option("--predictionsFile", "", "re-rank the predictions of this results file instead")
    no_positive: str = option(
        "--noPositive", "drop", "queries without a reference in the radius", choices=("drop", "count")
    )
    radii: tuple[float, ...] = option("--radii", (1, 5, 10, 20, 40, 100, 200), "radii of the recall table")
    bootstrap: int = option("--bootstrap", 1000, "resamplings behind the 95 %% intervals; 0: none")
    latency_queries: int = option("--latencyQueries", 50, "queries timed one by one; 0: none")
    results_path: str = option("--resultsPath", "", "folder for predictions (.npz) and result record (.json)")
    extract_only: bool = option("--extractOnly", False, "only write dbDesc, qDesc and gt to --resultsPath")
    projector: int = option("--projector", 0, "embeddings of this many places for TensorBoard's projector")
    report: str = option("--report", "", "also write a report of this result to this folder")


@dataclass(frozen=True, kw_only=True)
class CheckOptions(DataOptions):
    """``--mode check``: open a dataset and say what is in it and what is wrong with it."""


@dataclass(frozen=True, kw_only=True)
class DemoOptions(Options):
    """``--mode demo``: train, test against every baseline, one table, on built-in data."""

    dataset: str = option("--dataset", "synthetic", "built-in name, or a folder with a dataset.toml")
    runs_path: str = option("--runsPath", "data/runs", "folder of all runs")
    results_path: str = option("--resultsPath", "data/results/demo", "folder for results")
    seed: int = option("--seed", 123, "seed of every random choice")


@dataclass(frozen=True, kw_only=True)
class ReportOptions(Options):
    """``--mode report``: result records to a page and figures."""

    results: tuple[str, ...] = option("--results", (), "result records (.json) that --mode test wrote")
    output: str = option("--output", "report", "folder for index.html, the tables and the figures")
    matrix_side: int = option("--matrixSide", 2000, "longest side of a similarity matrix in pixels; 0: no matrices")
    quiet: bool = option("--quiet", False, "print errors only")


@dataclass(frozen=True, kw_only=True)
class CompareOptions(Options):
    """``--mode compare``: runs side by side, or two results query by query."""

    runs: tuple[str, ...] = option("--runs", ("data/runs",), "run folders, or folders of runs")
    sort: str = option("--sort", "newest", "newest, R@1, R@5, time, or a flag without dashes")
    csv: str = option("--csv", "", "also write the table to this file")
    diff: tuple[str, ...] = option("--diff", (), "two result records: which queries only one of them gets right")
    save_path: str = option("--savePath", "checkpoints", "folder of a run's checkpoints, inside the run")


@dataclass(frozen=True, kw_only=True)
class PrepareOptions(Options):
    """``--mode prepare``: a public dataset, or your own drives, to a dataset folder.

    A flag that not every source takes names those that do.
    """

    source: str = option(
        "--source",
        "",
        "what --root is",
        choices=("nordland", "oxford", "msls", "folders", "utm-names", "vpr-bench"),
    )
    root: str = option("--root", "", "folder the dataset was unpacked to; it is left as it is")
    output: str = option("--output", "", "dataset folder to write")
    name: str = option("--name", "", "the dataset's name; default: the folder's")
    overwrite: bool = option("--overwrite", False, "replace an output that differs")
    quiet: bool = option("--quiet", False, "print errors only")
    reference: str = option("--reference", "", "reference traverse, a folder (all but msls, utm-names)")
    query: str = option("--query", "", "query traverse, a folder (all but msls, utm-names)")
    frame_list: str = option(
        "--frameList",
        "",
        "take the frames named in this file, one a line; {traverse} stands for the traverse (nordland, oxford, msls, "
        "folders)",
    )
    camera: str = option("--camera", "stereo/left", "folder of the images in a traverse (oxford)")
    poses: str = option("--poses", "ins", "source of positions (oxford)", choices=("ins", "rtk"))
    spacing: float = option("--spacing", 2.0, "metres between frames; 0: every image (oxford)")
    splits: str = option("--splits", "v1.0", "seqNet's, or all frames to test (oxford)", choices=("v1.0", "pnv", "all"))
    train_city: str = option("--trainCity", "", "city to train on (msls)")
    val_city: str = option("--valCity", "", "city to validate on (msls)")
    test_city: str = option("--testCity", "", "city to test on (msls)")
    subtask: str = option(
        "--subtask",
        "all",
        "which queries and references to validate and test on (msls)",
        choices=("all", "summer2winter", "winter2summer", "old2new", "new2old", "day2night", "night2day"),
    )
    break_gaps: bool = option("--breakGaps", False, "a missing frame number begins a new sequence (msls)")
    fractions: tuple[float, ...] = option("--fractions", (0.6, 0.2, 0.2), "of the route for train, val, test (folders)")
    gap: float = option("--gap", -1.0, "frames or metres between splits; -1: the negative radius (folders)")
    seed: int = option("--seed", 123, "seed of the order of the splits along the route (folders)")
    reach: float = option("--reach", 1.0, "seconds to the nearest pose beyond which an image is left out (folders)")
    train_positive_radius: float = option("--trainPositiveRadius", 10.0, "of training positives (utm-names)")
    positive_radius: float = option(
        "--positiveRadius",
        0.0,
        "frames or metres within which a match is correct; 0: the source's (folders, msls, utm-names)",
    )
    negative_radius: float = option(
        "--negativeRadius",
        0.0,
        "frames or metres beyond which training negatives lie; 0: the source's (folders, msls, utm-names)",
    )


@dataclass(frozen=True, kw_only=True)
class ExtractOptions(Options):
    """``--mode extract``: images to frame descriptors."""

    images: str = option("--images", "", "folder (searched recursively), list.txt of files, or video")
    dataset: str = option(
        "--dataset",
        "",
        "instead of --images and --output: every traverse of a dataset folder that --mode prepare wrote",
    )
    desc_type: str = option("--descType", "", "image encoder, see models/images; or hub:<repository>:<entry>")
    weights: str = option("--weights", "", "checkpoint file; random: untrained; default: the one in data/weights")
    pool: str = option("--pool", "", "pooling where the encoder has a choice: gem, gmp, avg or cls")
    output: str = option("--output", "", "descriptors to write (.npy); a .json of the same name says what they are")
    half: bool = option("--half", False, "write float16 instead of float32")
    local: bool = option("--local", False, "also write local features (<output>-local.npy), where the encoder has them")
    image_size: tuple[int, ...] = option(
        "--imageSize",
        (),
        "height and width in pixels to resize to; 0 0: keep "
        "the images' own; default: as the encoder's published evaluation",
    )
    batch_size: int = option("--batchSize", 16, "images the network takes at once")
    threads: int = option(
        "--threads", 0, "decoding processes; 0: one a core, 8 at most; -1: the main process alone", minimum=-1
    )
    device: str = option("--device", "auto", "where to compute", choices=("auto", "cpu", "cuda"))
    amp: bool = option("--amp", False, "bfloat16 where the network allows; moves descriptors by about 1e-2")
    fps: float = option("--fps", 0.0, "frames a second to take from a video; 0: all")
    bayer: str = option(
        "--bayer",
        "",
        "make colour of raw frames of this Bayer pattern (RobotCar: stereo gbrg, mono rggb)",
        choices=("rggb", "bggr", "grbg", "gbrg"),
    )
    skip_bad_images: bool = option("--skipBadImages", False, "leave out and list images that cannot be decoded")
    overwrite: bool = option("--overwrite", False, "replace an output that exists")
    pca: int = option("--pca", 0, "reduce to this many principal components, fitted on --pcaFrom; 0: none")
    whiten: bool = option("--whiten", False, "with --pca: equal variance along each component")
    pca_from: str = option("--pcaFrom", "", "images or descriptors (.npy) to fit --pca on, not those of the test")
    pca_file: str = option("--pcaFile", "", "projection of an earlier --pca (.pca.npz) to use")
    standardise: str = option(
        "--standardise",
        "none",
        "traverse: centre and scale each dimension by its mean and "
        "deviation over all rows written, future frames included",
        choices=("none", "traverse"),
    )
    quiet: bool = option("--quiet", False, "print errors only")


MODES: dict[str, type[Options]] = {
    "train": TrainOptions,
    "test": TestOptions,
    "check": CheckOptions,
    "demo": DemoOptions,
    "report": ReportOptions,
    "compare": CompareOptions,
    "prepare": PrepareOptions,
    "extract": ExtractOptions,
}


def parse(arguments: list[str]) -> tuple[str, Options]:
    """The command line's arguments to a mode and its options.

    Raises:
        UserError: an unknown mode or flag, a missing or malformed value.
    """
    modes = OneLineParser(prog="python main.py", add_help=False, allow_abbrev=False, formatter_class=_formatter)
    modes.add_argument("--mode", choices=tuple(MODES), help="what to do (default train)")
    mode = modes.parse_known_args(arguments)[0].mode
    if mode is None and {"-h", "--help"} & set(arguments):
        print(_overview())
        raise SystemExit(0)

    mode = mode or "train"
    parser = OneLineParser(
        prog=f"python main.py --mode {mode}",
        description=MODES[mode].__doc__.replace("``", ""),
        allow_abbrev=False,
        formatter_class=_formatter,
    )
    parser.add_argument("--mode", choices=tuple(MODES), default=mode, help=argparse.SUPPRESS)
    add_flags(parser, MODES[mode])
    given = vars(parser.parse_args(arguments))
    del given["mode"]
    return mode, MODES[mode].of(**given)


def _formatter(prog: str) -> argparse.HelpFormatter:
    columns = os.environ.get("COLUMNS", "")
    width = max(60, int(columns)) if columns.isdecimal() else 110
    return argparse.HelpFormatter(prog, width=width, max_help_position=32)


def _overview() -> str:
    """What ``python main.py --help`` says."""
    lines = ["usage: python main.py --mode MODE [flags]", "", "Sequence-based visual place recognition. Modes:", ""]
    lines += [f"  {options.__doc__.splitlines()[0].replace('``', '')}" for options in MODES.values()]
    lines += ["", "The flags of a mode: python main.py --mode MODE --help"]
    return "\n".join(lines)
