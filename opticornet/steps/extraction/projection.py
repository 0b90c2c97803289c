"""The projection to principal components: fitted on images or descriptors, or read from a file."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from opticornet.datasets.descriptors.arrays import open_descriptors, take_rows
from opticornet.datasets.descriptors.files import read_usable
from opticornet.datasets.images.levels import Levels, with_levels
from opticornet.datasets.images.sources import open_images
from opticornet.models.images.base import ImageEncoder
from opticornet.models.images.pca import Projection, check_dims, fit_projection
from opticornet.options.modes import ExtractOptions
from opticornet.steps.extraction.inputs import with_crop
from opticornet.steps.extraction.job import ExtractionJob
from opticornet.steps.extraction.write import write_descriptors
from opticornet.utils.errors import UserError
from opticornet.utils.files import sha256
from opticornet.utils.signals import StopRequest


def find_projection(
    options: ExtractOptions, base: Path, encoder: ImageEncoder, levels: Levels | None, stop: StopRequest
) -> Projection | None:
    """The projection to use: none, that of ``pca_file``, or one fitted here (or by this run before it was killed).

    What is fitted here is stored beside ``base``, under its name. ``levels`` are those of deep images, None for each
    source's own.

    Raises:
        UserError: too few images to fit it on, a projection of another encoder, or another one in its place.
        Interrupted: the user stopped it; what was done is saved.
    """
    if options.pca_file:
        return _fitting(Projection.load(Path(options.pca_file)), options.pca_file, encoder)
    if not options.pca:
        return None
    training = _training_descriptors(options, base, encoder, levels, stop)
    fitted_on = f"sha256 {sha256(training)}"
    path = base.with_suffix(".pca.npz")
    if path.exists() and not options.overwrite:
        stored = Projection.load(path)
        if (len(stored.components), stored.whiten, stored.fitted_on) != (options.pca, options.whiten, fitted_on):
            raise UserError(
                f"{path} holds another projection: reuse it with `pca_file`, choose another `output`, or "
                "give `overwrite` to replace it"
            )
        return _fitting(stored, path, encoder)
    descriptors = open_descriptors(training)
    usable = read_usable(training, len(descriptors))
    if usable is not None:
        descriptors = take_rows(descriptors, np.flatnonzero(usable))
    if descriptors.shape[1] != encoder.out_dims:
        raise UserError(
            f"{training} holds {descriptors.shape}: wanted (N, {encoder.out_dims}) to project what "
            f"{options.desc_type} gives"
        )
    projection = fit_projection(descriptors, options.pca, whiten=options.whiten, fitted_on=fitted_on)
    projection.save(path)
    return projection


def _training_descriptors(
    options: ExtractOptions, base: Path, encoder: ImageEncoder, levels: Levels | None, stop: StopRequest
) -> Path:
    """The descriptors that ``pca_from`` names, or those of its images, which are described first."""
    training = Path(options.pca_from)
    if training.suffix == ".npy":
        if not training.is_file():
            raise UserError(f"no descriptors at {training}: give `pca_from` images or a .npy that exists")
        return training
    source = with_levels(with_crop(open_images(training, bayer=options.bayer), options.crop), levels)
    check_dims(options.pca, len(source.names), encoder.out_dims)  # before all of them are described
    training = base.with_name(f"{base.stem}.pca-train.npy")
    plain = replace(
        options,
        images=options.pca_from,
        output=str(training),
        pca=0,
        pca_from="",
        whiten=False,
        half=False,
        local=False,
        fps=0.0,
    )
    return write_descriptors(ExtractionJob(plain, source, encoder, None), stop)


def _fitting(projection: Projection, path: str | Path, encoder: ImageEncoder) -> Projection:
    """The projection, once it is known to take what the encoder gives."""
    if len(projection.mean) != encoder.out_dims:
        raise UserError(
            f"{path} projects {len(projection.mean)} dimensions, the encoder gives {encoder.out_dims}: use "
            "one that was fitted on this encoder"
        )
    return projection
