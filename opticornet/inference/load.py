"""From a method's options, or a run, to a sequence encoder."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from opticornet.evaluation.records import WeightsRecord
from opticornet.inference.runs import SAVE_PATH, read_flags
from opticornet.models.sequences.base import SequenceEncoder, SequenceEncoderOptions
from opticornet.utils.checkpoints import BEST, LATEST, build_empty, fit_state, load_checkpoint, sha256
from opticornet.utils.device import physical_memory
from opticornet.utils.errors import UserError


def build_encoder(method: SequenceEncoderOptions, name: str, in_dims: int, length: int) -> SequenceEncoder:
    """A method's encoder, freshly initialised.

    Args:
        method: what it is and its options.
        name: what it is called, for messages.
        in_dims: D, of the frame descriptors.
        length: L, frames per window.

    Raises:
        UserError: windows of that length are too short for it, or it would not fit into memory.
    """
    needed = 4 * 4 * method.weights(in_dims)  # bytes: weights, gradients and two moments of each
    if needed > physical_memory():
        raise UserError(
            f"{name} with these options and {in_dims}-D frames takes {needed / 2**30:.0f} GiB to train, more than "
            "there is; choose fewer dimensions"
        )
    encoder = method.build(in_dims, length)
    if length < encoder.min_length:
        raise UserError(
            f"`sequence_length` {length} is below {encoder.min_length}, the fewest frames that {name} takes with these "
            "options; take longer windows or a narrower kernel"
        )
    return encoder


@dataclass(frozen=True)
class LoadedEncoder:
    """An encoder ready to encode, and where its weights came from (None: it has none)."""

    encoder: SequenceEncoder
    weights: WeightsRecord | None


def load_encoder(
    method: SequenceEncoderOptions,
    name: str,
    in_dims: int,
    length: int,
    *,
    run: Path | None = None,
    save_path: str = SAVE_PATH,
    checkpoint: str = "best",
    dataset: str = "this dataset",
) -> LoadedEncoder:
    """A method's encoder, with the weights of a run.

    Args:
        method, name, in_dims, length: as for :func:`build_encoder`; agreeing with the run.
        run: run folder, ours or seqNet's; None for a method without weights.
        save_path: folder of the checkpoints inside it.
        checkpoint: "best" or "latest".
        dataset: what the encoder is to be used on, for messages.

    Raises:
        UserError: no checkpoint, or one that does not fit the data or the options.
    """
    if run is None:
        return LoadedEncoder(build_encoder(method, name, in_dims, length).eval(), None)
    path = run / save_path / (BEST if checkpoint == "best" else LATEST)
    state = load_checkpoint(path, mapped=True)
    check_dims(state, in_dims, str(path), dataset)
    encoder = build_empty(lambda: build_encoder(method, name, in_dims, length)).eval()
    weights = {key.removeprefix("module."): value for key, value in state["state_dict"].items()}
    fit_state(encoder, weights, str(path), assign=True)
    flags = read_flags(run, save_path)
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
