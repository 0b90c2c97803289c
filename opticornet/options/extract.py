"""Options of ``--mode extract``."""

from dataclasses import dataclass

from opticornet.inference.runs import NEWEST, SAVE_PATH
from opticornet.models.images import IMAGE_ENCODERS
from opticornet.options.base import Options
from opticornet.utils.options import option


@dataclass(frozen=True, kw_only=True)
class ExtractOptions(Options):
    """``--mode extract``: images to frame descriptors."""

    sequence: bool = option("--sequence", False, "descriptors of windows instead: --mode extract --sequence --help")
    images: str = option("--images", "", "folder (searched recursively), list.txt of files, video, or ROS bag")
    dataset: str = option(
        "--dataset",
        "",
        "instead of --images and --output: every traverse of a dataset folder that --mode prepare wrote",
    )
    desc_type: str = option(
        "--descType", "", "image encoder; hub:<repository>:<entry> takes any of torch.hub", choices=IMAGE_ENCODERS
    )
    weights: str = option("--weights", "", "checkpoint file; random: untrained; default: the one in data/weights")
    resume: str = option(
        "--resume",
        "",
        "instead: run that trained the encoder (its folder or checkpoint); no value: the newest",
        const=NEWEST,
    )
    runs_path: str = option("--runsPath", "data/runs", "folder of all runs")
    save_path: str = option("--savePath", SAVE_PATH, "folder of a run's checkpoints, inside the run")
    ckpt: str = option("--ckpt", "best", "which checkpoint of the run", choices=("best", "latest"))
    output: str = option("--output", "", "descriptors to write (.npy); a .json of the same name says what they are")
    half: bool = option("--half", False, "write float16 instead of float32")
    local: bool = option("--local", False, "also write local features (<output>-local.npy), where the encoder has them")
    local_features: int = option("--localFeatures", 0, "per image, the most reliable; 0: all", minimum=0)
    local_store: str = option(
        "--localStore", "", "folder for local features instead, in files of 1 GiB: they may exceed memory", path=()
    )
    local_dtype: str = option(
        "--localDtype",
        "",
        "of local features; default: float16 in --localStore, else as the descriptors",
        choices=("float16", "float32"),
    )
    batch_size: int = option("--batchSize", 16, "images the network takes at once", minimum=1)
    threads: int = option(
        "--threads", 0, "decoding processes; 0: one per core, 8 at most; -1: the main process alone", minimum=-1
    )
    device: str = option("--device", "auto", "where to compute", choices=("auto", "cpu", "cuda"))
    amp: bool = option("--amp", False, "bfloat16 where the network allows; moves descriptors by about 1e-2")
    fps: float = option("--fps", 0.0, "frames per second of a video to take; 0: all")
    topic: str = option("--topic", "", "of a ROS bag; default: the only one with images")
    bayer: str = option(
        "--bayer",
        "",
        "make colour of raw frames of this Bayer pattern (RobotCar: stereo gbrg, mono rggb)",
        choices=("rggb", "bggr", "grbg", "gbrg"),
    )
    crop: tuple[int, ...] = option(
        "--crop", (), "LEFT TOP RIGHT BOTTOM: the part of images that is taken, in pixels (RobotCar: 0 0 1280 800)"
    )
    levels: tuple[float, ...] = option(
        "--range",
        (),
        "LOW HIGH: grey levels of deep images (16 bits and more) that become black and white; default: what each drive "
        "fills",
        minimum=-1e9,
    )
    shared_range: bool = option(
        "--sharedRange", False, "with --dataset: one range for all drives, that of the reference drives"
    )
    skip_bad_images: bool = option("--skipBadImages", False, "mark images that cannot be decoded and go on")
    overwrite: bool = option("--overwrite", False, "replace an output that exists")
    pca: int = option("--pca", 0, "reduce to this many principal components, fitted on --pcaFrom; 0: none")
    whiten: bool = option("--whiten", False, "with --pca: equal variance along each component")
    pca_from: str = option("--pcaFrom", "", "images or descriptors (.npy) to fit --pca on, not those of the test")
    pca_file: str = option("--pcaFile", "", "projection of an earlier --pca (.pca.npz) to use")
    quiet: bool = option("--quiet", False, "print errors only")

    def unused(self) -> dict[str, str]:
        reasons = super().unused()
        if self.resume:
            reasons["weights"] = "the encoder's are those of the run that `resume` names"
        else:
            reasons |= dict.fromkeys(("runs_path", "save_path", "ckpt"), "no run is used; `resume` names one")
        if not self.local:
            names = ("local_features", "local_store", "local_dtype")
            reasons |= dict.fromkeys(names, "no local features are written; `local` writes them")
        return reasons
