"""From a test's options to the encoder that they name."""

from pathlib import Path

from opticornet.evaluation.scene import Scene
from opticornet.inference.load import LoadedEncoder, frames_taken, load_encoder
from opticornet.options.test import TestOptions


def load_method(options: TestOptions, scene: Scene, run: Path | None) -> LoadedEncoder:
    """The sequence encoder that the options name, for windows of ``options.sequence_length`` frames.

    Args:
        options: of the test.
        scene: what is to be encoded.
        run: where the weights come from; None for a method without weights.

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
        checkpoint=options.ckpt,
        dataset=options.dataset,
    )
