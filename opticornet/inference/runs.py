"""Run folders: one training run, its options, checkpoints, events.

``<runsPath>/<Mon>DD_HH-MM-SS_<method>_l<seqL>_<expName>/``, seqNet's names with the method in them, holds TensorBoard
events and
``checkpoints/{flags.json,checkpoint.pth.tar,model_best.pth.tar}``.
"""

import json
import os
import time
from pathlib import Path
from typing import Any

from opticornet.utils.errors import UserError
from opticornet.utils.files import write_json, writing

FLAGS = "flags.json"
SAVE_PATH = "checkpoints"
NEWEST = "newest"
LONGEST_NAME = 255 - len(".-9999.json.4194304.tmp")  # bytes: what a temporary file adds to a name
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def stamp() -> str:
    """The local time as seqNet writes it, whatever the locale: ``Nov20_22-52-07``."""
    now = time.localtime()
    return f"{_MONTHS[now.tm_mon - 1]}{time.strftime('%d_%H-%M-%S', now)}"


def check_name(argument: str, name: str) -> None:
    """Raise :class:`UserError` where what names a run, a result or a run's inner folder is a path."""
    if "/" in name or "\\" in name or name == "..":
        raise UserError(f"`{argument}` {name}: wanted a plain name, without folders")


def run_name(method: str, length: int | None, exp_name: str) -> str:
    """``<stamp>_<method>_l<seqL>_<expName>``, of a run or a result; without a length where windows have none."""
    of_windows = "" if length is None else f"_l{length}"
    return f"{stamp()}_{method.replace('/', '-')}{of_windows}_{exp_name}"


def check_exp_name(exp_name: str, method: str, length: int | None) -> None:
    """Raise :class:`UserError` where file names made of ``exp_name`` are too long for file systems."""
    room = LONGEST_NAME - len(os.fsencode(run_name(method, length, "")))
    if (size := len(os.fsencode(exp_name))) > room:
        raise UserError(f"`exp_name` of {size} bytes is too long for the names of files; wanted at most {room}")


def new_run(folder: Path, name: str) -> Path:
    """Make a run folder that did not exist. It counts as a run once :func:`write_flags` has been called.

    Raises:
        UserError: ``folder`` is not writable.
    """
    base = folder / name
    with writing(base):
        for attempt in range(1, 1000):
            run = base if attempt == 1 else base.with_name(f"{base.name}-{attempt}")
            try:
                run.mkdir(parents=True)
                break
            except FileExistsError:
                continue
    return run


def write_flags(run: Path, flags: dict[str, Any], save_path: str = SAVE_PATH) -> None:
    """Write a run's ``flags.json``, after its first checkpoint: from then on it can be resumed."""
    write_json(run / save_path / FLAGS, flags)


def find_run(resume: str, runs_path: str, save_path: str, argument: str = "resume") -> Path:
    """A run folder by its path or one of its checkpoints', or the newest run inside a folder of runs.

    Args:
        resume: the path; ``NEWEST`` for the newest run of all. Which checkpoint it is says :func:`named_checkpoint`.
        runs_path: folder of all runs.
        save_path: folder of the checkpoints inside a run.
        argument: what ``resume`` was given as, for messages.

    Raises:
        UserError: the folder is missing, is no run and holds none; there is no run yet.
    """
    if resume == NEWEST:
        newest = _newest_run(Path(runs_path), save_path)
        if newest is None:
            raise UserError(f"`{argument}`: no run in {runs_path} yet; train one, or name a run folder")
        return newest
    run = Path(resume)
    if run.is_file():
        return _run_of(run, save_path, argument)
    if not run.is_dir():
        raise UserError(f"`{argument}` {resume}: no such folder; runs are in {runs_path}")
    if (run / save_path / FLAGS).is_file():
        return run
    newest = _newest_run(run, save_path)
    if newest is None:
        raise UserError(f"`{argument}` {resume} is not a run: no {save_path}/{FLAGS} in it; runs are in {runs_path}")
    return newest


def named_checkpoint(resume: str) -> str:
    """ "best" or "latest" where ``resume`` is the path of such a checkpoint, else an empty text."""
    from opticornet.utils.checkpoints import BEST, LATEST  # which imports torch

    return {BEST: "best", LATEST: "latest"}.get(Path(resume).name, "") if Path(resume).is_file() else ""


def _run_of(checkpoint: Path, save_path: str, argument: str) -> Path:
    """The run that a checkpoint belongs to.

    Raises:
        UserError: it is no checkpoint of a run.
    """
    from opticornet.utils.checkpoints import BEST, LATEST

    folder = checkpoint.parent
    if checkpoint.name in (BEST, LATEST) and (folder / FLAGS).is_file() and folder.name == save_path:
        return folder.parent
    raise UserError(
        f"`{argument}` {checkpoint}: wanted a run folder, or its {save_path}/{BEST} or {save_path}/{LATEST} with "
        f"{FLAGS} beside it"
    )


def _newest_run(folder: Path, save_path: str) -> Path | None:
    """The run in ``folder`` that was started last."""
    flags = list(folder.glob(f"*/{save_path}/{FLAGS}"))
    return max(flags, key=lambda path: (path.stat().st_mtime_ns, path.parts)).parents[1] if flags else None


def read_flags(run: Path, save_path: str) -> dict[str, Any]:
    """A run's ``flags.json``: flag name to value; ``adapt`` is "none" where it was not an option yet, as in seqNet's.

    Raises:
        UserError: the file is not a JSON object.
    """
    path = run / save_path / FLAGS
    try:
        flags = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path} is not readable JSON: {error}") from error
    if not isinstance(flags, dict):
        raise UserError(f"{path} holds {type(flags).__name__}, wanted an object of flags")
    return {"adapt": "none"} | flags


def is_of_images(flags: dict[str, Any]) -> bool:
    """Whether a run with such flags learned an image encoder."""
    return "lossTerms" in flags


def read_sequence_flags(run: Path, save_path: str) -> dict[str, Any]:
    """:func:`read_flags` of a run of a sequence method.

    Raises:
        UserError: as there, or it learned an image encoder.
    """
    flags = read_flags(run, save_path)
    if is_of_images(flags):
        raise UserError(
            f"{run} learned the image encoder {flags.get('descType')}: wanted a run of a sequence method; extract "
            "frame descriptors by it first, then train or test on these"
        )
    return flags
