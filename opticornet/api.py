"""The steps as plain functions, and functions that open what they wrote.

Each step takes either its options object or options by name: a field of its options, or a flag without its dashes::

    train(dataset="synthetic", sequence_length=5, pooling="dsdnet", out_dims=32)
    train(dataset="synthetic", seqL=5)
    train(config="data/runs/.../options.toml", lr=1e-3)
"""

from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from opticornet.datasets.catalogue import load_dataset
from opticornet.datasets.traverse import Dataset
from opticornet.evaluation.records import ResultRecord
from opticornet.inference.image_runs import TrainedImageEncoder, load_image_run
from opticornet.inference.load import TrainedEncoder, load_run
from opticornet.inference.runs import NEWEST, SAVE_PATH, find_run, is_of_images, named_checkpoint, read_flags
from opticornet.options.base import Options
from opticornet.options.modes import (
    CheckOptions,
    CompareOptions,
    DemoOptions,
    ExtractOptions,
    ExtractSequencesOptions,
    PrepareOptions,
    ReportOptions,
    TestOptions,
    TrainImagesOptions,
    TrainOptions,
)
from opticornet.options.plugins import load_installed, load_plugin, load_remembered
from opticornet.options.variants import options_of
from opticornet.utils.errors import UserError

OfMode = TypeVar("OfMode", bound=Options)


def train(options: TrainOptions | TrainImagesOptions | None = None, **given: Any) -> Path:
    """Learn a sequence encoder, or with ``desc_type`` an image encoder. Returns the run folder. See
    :func:`opticornet.steps.train.train`."""
    from opticornet.steps.train import train as step

    if isinstance(options, TrainImagesOptions):
        return step(_options(TrainImagesOptions, options, given))
    if options is None and options_of("train", given) is TrainImagesOptions:
        return step(_options(TrainImagesOptions, None, given))
    return step(_options(TrainOptions, options, given))


def test(options: TestOptions | None = None, **given: Any) -> ResultRecord | None:  # noqa: PT028 - not a test
    """Score a method on a split. Returns the result record. See :func:`opticornet.steps.test.test`."""
    from opticornet.steps.test import test as step

    return step(_options(TestOptions, options, given))


def test_splits(options: TestOptions | None = None, **given: Any) -> dict[str, ResultRecord]:  # noqa: PT028 - as above
    """Score a method on several splits. Returns their result records. See :func:`opticornet.steps.test.test_splits`."""
    from opticornet.steps.test import test_splits as step

    return step(_options(TestOptions, options, given))


for _step in (test, test_splits):
    _step.__test__ = False  # type: ignore[attr-defined, union-attr]  # not a test, whatever pytest makes of its name


def extract(options: ExtractOptions | ExtractSequencesOptions | None = None, **given: Any) -> Path:
    """Images to frame descriptors, or with ``sequence=True`` a dataset's windows to sequence descriptors. Returns their
    path. See :func:`opticornet.steps.extract.extract`."""
    from opticornet.steps.extract import extract as step

    if isinstance(options, ExtractSequencesOptions):
        return step(_options(ExtractSequencesOptions, options, given))
    if options is None and options_of("extract", given) is ExtractSequencesOptions:
        return step(_options(ExtractSequencesOptions, None, given))
    return step(_options(ExtractOptions, options, given))


def prepare(options: PrepareOptions | None = None, **given: Any) -> Path:
    """A public dataset, or one's own drives, to a dataset folder, which is returned. See
    :func:`opticornet.steps.prepare.prepare`."""
    from opticornet.steps.prepare import prepare as step

    return step(_options(PrepareOptions, options, given))


def check(options: CheckOptions | None = None, **given: Any) -> None:
    """Print what is in a dataset and what is wrong with it. See :func:`opticornet.steps.check.check`."""
    from opticornet.steps.check import check as step

    step(_options(CheckOptions, options, given))


def report(options: ReportOptions | None = None, **given: Any) -> Path:
    """Result records to a page and figures. Returns the page. See :func:`opticornet.steps.report.report`."""
    from opticornet.steps.report import report as step

    return step(_options(ReportOptions, options, given))


def compare(options: CompareOptions | None = None, **given: Any) -> None:
    """Print runs side by side, or the difference of two results. See :func:`opticornet.steps.compare.compare`."""
    from opticornet.steps.compare import compare as step

    step(_options(CompareOptions, options, given))


def demo(options: DemoOptions | None = None, **given: Any) -> None:
    """Train and test against every baseline on built-in data. See :func:`opticornet.steps.demo.demo`."""
    from opticornet.steps.demo import demo as step

    step(_options(DemoOptions, options, given))


def load(
    run: str | Path = NEWEST,
    *,
    checkpoint: str = "best",
    runs_path: str | Path = "data/runs",
    save_path: str = SAVE_PATH,
) -> TrainedEncoder | TrainedImageEncoder:
    """A trained encoder, of sequences or of images as the run learned one, in evaluation mode on the CPU, and what it
    needs.

    Args:
        run: a run folder, ours or seqNet's, or a checkpoint in it; a folder of runs for its newest; by default the
            newest run.
        checkpoint: "best" or "latest"; the one that ``run`` names, where it does.
        runs_path: where the newest run is looked for.
        save_path: folder of the checkpoints inside the run.

    Raises:
        UserError: no such run, a checkpoint that is damaged or does not fit, or a plugin that is gone.
    """
    load_installed()
    folder = find_run(str(run), str(runs_path), save_path, "run")
    flags = read_flags(folder, save_path)
    load_remembered(flags.get("plugins", {}), (), str(folder))
    open_run = load_image_run if is_of_images(flags) else load_run
    return open_run(folder, checkpoint=named_checkpoint(str(run)) or checkpoint, save_path=save_path)


def open_dataset(name: str | Path, *, splits: tuple[str, ...] | None = None, **source: str | Path) -> Dataset:
    """A dataset by its built-in name or its folder. See :func:`opticornet.datasets.catalogue.load_dataset`."""
    return load_dataset(str(name), splits=splits, **source)


def plugin(path: str | Path) -> ModuleType:
    """Add the registries of a plugin file: methods, losses, sources, ... See :mod:`opticornet.options.plugins`."""
    return load_plugin(Path(path))


def load_published(method: str, weights: Any, **options: Any) -> Any:
    """A method with its author's weights. See :func:`opticornet.inference.published.load_published`."""
    from opticornet.inference.published import load_published as load

    return load(method, weights, **options)


def _options(kind: type[OfMode], options: OfMode | None, given: Mapping[str, Any]) -> OfMode:
    """A step's options: the object, or those given by name.

    Raises:
        UserError: both were given, or the object is another one; as :meth:`Options.of`.
    """
    load_installed()
    if options is None:
        return kind.of(**given)
    if not isinstance(options, kind):
        raise UserError(f"{type(options).__name__}: wanted {kind.__name__}, or options by name")
    if given:
        raise UserError(f"{', '.join(given)}: give a {kind.__name__}, or options by name, not both")
    return options
