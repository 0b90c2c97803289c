"""The arrays beside a result record (docs/result-record.md)."""

import numpy as np

from opticornet.datasets.windows import Windows
from opticornet.evaluation.answering.answer import Answer
from opticornet.evaluation.judged import Judged, query_sequences
from opticornet.evaluation.no_answer import NoAnswer
from opticornet.evaluation.scene import Scene


def answer_arrays(answer: Answer, judged: Judged) -> dict[str, np.ndarray]:
    """What was found, and what is right of it, in the arrays beside a record."""
    columns = answer.ranking.indices.shape[1]
    arrays = {
        "preds": answer.ranking.indices,
        "distances": answer.ranking.distances,
        "recalls": np.array(list(judged.recall.values())),
        "rAtL": judged.recall_at_radii,
        "ks": np.array(judged.ks),
        "radii": np.array(judged.radii, np.float64),
        "errors": judged.errors[:, :columns],
        "correct": judged.correct[:, :columns],
        "counted": judged.counted,
        "hasPositive": judged.has_positive,
    }
    if answer.backwards.any():
        arrays["backwards"] = answer.backwards
    if len(answer.paces) > 1:
        arrays["mapPaces"] = answer.found_at
    if judged.curve is not None:
        arrays |= {name: getattr(judged.curve, name) for name in ("precision", "recall", "thresholds")}
    if answer.candidates is not None:
        arrays["candidates"] = answer.candidates.indices[:, :columns]
    return arrays


def no_answer_arrays(answer: Answer, no_answer: NoAnswer | None) -> dict[str, np.ndarray]:
    """Which queries have no answer, and how confident the first answers are, where that is known."""
    if no_answer is None:
        return {}
    best = answer.ranking.distances[:, 0]
    arrays = {"noAnswer": no_answer.refuses(best)}
    if no_answer.calibration is not None:
        arrays["confidence"] = no_answer.calibration.of(best)
    return arrays


def scene_arrays(scene: Scene) -> dict[str, np.ndarray]:
    """What was searched for what, in the arrays beside a record."""
    arrays = {"querySequences": query_sequences(scene)}
    for side_name, side in (("reference", scene.reference), ("query", scene.query)):
        arrays[f"{side_name}Rows"] = side.rows
        arrays[f"{side_name}Starts"] = side.starts
        arrays[f"{side_name}Positions"] = side.positions
        if len(side.traverse.drives) > 1:
            drives = np.array([drive.name for drive in side.traverse.drives])
            arrays[f"{side_name}Drives"] = drives[side.traverse.drive_numbers[side.rows]]
        if side.traverse.lat_lon is not None:
            arrays[f"{side_name}LatLon"] = side.traverse.lat_lon[side.rows]
        for what in ("names", "images"):
            values = getattr(side.traverse, what)
            if values is not None:
                arrays[f"{side_name}{what.capitalize()}"] = np.array(values, dtype=np.str_)[side.rows]
        others = rows_without_window(side)
        if side.traverse.images is not None and len(others):
            arrays[f"{side_name}OtherRows"] = others
            arrays[f"{side_name}OtherImages"] = np.array(side.traverse.images, dtype=np.str_)[others]
    if scene.truth.listed is not None:
        arrays["positiveOffsets"], arrays["positiveRows"] = scene.truth.listed.offsets, scene.truth.listed.rows
    return arrays


def rows_without_window(windows: Windows) -> np.ndarray:
    """Rows of the frames that windows hold and that have no window of their own, (K,) int64."""
    held = (windows.starts[:, None] + np.arange(windows.length)).ravel()
    return np.setdiff1d(held, windows.rows)
