"""From options to the encoder that they name."""

from pathlib import Path

from opticornet.evaluation.scene import Scene
from opticornet.inference.load import LoadedEncoder, frames_taken, load_encoder
from opticornet.options.shared import MethodOptions


def load_method(options: MethodOptions, scene: Scene, run: Path | None, checkpoint: str) -> LoadedEncoder:
    """The sequence encoder that the options name, for windows of ``options.sequence_length`` frames.

    Args:
        options: of a test, or of training that starts from the weights of ``run``.
        scene: what is to be encoded.
        run: where the weights come from; None for a method without weights.
        checkpoint: of the run, "best" or "latest".

    Raises:
        UserError: no checkpoint, or one that does not fit the data or the options.
    """
    return load_encoder(
        options.part("pooling"),
        options.pooling,
        scene.in_dims(frames_taken(options.pooling)),
        options.sequence_length,
        run=run,
        save_path=options.save_path,
        checkpoint=checkpoint,
        dataset=options.dataset,
    )
