"""What the options of a test mean for its record: how queries count, and what it says of the method and the data."""

from dataclasses import replace
from pathlib import Path

from opticornet.evaluation.answering.answer import Answer
from opticornet.evaluation.judged import ScoreSettings
from opticornet.evaluation.records import (
    DataRecord,
    FileRecord,
    LocalFeaturesRecord,
    MethodRecord,
    RerankWeightRecord,
)
from opticornet.evaluation.scene import Scene
from opticornet.evaluation.scoring import TestDescription, data_record
from opticornet.inference.load import WeightsRecord, frames_taken
from opticornet.matching.search import EXACT
from opticornet.options.modes import TestOptions
from opticornet.options.plugins import remembered
from opticornet.options.shared import DataOptions
from opticornet.utils.files import full_path, sha256
from opticornet.utils.options import flag_of, option_fields, recorded_value


def score_settings(options: TestOptions) -> ScoreSettings:
    """How the options count queries."""
    longest = options.longest_window
    return ScoreSettings(
        options.no_positive, options.radii, options.bootstrap, options.seed, longest, options.ks, options.equal_windows
    )


def description(
    options: TestOptions,
    scene: Scene,
    answer: Answer,
    differences: tuple[str, ...] = (),
    weight: RerankWeightRecord | None = None,
) -> TestDescription:
    """What the record says of the options, of ``differences`` in what made the frame descriptors, and of the
    ``weight`` of the searched distance."""
    takes = frames_taken(str(answer.weights.flags.get("pooling")) if answer.weights else options.pooling)
    data_options = {
        flag_of(f)[2:]: recorded_value(f, getattr(options, name)) for name, f in DataOptions.flags().items()
    }
    data = data_record(scene, takes, data_options, differences)
    return TestDescription(
        data=data,
        method=replace(
            method_record(options, answer, data), rerank_weight=weight, local_features=local_features(options, scene)
        ),
        options=options.record(),
        plugins=plugins_of(options, answer),
        name=options.new_name(),
    )


def method_record(options: TestOptions, answer: Answer, data: DataRecord) -> MethodRecord:
    """How a window became an answer."""
    path = options.predictions_file
    return MethodRecord(
        label=label(options, data, answer.weights),
        pooling=options.pooling,
        sequence_length=options.sequence_length,
        filter_length=options.filter_length,
        out_dims=answer.out_dims,
        index=options.index if answer.out_dims else "",
        matcher=matcher_name(options),
        matcher_options=matcher_options(options) if options.matches_frames else {},
        rerank=options.rerank,
        rerank_length=options.rerank_window,
        top_k=0 if answer.candidates is None else answer.ranking.indices.shape[1],
        weights=answer.weights,
        rerank_weights=answer.rerank_weights,
        amp=options.amp,
        index_settings=answer.index_settings,
        map_paces=answer.paces,
        pace_cost=options.pace_cost if len(answer.paces) > 1 else None,
        direction=options.direction,
        backwards=float(answer.backwards.mean()),
        predictions=FileRecord(full_path(path), sha256(Path(path))) if path else None,
    )


def local_features(options: TestOptions, scene: Scene) -> LocalFeaturesRecord | None:
    """The references' local features, where they re-ranked."""
    local = scene.reference.traverse.local_features
    if options.compares != "local features" or local is None:
        return None
    features, channels = local.shape[1:]
    return LocalFeaturesRecord(features, channels, str(local.dtype), features * channels * local.dtype.itemsize)


def matcher_name(options: TestOptions) -> str:
    """What compared windows: a sequence matcher, or the encoder that encodes them; empty where nothing did."""
    if options.compares == "described windows":
        return "encoder"
    return options.matcher if options.matches_frames else ""


def matcher_options(options: TestOptions) -> dict[str, object]:
    """Options of the sequence matcher by flag."""
    matcher = options.part("matcher")
    own = {flag_of(f)[2:]: getattr(matcher, name) for name, f in option_fields(type(matcher)).items()}
    return {flag: list(value) if isinstance(value, tuple) else value for flag, value in own.items()}


def label(options: TestOptions, data: DataRecord, weights: WeightsRecord | None) -> str:
    """What the result is called, where it stands alone: as the user said, else how it answers and, in brackets, what
    its numbers cannot be read without: an approximate index, the direction, bfloat16, candidates of a file, ``weights``
    trained from random ones where others are published, frame descriptors of random weights. Beside others it is called
    by what differs (``opticornet.reports.labels``)."""
    if options.label:
        return options.label
    text = f"{options.pooling} {'S' if options.searches else 'L'}{options.sequence_length}"
    if options.rerank:
        text += f", re-ranked by {options.rerank} L{options.rerank_window}"
    notes = [f"candidates of {Path(options.predictions_file).name}"] if options.predictions_file else []
    if options.matches_frames and options.matcher != type(options).matcher:
        notes.append(options.matcher)
    if options.index != EXACT and options.searches:
        notes.append(options.index)
    if len(paces := options.paces) > 1 and options.searches:
        notes.append(f"map at paces {' '.join(f'{pace:g}' for pace in paces)}")
    if options.direction != "forward":
        notes.append({"reverse": "reverse", "both": "either direction"}[options.direction])
    if options.protocol != type(options).protocol:
        notes.append(f"protocol {options.protocol}")
    if options.amp:
        notes.append("bfloat16")
    if weights and weights.started_at_random:
        notes.append(f"from {weights.started_from}")
    if data.adaptation is not None:
        notes.append(data.adaptation.label)
    if data.descriptor_differences:
        notes.append("frame descriptors made differently")
    sides = (data.reference, data.query)
    if random := {side.descriptors.encoder for side in sides if side.descriptors and side.descriptors.is_random}:
        notes.append(f"random {', '.join(sorted(random))}")
    return f"{text} ({'; '.join(notes)})" if notes else text


def plugins_of(options: TestOptions, answer: Answer) -> list[FileRecord]:
    """The plugin files of the test and those that the runs of its weights remember; as when they are loaded, a file
    given now stands for a remembered one of its name."""
    files = remembered(options.plugin)
    given = {Path(path).name for path in files}
    for weights in (answer.weights, answer.rerank_weights):
        kept = weights.flags.get("plugins", {}) if weights else {}
        files |= {path: digest for path, digest in kept.items() if Path(path).name not in given}
    return [FileRecord(path, digest) for path, digest in files.items()]
