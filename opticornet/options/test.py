"""Options of ``--mode test``."""

from dataclasses import dataclass

from opticornet.options.shared import MethodOptions
from opticornet.utils.options import option


@dataclass(frozen=True, kw_only=True)
class TestOptions(MethodOptions):
    """``--mode test``: encode, retrieve, re-rank, score, save."""

    __test__ = False  # not a test class, whatever pytest makes of its name

    split: str = option("--split", "test", "split to score", choices=("train", "val", "test"))
    ckpt: str = option("--ckpt", "best", "which checkpoint of the run", choices=("best", "latest"))
    index: str = option("--index", "Flat", "faiss index_factory string; Flat is exact")
    matcher: str = option("--matcher", "diagonal", "sequence matcher", choices=("diagonal", "seqslam", "dtw"))
    match_memory_mib: int = option("--matchMemory", 1024, "memory the sequence matcher may fill, in MiB")
    velocities: tuple[float, ...] = option(
        "--velocities", (0.8, 1.2, 0.1), "seqslam: slowest and fastest speed of the reference, and the step between"
    )
    contrast_window: int = option("--contrastWindow", 0, "seqslam: references around for contrast; 0: off")
    reverse: bool = option("--reverse", False, "match query windows backwards: the route driven the other way")
    rerank: str = option(
        "--rerank",
        "",
        "re-order the candidates by sequence matching, or by local features (extract --local)",
        choices=("single+seqmatch", "s1+seqmatch", "local"),
    )
    rerank_resume: str = option("--rerankResume", "", "run whose encoder describes single frames for s1+seqmatch")
    rerank_length: int = option("--rerankSeqL", 0, "frames a re-ranking window; 0: --seqL")
    top_k: int = option("--topK", 20, "candidates to re-rank")
    predictions_file: str = option("--predictionsFile", "", "re-rank the predictions of this results file instead")
    no_positive: str = option(
        "--noPositive", "drop", "queries without a reference in the radius", choices=("drop", "count")
    )
    radii: tuple[float, ...] = option("--radii", (1, 5, 10, 20, 40, 100, 200), "radii of the recall table")
    bootstrap: int = option("--bootstrap", 1000, "resamplings behind the 95 %% intervals; 0: none")
    latency_queries: int = option("--latencyQueries", 50, "queries timed one by one; 0: none")
    results_path: str = option("--resultsPath", "", "folder for predictions (.npz) and result record (.json)")
    extract_only: bool = option("--extractOnly", False, "only write dbDesc, qDesc and gt to --resultsPath")
    projector: int = option("--projector", 0, "embeddings of this many places for TensorBoard's projector")
    report: str = option("--report", "", "also write a report of this result to this folder")
