"""From options, or a run, to a sequence encoder."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from opticornet.datasets.traverse import FrameKind
from opticornet.evaluation.records import WeightsRecord
from opticornet.inference.runs import check_names, read_flags
from opticornet.models.sequences import SEQUENCE_ENCODERS
from opticornet.models.sequences.base import EncoderSpec, SequenceEncoder
from opticornet.options.modes import EncoderOptions
from opticornet.utils.checkpoints import BEST, LATEST, fit_state, load_checkpoint, sha256
from opticornet.utils.device import physical_memory
from opticornet.utils.errors import UserError


def build_encoder(options: EncoderOptions, in_dims: int) -> SequenceEncoder:
    """The encoder of ``options.pooling`` for frame descriptors of ``in_dims`` (0: for images), freshly initialised.

    Raises:
        UserError: ``--seqL`` is too short for it.
    """
    spec = EncoderSpec(
        in_dims=in_dims,
        out_dims=options.out_dims,
        length=options.sequence_length,
        w=options.w,
        delta=not options.no_delta,
        lstm=not options.no_lstm,
        residual=not options.no_residual,
        fusion=options.dsd_fusion,
    )
    needed = 4 * 4 * options.out_dims * options.w * in_dims  # bytes: weights, gradients and two moments of each
    if needed > physical_memory():
        raise UserError(
            f"--outDims {options.out_dims} with --w {options.w} and {in_dims}-D frames takes {needed / 2**30:.0f} GiB "
            "to train, more than there is; choose fewer dimensions"
        )
    encoder = SEQUENCE_ENCODERS[options.pooling].encoder().of(spec)
    if options.sequence_length < encoder.min_length:
        raise UserError(
            f"--seqL {options.sequence_length} is below {encoder.min_length}, the fewest frames --pooling "
            f"{options.pooling} takes with --w {options.w}; give a longer --seqL or a smaller --w"
        )
    return encoder


def is_learned(pooling: str) -> bool:
    """Whether a method has weights to learn."""
    return pooling in SEQUENCE_ENCODERS and SEQUENCE_ENCODERS[pooling].learned


def frames_taken(pooling: str) -> FrameKind:
    """Which frames of a traverse a method takes; those that match frames directly take descriptors."""
    return SEQUENCE_ENCODERS[pooling].encoder().takes if pooling in SEQUENCE_ENCODERS else "descriptors"


def filter_length(options: EncoderOptions) -> int:
    """``--seqL_filterData`` of a new run or test: as given; MSLS, whose sequences are short, drops border frames."""
    if options.dataset == "msls" and "filter_length" not in options.given:
        return options.sequence_length
    return options.filter_length


def check_encoder_options(options: EncoderOptions) -> None:
    """Check what can be known before any data is read.

    Raises:
        UserError: a length below 1, negative dimensions, or a name that is a path.
    """
    check_names(options)
    for name in ("sequence_length", "w"):
        if getattr(options, name) < 1:
            raise UserError(f"{options.flags()[name].metadata['flag']} {getattr(options, name)}: must be at least 1")
    if options.out_dims < 0:
        raise UserError(f"--outDims {options.out_dims}: must be at least 1, or 0 for the frame descriptor's dimension")


@dataclass(frozen=True)
class LoadedEncoder:
    """An encoder ready to encode, and where its weights came from (None: it has none)."""

    encoder: SequenceEncoder
    weights: WeightsRecord | None


def load_encoder(options: EncoderOptions, in_dims: int, run: Path | None, checkpoint: str) -> LoadedEncoder:
    """The encoder of ``options.pooling``, with the weights of ``run``.

    Args:
        options: already agreeing with the run.
        in_dims: D, of the frame descriptors; 0 for a method that takes images.
        run: run folder, ours or seqNet's; None for a method without weights.
        checkpoint: "best" or "latest".

    Raises:
        UserError: no checkpoint, or one that does not fit the data or the options.
    """
    if run is None:
        return LoadedEncoder(build_encoder(options, in_dims).eval(), None)
    path = run / options.save_path / (BEST if checkpoint == "best" else LATEST)
    state = load_checkpoint(path, mapped=True)
    check_dims(state, in_dims, str(path), options.dataset)
    with torch.device("meta"):  # no weights of its own: the file's become the encoder's
        encoder = build_encoder(options, in_dims).eval()
    weights = {key.removeprefix("module."): value for key, value in state["state_dict"].items()}
    fit_state(encoder, weights, str(path), assign=True)
    flags = read_flags(run, options.save_path)
    return LoadedEncoder(
        encoder,
        WeightsRecord(
            path=str(path),
            sha256=sha256(path),
            epoch=int(state.get("epoch", 0)),
            trained_on=str(flags.get("dataset", "unknown")),
            parameters=sum(parameter.numel() for parameter in encoder.parameters()),
            flags=flags,
        ),
    )


def check_dims(state: dict[str, Any], in_dims: int, source: str, dataset: str) -> None:
    """Raise :class:`UserError` where a checkpoint says that it was trained on descriptors of another dimension."""
    trained = state.get("in_dims", in_dims)
    if trained != in_dims:
        raise UserError(
            f"{source} was trained on {trained}-D descriptors and {dataset} has {in_dims}-D ones; extract them with "
            "the same image encoder, or train on these"
        )
