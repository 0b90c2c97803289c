"""The encoder of an extraction: one with published weights, or one that a run trained."""

from opticornet.inference.image_runs import CHANGEABLE, image_run_flags, load_image_run
from opticornet.inference.runs import find_run, named_checkpoint
from opticornet.models.images.base import ImageEncoder
from opticornet.models.images.build import build_from_options
from opticornet.options.modes import ExtractOptions
from opticornet.options.plugins import load_remembered


def of_run(options: ExtractOptions) -> ExtractOptions:
    """The options with the encoder of the run that they name, and all that its weights belong to; images may be of
    another size, and see others. As they are where they name none.

    Raises:
        UserError: there is no such run, it learned no image encoder, or one that contradicts the options.
    """
    if not options.resume:
        return options
    run = find_run(options.resume, options.runs_path, options.save_path)
    flags = image_run_flags(run, options.save_path)
    load_remembered(flags.get("plugins", {}), options.plugin, str(run))
    for name, flag in CHANGEABLE.items():
        if name in options.given:
            flags.pop(flag, None)
    return options.restored(flags, ("desc_type",), str(run), "run")


def encoder_of(options: ExtractOptions) -> ImageEncoder:
    """The encoder in evaluation mode on the CPU.

    Args:
        options: as :func:`of_run` gives them.

    Raises:
        UserError: a size that it cannot take, or weights that are missing or do not fit.
    """
    if not options.resume:
        return build_from_options(options.desc_type, options.part("desc_type"), options.weights)
    run = find_run(options.resume, options.runs_path, options.save_path)
    checkpoint = named_checkpoint(options.resume) or options.ckpt
    changed = {name: options.chosen[name] for name in CHANGEABLE if name in options.given}
    return load_image_run(run, checkpoint=checkpoint, save_path=options.save_path, changed=changed).encoder
