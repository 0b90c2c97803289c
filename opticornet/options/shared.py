"""Options that several modes have."""

from dataclasses import dataclass, replace
from typing import Any, Literal, Self

from opticornet.evaluation.protocols import PROTOCOLS
from opticornet.inference.runs import NEWEST, SAVE_PATH, check_exp_name, check_name, run_name
from opticornet.models.sequences import SEQUENCE_ENCODERS
from opticornet.options.base import Options
from opticornet.utils.options import option
from opticornet.utils.registry import entry

SEQNET_DATASETS = ("nordland-sw", "nordland-sf", "oxford-v1.0", "oxford-pnv", "msls")  # in seqNet's layout
SYNTHETIC = ("synthetic", "synthetic-20k")
MATCHED = ("single+seqmatch", "s1+seqmatch")  # methods that match frames instead of searching descriptors
ADAPT_FIELDS = ("adapt", "adapt_scale")
ADAPT: Literal["none", "running", "traverse"] = "running"  # what `adapt` is, unless it is given or a run decides


@dataclass(frozen=True, kw_only=True)
class DataOptions(Options):
    """Which data."""

    dataset: str = option(
        "--dataset",
        "synthetic",
        "built-in name, or a folder with a dataset.toml",
        path=(*SYNTHETIC, *SEQNET_DATASETS),
    )
    data_path: str = option("--dataPath", "data", "where the built-in datasets' files are", path=())
    desc_type: str = option("--descType", "netvlad-pytorch", "frame descriptor: a folder name below descData")
    struct_path: str = option("--structPath", "structFiles", "where seqNet's ground-truth files are", path=())
    msls_train_city: str = option("--msls_trainCity", "melbourne", "MSLS city to train on")
    msls_val_city: str = option("--msls_valCity", "austin", "MSLS city to validate on")
    msls_test_city: tuple[str, ...] = option(
        "--msls_testCity", (), "MSLS city to test on, or several: a split test-CITY each; default: --msls_valCity"
    )
    crop: tuple[int, ...] = option(
        "--crop", (), "LEFT TOP RIGHT BOTTOM: the part of images that is taken, in pixels (RobotCar: 0 0 1280 800)"
    )
    seed: int = option("--seed", 123, "seed of every random choice")

    def unused(self) -> dict[str, str]:
        reasons: dict[str, str] = {}
        if self.dataset != "msls":
            reasons |= dict.fromkeys(("msls_train_city", "msls_val_city", "msls_test_city"), "it is for `dataset` msls")
        if self.dataset not in SEQNET_DATASETS:
            paths = ("data_path", "desc_type", "struct_path")
            reasons |= dict.fromkeys(paths, f"it is for `dataset` {', '.join(SEQNET_DATASETS)}")
        return reasons

    def source(self) -> dict[str, Any]:
        """The arguments of ``opticornet.datasets.catalogue.load_dataset`` besides the name."""
        return {name: getattr(self, name) for name in DATA_FIELDS if name != "dataset"}


DATA_FIELDS = (
    "dataset",
    "data_path",
    "desc_type",
    "struct_path",
    "msls_train_city",
    "msls_val_city",
    "msls_test_city",
    "crop",
)


@dataclass(frozen=True, kw_only=True)
class RunOptions(Options):
    """Where runs are, and which one to resume."""

    runs_path: str = option("--runsPath", "data/runs", "folder of all runs")
    save_path: str = option("--savePath", SAVE_PATH, "folder of a run's checkpoints, inside the run")
    exp_name: str = option("--expName", "", "ending of the run's and the results' name")
    resume: str = option(
        "--resume",
        "",
        "run to resume (its folder or checkpoint), or a folder of runs for its newest; no value: the newest",
        const=NEWEST,
    )
    device: str = option("--device", "auto", "where to compute", choices=("auto", "cpu", "cuda"))
    nocuda: bool = option("--nocuda", False, "same as --device cpu")
    threads: int = option("--threads", 0, "CPU threads; 0: all cores")
    quiet: bool = option("--quiet", False, "print results and errors only")
    verbose: bool = option("--verbose", False, "print details too")


@dataclass(frozen=True, kw_only=True)
class MethodOptions(RunOptions, DataOptions):
    """What turns a window of frames into one vector."""

    pooling: str = option("--pooling", "dsdnet", "sequence method", choices=SEQUENCE_ENCODERS, also=MATCHED)
    sequence_length: int = option("--seqL", 5, "frames per window", minimum=1)
    filter_length: int = option(
        "--seqL_filterData",
        0,
        "drop frames whose window of this many frames leaves their sequence; 0: keep all (msls: --seqL)",
    )
    windows: Literal["centred", "trailing"] = option(
        "--windows", "centred", "a frame's window: around it, or ending at it", choices=("centred", "trailing")
    )
    short_sequences: Literal["refuse", "drop", "shorten"] = option(
        "--shortSequences",
        "refuse",
        "sequences shorter than windows: refuse, drop, or compute as seqNet, whose windows reach over their ends",
        choices=("refuse", "drop", "shorten"),
    )
    protocol: str = option(
        "--protocol",
        "opticornet",
        "by whose rules windows are cut and judged; sta: exactly as its released code, errors and all",
        choices=PROTOCOLS,
    )
    fill_frames: Literal["none", "previous", "interpolate"] = option(
        "--fillFrames",
        "none",
        "fill unusable frames from their neighbours; none: windows that hold one are dropped",
        choices=("none", "previous", "interpolate"),
    )
    adapt: Literal["none", "running", "traverse"] = option(
        "--adapt",
        ADAPT,
        "centre frame descriptors: the map's by their mean, a query's by that of the frames up to it (running: begun "
        "from the training queries' mean where the dataset has them, else from the map's) or of its whole traverse, "
        "which looks ahead",
        choices=("none", "running", "traverse"),
    )
    adapt_scale: bool = option("--adaptScale", False, "with --adapt: also divide by the standard deviation")
    amp: bool = option("--amp", False, "bfloat16 matrix products")
    other_descriptors: bool = option(
        "--otherDescriptors", False, "take frame descriptors that were made otherwise than those they meet"
    )

    @property
    def has_weights(self) -> bool:
        """Whether the method has weights to learn."""
        return self.pooling not in MATCHED and entry(SEQUENCE_ENCODERS, self.pooling).has_weights

    @property
    def reads_descriptors(self) -> bool:
        """Whether frame descriptors are read."""
        return self.pooling in MATCHED or entry(SEQUENCE_ENCODERS, self.pooling).takes == "descriptors"

    @property
    def longest_window(self) -> int:
        """Frames of the longest window."""
        return self.sequence_length

    def windowing(self) -> dict[str, Any]:
        """The arguments of ``opticornet.evaluation.scene.WindowSettings``."""
        return {
            "rule": self.windows,
            "short": self.short_sequences,
            "filling": self.fill_frames,
            "longest": self.longest_window,
            "protocol": self.part("protocol"),
        }

    def unused(self) -> dict[str, str]:
        reasons = super().unused()
        if entry(PROTOCOLS, self.protocol).has_windows:
            decided = f"`protocol` {self.protocol} says which windows there are"
            reasons |= dict.fromkeys(("windows", "short_sequences", "filter_length"), decided)
        elif self.longest_window == 1 and not self.filter_length:
            reasons["windows"] = "a window of one frame is both"
        if self.longest_window == 1:
            reasons["short_sequences"] = "no sequence is shorter than one frame"
        if self.pooling not in MATCHED and entry(SEQUENCE_ENCODERS, self.pooling).takes == "images":
            reasons["other_descriptors"] = f"{self.pooling} takes images"
        if self.pooling == "single+seqmatch" or (
            self.pooling not in MATCHED and entry(SEQUENCE_ENCODERS, self.pooling).takes == "descriptors"
        ):
            reasons["crop"] = "frame descriptors are read, not images; it is an option of extracting these"
        if not self.reads_descriptors:
            reasons |= dict.fromkeys(ADAPT_FIELDS, f"{self.pooling} takes images")
        elif self.adapt == "none":
            reasons["adapt_scale"] = "nothing is adapted; `adapt` running or traverse does"
        return reasons

    def completed(self) -> Self:
        """With what follows from other options: of MSLS, whose sequences are short, border frames are dropped; images
        are not adapted."""
        options = self if self.reads_descriptors or "adapt" in self.given else replace(self, adapt="none")
        if options.dataset == "msls" and "filter_length" not in options.given:
            return replace(options, filter_length=options.sequence_length)
        return options

    @property
    def method_name(self) -> str:
        """What names of files call the method."""
        return self.pooling

    @property
    def name_ending(self) -> str:
        """What names of files end in."""
        return self.exp_name

    def new_name(self) -> str:
        """For a run or a result that begins now."""
        return run_name(self.method_name, self.sequence_length, self.name_ending)

    def check_names(self) -> None:
        """Raise :class:`UserError` where what names a run or a result, or a run's inner folder, is a path, or too
        long."""
        check_exp_name(self.exp_name, self.method_name, self.sequence_length)
        check_name("exp_name", self.exp_name)
        check_name("save_path", self.save_path)
