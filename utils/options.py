"""Every flag of the command line, as typed fields.

One frozen dataclass a mode; a field knows its flag, default and help. A notebook builds the same object the command
line does::

    train(TrainOptions.of(dataset="synthetic", sequence_length=5))

``of`` remembers which fields were given, so that a resumed run can tell "the user asked for this" from "nobody said".
Nothing heavy is imported here: ``python main.py --help`` answers at once.
"""

import argparse
import os
import types
from dataclasses import Field, dataclass, field, fields, replace
from typing import Any, Self, Union, get_args, get_origin, get_type_hints

from utils.errors import UserError

NEWEST = "newest"


def option(flag: str, default: Any, help: str, choices: tuple[str, ...] | None = None, const: Any = None) -> Any:
    """A dataclass field that is also a command-line flag. ``const``: the flag's value when given without one."""
    return field(default=default, metadata={"flag": flag, "help": help, "choices": choices, "const": const})


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the options of every mode share."""

    given: frozenset[str] = frozenset()

    @classmethod
    def of(cls, **given: Any) -> Self:
        """Options with these fields set, remembering that they were.

        Raises:
            UserError: an unknown field, or a value outside a field's choices.
        """
        flags = cls.flags()
        for name, value in given.items():
            if name not in flags:
                raise UserError(f"unknown option {name}; {cls.__name__} has {', '.join(flags)}")
            choices = flags[name].metadata["choices"]
            if choices and value not in choices:
                raise UserError(f"{flag_of(flags[name])} {value}: choose one of {', '.join(choices)}")
        return cls(**given, given=frozenset(given))

    @classmethod
    def flags(cls) -> dict[str, Field]:
        """Fields that are flags, by field name."""
        return {f.name: f for f in fields(cls) if "flag" in f.metadata}

    def record(self) -> dict[str, Any]:
        """Flag name (without dashes) to value, ready for JSON: the form of ``flags.json``."""
        return {
            flag_of(f)[2:]: list(value) if isinstance(value := getattr(self, name), tuple) else value
            for name, f in self.flags().items()
        }

    def restored(self, saved: dict[str, Any], names: tuple[str, ...], source: str) -> Self:
        """These options with the fields ``names`` taken from a run's saved flags.

        Args:
            saved: a run's ``flags.json``; flags it lacks keep their value here.
            names: the fields the run decides.
            source: the run, for the message.

        Raises:
            UserError: a field was given and differs from the run's; the message names both values.
        """
        changes = {}
        for name in names:
            f = self.flags()[name]
            flag = flag_of(f)
            if flag[2:] not in saved:
                continue
            value = saved[flag[2:]]
            value = tuple(value) if isinstance(value, list) else value
            if name in self.given and getattr(self, name) != value:
                raise UserError(
                    f"{flag} {getattr(self, name)} contradicts {flag} {value} of the resumed run {source}; "
                    f"leave {flag} out, or start a new run"
                )
            changes[name] = value
        return replace(self, **changes)


def flag_of(f: Field) -> str:
    """The field's flag, with its dashes."""
    return f.metadata["flag"]


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
        """The arguments of ``datasets.catalogue.load_dataset`` besides the name."""
        return {name: getattr(self, name) for name in DATA_FIELDS if name != "dataset"}


DATA_FIELDS = ("dataset", "data_path", "desc_type", "struct_path", "msls_train_city", "msls_val_city")


@dataclass(frozen=True, kw_only=True)
class RunOptions(DataOptions):
    """Where runs live and which one to go on with."""

    runs_path: str = option("--runsPath", "data/runs", "folder of all runs")
    save_path: str = option("--savePath", "checkpoints", "folder of a run's checkpoints, inside the run")
    exp_name: str = option("--expName", "", "ending of the run's and the results' name")
    resume: str = option("--resume", "", "run folder to resume; without a value the newest run", const=NEWEST)
    device: str = option("--device", "auto", "where to compute", choices=("auto", "cpu", "cuda"))
    nocuda: bool = option("--nocuda", False, "same as --device cpu")
    threads: int = option("--threads", 0, "CPU threads; 0: all cores")
    quiet: bool = option("--quiet", False, "print results and errors only")


@dataclass(frozen=True, kw_only=True)
class EncoderOptions(RunOptions):
    """What turns a window of frames into one vector."""

    pooling: str = option(
        "--pooling",
        "dsdnet",
        "sequence method",
        choices=("single", "smooth", "delta", "seqnet", "dsdnet", "delta-lstm", "single+seqmatch", "s1+seqmatch"),
    )
    sequence_length: int = option("--seqL", 5, "frames in a window")
    out_dims: int = option("--outDims", 0, "dimensions of the encoding; 0: as many as a frame descriptor has")
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

    loss: str = option("--loss", "quadruplet", "loss", choices=("quadruplet", "triplet", "multi-similarity"))
    margin: float = option("--margin", 0.1, "margin; seqNet's triplet takes its square root")
    margin2: float = option("--margin2", 0.05, "the quadruplet's second margin, below --margin")
    n_neg: int = option("--nNeg", 10, "hardest violating negatives an anchor")
    n_neg_sample: int = option("--nNegSample", 0, "random references searched for negatives; 0: all of them")
    batch_size: int = option("--batchSize", 32, "anchors a step")
    cache_refresh_rate: int = option("--cacheRefreshRate", 0, "anchors between two minings; 0: once an epoch")
    n_epochs: int = option("--nEpochs", 30, "epochs")
    optim: str = option("--optim", "ADAMW", "optimizer", choices=("SGD", "ADAM", "ADAMW"))
    lr: float = option("--lr", 1e-3, "learning rate")
    schedule: str = option("--lrSchedule", "cosine", "learning rate over the epochs", choices=("step", "cosine"))
    lr_step: int = option("--lrStep", 50, "epochs between two steps of the step schedule")
    lr_gamma: float = option("--lrGamma", 0.5, "factor of a step")
    weight_decay: float = option("--weightDecay", 1e-3, "weight decay")
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
    contrast_window: int = option("--contrastWindow", 0, "seqslam: references around for contrast; 0: off")
    reverse: bool = option("--reverse", False, "match query windows backwards: the route driven the other way")
    rerank: str = option(
        "--rerank", "", "re-order the candidates by sequence matching", choices=("single+seqmatch", "s1+seqmatch")
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


@dataclass(frozen=True, kw_only=True)
class CheckOptions(DataOptions):
    """``--mode check``: open a dataset and say what is in it and what is wrong with it."""


MODES: dict[str, type[Options]] = {"train": TrainOptions, "test": TestOptions, "check": CheckOptions}


class _OneLineParser(argparse.ArgumentParser):
    def error(self, message: str) -> None:
        raise UserError(f"{message}; see python main.py --mode <mode> --help")


def parse(arguments: list[str]) -> tuple[str, Options]:
    """The command line's arguments to a mode and its options.

    Raises:
        UserError: an unknown mode or flag, a missing or malformed value.
    """
    modes = _OneLineParser(add_help=False)
    modes.add_argument("--mode", choices=tuple(MODES), default="train")
    mode = modes.parse_known_args(arguments)[0].mode

    parser = _OneLineParser(
        prog=f"python main.py --mode {mode}",
        description=MODES[mode].__doc__,
        epilog=f"Modes: {', '.join(MODES)}; each has its own flags: python main.py --mode <mode> --help.",
        allow_abbrev=False,
        formatter_class=lambda prog: argparse.HelpFormatter(prog, width=int(os.environ.get("COLUMNS", 110))),
    )
    parser.add_argument("--mode", choices=tuple(MODES), default="train", help="what to do")
    _add_flags(parser, MODES[mode])
    given = vars(parser.parse_args(arguments))
    del given["mode"]
    return mode, MODES[mode].of(**given)


def _add_flags(parser: argparse.ArgumentParser, options: type[Options]) -> None:
    """Add the flags of ``options``, grouped by the dataclass that declares them."""
    hints = get_type_hints(options)
    declared: set[str] = set()
    for group in reversed(options.__mro__):
        if not (isinstance(group, type) and issubclass(group, Options)):
            continue
        names = [name for name in group.flags() if name not in declared]
        declared.update(names)
        if not names:
            continue
        section = parser.add_argument_group(group.__doc__.splitlines()[0].replace("``", ""))
        for name in names:
            f = options.flags()[name]
            section.add_argument(flag_of(f), dest=name, default=argparse.SUPPRESS, **_form(f, hints[name]))


def _form(f: Field, hint: Any) -> dict[str, Any]:
    """The argparse arguments for one field."""
    text = f.metadata["help"]
    if hint is bool:
        return {"action": "store_true", "help": text}
    if f.default not in ("", ()):
        shown = " ".join(map(str, f.default)) if isinstance(f.default, tuple) else f.default
        text = f"{text} (default {shown})"
    form: dict[str, Any] = {"help": text, "choices": f.metadata["choices"]}
    if f.metadata["const"] is not None:
        form |= {"nargs": "?", "const": f.metadata["const"]}
    if get_origin(hint) is tuple:
        return form | {"type": get_args(hint)[0], "nargs": "+", "action": _Tuple, "metavar": "X"}
    if get_origin(hint) in (Union, types.UnionType):
        hint = next(part for part in get_args(hint) if part is not type(None))
    return form | {"type": hint} | ({} if f.metadata["choices"] else {"metavar": hint.__name__.upper()})


class _Tuple(argparse.Action):
    def __call__(self, parser, namespace, values, option_string=None) -> None:
        setattr(namespace, self.dest, tuple(values))
