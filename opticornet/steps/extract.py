"""Step: from images to frame descriptors."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from opticornet.options.modes import ExtractOptions, ExtractSequencesOptions
from opticornet.utils.errors import UserError
from opticornet.utils.extras import needs_extra

if TYPE_CHECKING:
    from opticornet.models.images.base import ImageEncoder


def extract(options: ExtractOptions | ExtractSequencesOptions) -> Path:
    """Write one frame descriptor per image of a source, as rows of a ``.npy``.

    A run that is killed continues where it stopped when called again, and then writes the same bytes; finished
    work is skipped.

    Returns:
        Path of the descriptors, (N, D) float32 or float16, one row per image in the source's order; the ``.json``
        beside them names the images, the encoder, its weights and how images were prepared. Images without contrast
        and, with ``skip_bad_images``, damaged ones have rows of zeros and are False in ``<stem>.usable.npy`` (N,).
        With ``dataset``, the folder. With ``sequence``, as ``extraction.sequences.extract_sequences`` says.

    Raises:
        UserError: options that contradict one another, bad images, missing weights, an output that holds something
            else, a full disk.
        Interrupted: the user stopped it; what was done is saved.
    """
    if isinstance(options, ExtractSequencesOptions):
        from opticornet.steps.extraction.sequences import extract_sequences

        return extract_sequences(options)
    from opticornet.steps.extraction.trained import encoder_of, of_run

    options = of_run(options)
    check_extract_options(options)
    with needs_extra("images"):
        import cv2  # noqa: F401 - a missing library is reported before any work is done
        import PIL  # noqa: F401
    from opticornet.datasets.images.levels import with_levels
    from opticornet.steps.extraction.inputs import common_levels, image_source, options_of_traverses
    from opticornet.steps.extraction.job import ExtractionJob
    from opticornet.steps.extraction.projection import find_projection
    from opticornet.steps.extraction.space import check_space
    from opticornet.steps.extraction.write import write_descriptors
    from opticornet.utils.signals import StopRequest

    traverses = options_of_traverses(options) if options.dataset else [options]
    for traverse in traverses:
        if Path(traverse.output).is_dir():
            raise UserError(f"cannot write {traverse.output}: a folder of that name exists; choose another path")
    sources = [image_source(traverse) for traverse in traverses]
    levels = common_levels(options, sources)
    encoder = encoder_of(options)
    if options.local and encoder.local_shape is None:
        raise UserError(f"`local`: {options.desc_type} has no local features; fol has")
    if encoder.local_shape is not None and options.local_features > encoder.local_shape[0]:
        raise UserError(
            f"`local_features` {options.local_features}: {options.desc_type} has {encoder.local_shape[0]} of an image; "
            "choose no more"
        )
    check_context(encoder, options)
    if encoder.weights.kind == "random":
        print(
            f"{options.desc_type}: weights are random; its descriptors say nothing about trained ones", file=sys.stderr
        )
    base = Path(options.dataset, "descriptors.npy") if options.dataset else Path(options.output)
    with StopRequest() as stop:
        projection = find_projection(options, base, encoder, levels, stop)
        jobs = [
            ExtractionJob(traverse, with_levels(source, levels), encoder, projection)
            for traverse, source in zip(traverses, sources, strict=True)
        ]
        check_space(jobs)
        for job in jobs:
            write_descriptors(job, stop)
    return Path(options.dataset or options.output)


def check_context(encoder: "ImageEncoder", options: ExtractOptions) -> None:
    """Raise :class:`UserError` where images that see one another would fall into different batches."""
    context = encoder.context or options.batch_size
    if options.batch_size % context:
        raise UserError(
            f"`context` {context}: that many images see one another, which `batch_size` {options.batch_size} would "
            "part; wanted a multiple of it"
        )


def check_extract_options(options: ExtractOptions) -> None:
    """Raise :class:`UserError` for options that make no sense together, before anything is read."""
    if not options.desc_type:
        raise UserError(
            "`desc_type` is missing: extract needs to know the image encoder, for example efficientnet-lite0"
        )
    if options.dataset and (options.images or options.output):
        raise UserError("`dataset` says what to read and where to write: leave out `images` and `output`")
    if not options.dataset and not (options.images and options.output):
        raise UserError("extract needs `images` and `output`, or `dataset`")
    if not options.dataset and not options.output.endswith(".npy"):
        raise UserError(f"`output` {options.output}: wanted a file name ending in .npy")
    if options.shared_range and not options.dataset:
        raise UserError("`shared_range` is for the drives of a `dataset`: give the range itself with `levels` LOW HIGH")
    if options.shared_range and options.levels:
        raise UserError("`levels` and `shared_range` both say which range the drives share: give one of them")
    options.refuse_unused()
    if options.pca and options.pca_file:
        raise UserError("`pca` fits a projection and `pca_file` reuses one: give one of them")
    if bool(options.pca) != bool(options.pca_from):
        raise UserError("`pca` and `pca_from` go together: how many components, and what to fit them on")
    if options.whiten and not options.pca:
        raise UserError("`whiten` belongs to `pca`; a `pca_file` whitens if it was fitted so")
