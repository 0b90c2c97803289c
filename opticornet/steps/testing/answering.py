"""How the options of a test answer queries."""

from dataclasses import dataclass, replace
from functools import partial, reduce

from opticornet.evaluation.answering.answer import Answer, better
from opticornet.evaluation.answering.described_windows import described_windows
from opticornet.evaluation.answering.matching import MatchSettings, match_frames, matched_frames, read_predictions
from opticornet.evaluation.answering.paces import MapPaces
from opticornet.evaluation.answering.rerank import rerank_answer
from opticornet.evaluation.answering.search import Described, SearchSettings, describe, indexed, search_descriptors
from opticornet.evaluation.equal_windows import EqualWindows
from opticornet.evaluation.scene import Scene, side_of
from opticornet.evaluation.validated import EncodedSide
from opticornet.inference.load import LoadedEncoder
from opticornet.matching.sequences.diagonal import Diagonal
from opticornet.options.modes import TestOptions
from opticornet.steps.testing.maps import SharedMaps
from opticornet.steps.testing.runs import Runs, load_compared, load_searched


@dataclass(frozen=True)
class Encoders:
    """What describes windows and single frames; None where nothing does."""

    searched: LoadedEncoder | None
    single: LoadedEncoder | None


def load_encoders(options: TestOptions, scene: Scene, runs: Runs) -> Encoders:
    """The encoders that the method takes."""
    single = None if runs.single is None else load_compared(options, scene, runs.single)
    return Encoders(load_searched(options, scene, runs.method) if options.searches else None, single)


def with_candidates(options: TestOptions, references: int) -> TestOptions:
    """The options with no more candidates than there are references, where the user did not say how many."""
    if "top_k" in options.given:
        return options
    return replace(options, top_k=min(options.top_k, references))


def answer_queries(
    options: TestOptions, scene: Scene, encoders: Encoders, maps: SharedMaps
) -> tuple[Answer, tuple[EncodedSide, ...]]:
    """Answer every query; with the answers, the descriptors that are shown in the projector."""
    scenes = directions(options, scene)
    if encoders.searched is None:
        return reduce(better, matched_answers(options, scenes, encoders.single)), ()
    shown: tuple[EncodedSide, ...] = ()
    described = maps.describe(scene, encoders.searched, options.amp, options.paces)
    if options.projector:
        shown = side_of(scene.reference, described.reference), side_of(scene.query, described.query)
    answers = search_answers(options, scenes, described)
    del described  # what follows needs its memory
    return reduce(better, reranked(options, scenes, answers, encoders.single) if options.rerank else answers), shown


def answer_scenes(options: TestOptions, scenes: list[Scene], encoders: Encoders) -> list[Answer]:
    """Answer every query of each scene, untimed; what is the same in neighbouring ones is encoded once."""
    options = replace(options, latency_queries=0)
    if encoders.searched is None:
        return matched_answers(options, scenes, encoders.single)
    answers = search_answers(
        options, scenes, describe(scenes[0], encoders.searched, paces=options.paces, amp=options.amp)
    )
    return reranked(options, scenes, answers, encoders.single) if options.rerank else answers


def directions(options: TestOptions, scene: Scene) -> list[Scene]:
    """The scene, and where the direction is not known, also that of the queries driven the other way."""
    return [scene, scene.reversed()] if options.direction == "both" else [scene]


def search_answers(options: TestOptions, scenes: list[Scene], described: Described) -> list[Answer]:
    """Answer each scene by search of sequence descriptors; ``described`` is the first one."""
    depth = max(*options.ks, options.top_k if options.rerank else 0)
    paces = MapPaces(options.paces, options.pace_cost)
    settings = SearchSettings(options.index, options.nprobe or None, options.seed, depth, paces)
    answers = []
    search = partial(search_descriptors, amp=options.amp, latency_queries=options.latency_queries)
    for number, scene in enumerate(scenes):
        if number:
            described = describe(scene, described.encoder, paces=options.paces, amp=options.amp, known=described)
        described = indexed(scene, described, settings)
        answers.append(search(scene, described, settings, *searched_equal(options, scene)))
    return answers


def reranked(
    options: TestOptions, scenes: list[Scene], answers: list[Answer], single: LoadedEncoder | None
) -> list[Answer]:
    """Answers by search, their first candidates in another order."""
    reranker, settings = options.part("rerank"), match_settings(options)
    frames, windows, again = None, None, []
    rerank = partial(rerank_answer, amp=options.amp, latency_queries=options.latency_queries)
    for scene, answer in zip(scenes, answers, strict=True):
        if options.matches_frames:
            frames = matched_frames(scene, single, amp=options.amp, known=frames)
        equal, (_, kept_apart) = reranked_equal(options, scene), searched_equal(options, scene)
        if options.compares == "described windows":
            assert single is not None
            compared = scene.with_length(options.rerank_window, "rerank_length")
            windows = described_windows(compared, single, settings.memory_bytes, amp=options.amp, known=windows)
        again.append(rerank(scene, answer, reranker, options.top_k, settings, equal, kept_apart, frames or windows))
    return again


def matched_answers(options: TestOptions, scenes: list[Scene], single: LoadedEncoder | None) -> list[Answer]:
    """Answer each scene by matching frames: with all references, or with the candidates of a results file."""
    candidates = None
    if options.predictions_file:
        candidates = read_predictions(options.predictions_file, scenes[0], options.top_k)
    match = partial(match_frames, amp=options.amp, latency_queries=options.latency_queries)
    settings = match_settings(options)
    frames, answers = None, []
    for scene in scenes:
        frames = matched_frames(scene, single, amp=options.amp, known=frames)
        answers.append(match(scene, frames, settings, searched_equal(options, scene)[0], candidates))
    return answers


def searched_equal(options: TestOptions, scene: Scene) -> tuple[EqualWindows, EqualWindows]:
    """References that are one answer to the search (or to matching), and those that are one to the re-ranker too."""
    reference = scene.reference
    if options.equal_windows == "each":
        return (EqualWindows.each(len(reference), len(options.paces)),) * 2
    searched = EqualWindows.at_speeds(options.paces, reference)
    if not options.rerank:
        return searched, searched
    compared = reference.with_length(options.rerank_window, "rerank_length")
    return searched, EqualWindows.at_speeds(options.paces, reference, compared)


def reranked_equal(options: TestOptions, scene: Scene) -> EqualWindows:
    """References that are one answer once re-ranked: whose windows are the same to what their distances are made of."""
    if options.equal_windows == "each":
        return EqualWindows.each(len(scene.reference), len(options.paces))
    compared = scene.reference.with_length(options.rerank_window, "rerank_length")
    if "searched" in options.part("rerank").distances_of:
        also = (compared,) if "compared" in options.part("rerank").distances_of else ()
        return EqualWindows.at_speeds(options.paces, scene.reference, *also)
    return EqualWindows.at_speeds([1.0] * len(options.paces), compared)


def match_settings(options: TestOptions) -> MatchSettings:
    """How the options match frames; windows that are described are each compared as one."""
    matcher = Diagonal() if options.compares == "described windows" else options.part("matcher")
    return MatchSettings(matcher, options.match_memory_mib << 20, max(options.ks))
