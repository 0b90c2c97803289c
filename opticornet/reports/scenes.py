"""Reopening what a record was made from: its dataset and, with their hash checked, its weights."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from opticornet.datasets.adapting.adaptation import QUERIES_OF_TRAIN, Adaptation
from opticornet.datasets.adapting.opening import open_adaptation
from opticornet.datasets.catalogue import load_dataset
from opticornet.datasets.descriptors.identity import DescriptorIdentity
from opticornet.evaluation.answering.matching import matched_frames
from opticornet.evaluation.answering.search import describe
from opticornet.evaluation.scene import Scene, WindowSettings
from opticornet.inference.load import frames_taken
from opticornet.options.loading import load_method
from opticornet.options.modes import TestOptions
from opticornet.options.plugins import load_remembered
from opticornet.options.shared import MATCHED
from opticornet.reports.results import Result
from opticornet.utils.checkpoints import BEST, LATEST
from opticornet.utils.errors import UserError
from opticornet.utils.files import sha256


class Unavailable(Exception):
    """Something a panel needs is gone; the message says what, for the page."""


def reopen(result: Result) -> Scene:
    """The scene a record was made from, checked to hold the same places.

    Raises:
        Unavailable: the dataset is gone or has changed since.
        UserError: the record's arrays are missing.
    """
    answers = result.need_answers("reopening its scene")
    try:
        options = recorded_options(result)
        dataset = load_dataset(options.dataset, **options.source(), splits=(options.split,))
        rerank_length = int(result.get("method", "rerank_length", default=0))
        windowing = WindowSettings(**options.windowing() | {"longest": max(result.length, rerank_length)})
        filter_length = int(result.get("method", "filter_length", default=0))
        needs = frozenset({frames_taken(result.get("method", "weights", "flags", "pooling", default=options.pooling))})
        scene = Scene.of(
            dataset.name,
            dataset.splits[options.split],
            result.length,
            filter_length,
            torch.device("cpu"),
            needs,
            windowing,
            recorded_adaptation(result, options),
        )
    except (UserError, KeyError) as error:
        raise Unavailable(f"the dataset cannot be opened any more ({error})") from error
    sides = (("reference", answers.reference, scene.reference), ("query", answers.query, scene.query))
    for name, places, windows in sides:
        if not (
            np.array_equal(places.rows, windows.rows)
            and np.array_equal(places.positions, windows.positions, equal_nan=True)
        ):
            raise Unavailable(f"the dataset {options.dataset} has changed since: its places differ from the record's")
        side, parts = result.get("data", name, default={}), windows.traverse.parts
        drives = side.get("drives") or [side]
        if len(drives) != len(parts):
            raise Unavailable(f"the dataset {options.dataset} has changed since: its {name} drives differ")
        for drive, part in zip(drives, parts, strict=True):
            recorded, now = DescriptorIdentity.of(drive.get("descriptors")), DescriptorIdentity.beside(part)
            if recorded and now and (found := recorded.difference(now, "the record", "the dataset")):
                raise Unavailable(f"the dataset {options.dataset} has changed since: {found}")
    return scene


def recorded_adaptation(result: Result, options: TestOptions) -> Adaptation:
    """How the frames of a record were adapted.

    Raises:
        Unavailable: a running mean began from training queries that cannot be read any more.
        UserError: a file of them is damaged.
    """
    by = result.get("data", "adaptation", "by", default="none")
    scale = bool(result.get("data", "adaptation", "scale", default=False))
    if result.get("data", "adaptation", "begun_from", default="") != QUERIES_OF_TRAIN:
        return Adaptation(by, scale)
    adaptation = open_adaptation(by, scale, options.dataset, **options.source())
    if adaptation.begin is None:
        raise Unavailable(
            f"the training queries of {options.dataset}, from which a running mean began, are not there any more "
            f"({adaptation.why_map})"
        )
    return adaptation


def recorded_options(result: Result) -> TestOptions:
    """The options of the test, as far as they shape descriptors; its plugins are loaded.

    Raises:
        UserError: a plugin is gone or has changed, or the record's options are not known here.
    """
    files = result.get("plugins", default=[])
    load_remembered({file["path"]: file["sha256"] for file in files}, (), str(result.path))
    method = result.get("method", default={})
    options = TestOptions.of(
        split=str(result.get("data", "split", default="test")),
        pooling=method.get("pooling", "single"),
        sequence_length=result.length,
    )
    options = _with_recorded(options, result.get("data", "options", default={}), tuple(options.flags()))
    options = _with_recorded(
        options, result.get("options", default={}), ("amp", "direction", "windows", "short_sequences", "fill_frames")
    )
    flags = result.get("method", "weights", "flags", default={})
    return _with_recorded(
        options, flags, ("pooling", "save_path") if options.pooling not in MATCHED else ("save_path",)
    )


def _with_recorded(options: TestOptions, flags: dict[str, Any], names: tuple[str, ...]) -> TestOptions:
    """``options`` with the fields ``names`` as recorded under their flags."""
    return replace(options, given=frozenset()).restored(flags, names, "the record")


def vectors(result: Result, scene: Scene) -> tuple[np.ndarray, np.ndarray, str]:
    """What was compared: (N, O) reference and (M, O) query rows of unit length, and what they are, in words.

    Raises:
        Unavailable: the weights are gone or are not those recorded.
    """
    run = None
    try:
        options = recorded_options(result)
        if result.get("method", "weights") is not None:
            run, checkpoint = _weights(result, options)
            options = replace(options, ckpt=checkpoint)
        if options.searches:
            scene = scene.reversed() if options.direction == "reverse" else scene
            described = describe(scene, load_method(options, scene, run, options.ckpt), amp=options.amp)
            return _unit_rows(described.reference), _unit_rows(described.query), "sequence descriptors"
        single = None
        if run is not None:
            flags = result.get("method", "weights", "flags", default={})
            single_options = replace(_with_recorded(options, flags, ("pooling",)), sequence_length=1)
            single = load_method(single_options, scene, run, single_options.ckpt)
        frames = matched_frames(scene, single, amp=options.amp)
    except UserError as error:
        raise Unavailable(f"the descriptors cannot be computed again ({error})") from error
    sides = (scene.reference, scene.query)
    sets = (frames.reference, frames.query)
    reference, query = (_unit_rows(np.asarray(s.frames)[side.rows]) for s, side in zip(sets, sides, strict=True))
    return reference, query, "descriptors of single frames, which sequence matching adds up along a window"


def _weights(result: Result, options: TestOptions) -> tuple[Path, str]:
    """The run folder and the checkpoint ("best" or "latest") of the recorded weights."""
    path = Path(result.get("method", "weights", "path", default=""))
    names = {BEST: "best", LATEST: "latest"}
    if path.name not in names or not path.is_file():
        raise Unavailable(f"the weights {path} are gone")
    if sha256(path) != result.get("method", "weights", "sha256"):
        raise Unavailable(f"the weights {path} have changed since the test: their SHA-256 differs from the record's")
    return path.parents[len(Path(options.save_path).parts)], names[path.name]


def _unit_rows(rows: np.ndarray) -> np.ndarray:
    """Rows as float32 of unit length; a row of zeros stays one."""
    rows = rows.astype(np.float32)
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(norms > 0, norms, 1)
