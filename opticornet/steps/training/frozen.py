"""The parts of an encoder that training leaves as they are, or works out twice."""

from opticornet.models.sequences.base import ImageSequenceEncoder, SequenceEncoder
from opticornet.options.modes import TrainOptions
from opticornet.utils.errors import UserError


def prepare_parts(encoder: SequenceEncoder, options: TrainOptions) -> None:
    """Freeze what ``freeze_blocks`` and ``freeze_spatial`` say, and work out twice what ``checkpointing`` says.

    Raises:
        UserError: the encoder has no such parts.
    """
    if not isinstance(encoder, ImageSequenceEncoder):
        return
    parts, name, count = encoder.parts, options.pooling, options.freeze_blocks
    if count:
        try:
            encoder.freeze(parts.first_blocks(count))
        except ValueError as error:
            raise UserError(f"`freeze_blocks` {count}: {name} cannot freeze so many, {error}") from error
    if options.freeze_spatial:
        if not encoder.describes_frames:
            raise UserError(f"`freeze_spatial`: {name} has no part that describes single frames; leave it out")
        encoder.freeze(parts.of_frames)
    if options.checkpointing:
        if not parts.stacks:
            raise UserError(f"`checkpointing`: {name} has no blocks to work out once more; leave it out")
        for stack in parts.stacks:
            stack.checkpointing = True
