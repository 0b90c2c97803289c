"""Rooms below the steps speak of their arguments: they know no flag, which a notebook's user never typed."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
BELOW_THE_STEPS = (
    "models",
    "datasets",
    "utils",
    *(f"opticornet/{room}" for room in ("learning", "evaluation", "inference", "matching", "reports")),
)
FLAG = re.compile(r"(?<![\w-])--[A-Za-z]\w*")


def texts(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and text of every string, but for docstrings and the declarations of options."""
    skipped: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            skipped.add(node.value)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "option":
            skipped.update(ast.walk(node))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in skipped:
            yield node.lineno, node.value


def flags_in(source: str) -> list[str]:
    return [f"{line}: {flag}" for line, text in texts(ast.parse(source)) for flag in FLAG.findall(text)]


@pytest.mark.parametrize("room", BELOW_THE_STEPS)
def test_no_text_of_a_room_below_the_steps_names_a_flag(room):
    files = sorted((ROOT / room).rglob("*.py"))
    found = {path.relative_to(ROOT).as_posix(): flags_in(path.read_text(encoding="utf-8")) for path in files}
    assert files
    assert {name: flags for name, flags in found.items() if flags} == {}


def test_flags_are_found_wherever_a_message_is_made():
    source = '''
"""Of --mode test."""
w: int = option("--w", 3, "frames, not above --seqL")
def f(found):
    """Raises for --resume."""
    raise UserError(
        f"no run {found}: name it with "
        "--resume RUN, or a - b -- c"
    )
def misfit(found):
    return "give " + f"--weights {found}"
'''
    assert flags_in(source) == ["7: --resume", "11: --weights"]
