"""Options of ``--mode report``."""

from dataclasses import dataclass

from opticornet.options.base import Options
from opticornet.utils.options import option


@dataclass(frozen=True, kw_only=True)
class ReportOptions(Options):
    """``--mode report``: result records to a page and figures."""

    results: tuple[str, ...] = option("--results", (), "result records (.json) that --mode test wrote")
    output: str = option("--output", "report", "folder for index.html, the tables and the figures")
    label: tuple[str, ...] = option(
        "--label", (), "what to call the results, one each; else by what differs between them"
    )
    matrix_side: int = option("--matrixSide", 2000, "pixels of a similarity matrix's longer side; 0: no matrices")
    quiet: bool = option("--quiet", False, "print errors only")
