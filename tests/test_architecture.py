"""Who may import whom: the table of docs/architecture.md against every import there is."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from graphlib import TopologicalSorter
from importlib import metadata
from itertools import chain
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("models", "datasets", "utils")  # layers of the package that lie at the top level
GENERIC = {*FOLDERS, "test", "tests", "train", "main"}


def table() -> dict[str, set[str]]:
    """Layer to the layers that it may import, from the page."""
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(?:opticornet/)?(\w+)(?:/|\.py)` \|[^|]*\|([^|]*)\|$", text, re.MULTILINE)
    return {layer: set(re.findall(r"`(\w+)`", imports)) for layer, imports in rows}


def layers() -> set[str]:
    """What lies in the package: folders, and modules that are not the package's own dunder files."""
    inside = {path.name for path in (ROOT / "opticornet").iterdir() if path.is_dir() and path.name != "__pycache__"}
    modules = {path.stem for path in (ROOT / "opticornet").glob("[!_]*.py")}
    return inside | modules | set(FOLDERS)


def package_files() -> list[Path]:
    """Every Python file of the package; a folder behind a link is listed once."""
    return [path for name in ("opticornet", *FOLDERS) for path in sorted((ROOT / name).rglob("*.py"))]


def layer_of(path: Path) -> str:
    first, *rest = path.relative_to(ROOT).with_suffix("").parts
    return rest[0] if first == "opticornet" else first


def imports(tree: ast.AST) -> Iterator[str]:
    """Absolute names of all imported modules, wherever the import stands; relative ones begin with a dot."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            yield from ((f"{module}.{alias.name}" for alias in node.names) if module == "opticornet" else (module,))


def imported_layers(path: Path) -> set[str]:
    names = (name.split(".") for name in imports(ast.parse(path.read_text(encoding="utf-8"))))
    return {parts[1] for parts in names if parts[0] == "opticornet" and len(parts) > 1} - {layer_of(path)}


def all_imports() -> Iterator[tuple[str, str]]:
    """(where, module) in every Python file, and in the ``python`` blocks of the pages, which may be fragments."""
    folders = ("opticornet", *FOLDERS, "tests", "benchmarks", "examples")
    for path in [*ROOT.glob("*.py"), *(path for name in folders for path in (ROOT / name).rglob("*.py"))]:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        yield from ((path.relative_to(ROOT).as_posix(), module) for module in imports(tree))
    for page in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]:
        for block in re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE):
            for module in re.findall(r"^\s*(?:from|import)\s+([\w.]+)", block, re.MULTILINE):
                yield page.name, module


def test_the_table_lists_every_layer():
    assert layers() <= set(table())


def test_the_table_has_no_circle():
    order = list(TopologicalSorter(table()).static_order())  # raises where there is one
    assert order[0] == "utils"


@pytest.mark.parametrize("layer", sorted(table()))
def test_a_layer_imports_what_the_table_allows(layer):
    allowed = table()[layer]
    found = {
        (path.relative_to(ROOT).as_posix(), other)
        for path in package_files()
        if layer_of(path) == layer
        for other in imported_layers(path) & layers() - allowed
    }
    assert not found


def test_every_file_belongs_to_a_layer_of_the_table():
    dunder = {"opticornet/__init__.py", "opticornet/__main__.py"}
    outside = [path for path in package_files() if layer_of(path) not in table()]
    assert {path.relative_to(ROOT).as_posix() for path in outside} == dunder


def test_every_library_is_declared():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    parts = (lines for name, lines in extras.items() if name not in ("test", "dev"))
    lines = [*project["dependencies"], *chain.from_iterable(parts)]
    declared = {re.match(r"[\w-]+", line)[0].lower().replace("_", "-") for line in lines}
    trees = (ast.parse(path.read_text(encoding="utf-8")) for path in package_files())
    modules = {module.split(".")[0] for tree in trees for module in imports(tree)} - {"opticornet"}
    distributions = metadata.packages_distributions()
    unknown = {
        module
        for module in modules - set(sys.stdlib_module_names)
        if not declared & {name.lower().replace("_", "-") for name in distributions.get(module, ())}
    }
    assert unknown == set()


def test_the_scripts_of_the_top_level_only_call_the_command_line():
    for name in ("main.py", "train.py", "test.py"):
        tree = ast.parse((ROOT / name).read_text(encoding="utf-8"))
        assert {module for module in imports(tree) if module.startswith("opticornet")} == {"opticornet.cli"}, name


def test_nothing_is_imported_by_a_generic_or_a_relative_name():
    found = [
        f"{where}: {module}"
        for where, module in all_imports()
        if module.startswith(".") or module.split(".")[0] in GENERIC
    ]
    assert found == []


def test_imports_are_found_wherever_they_stand():
    source = """
from opticornet import cli, steps
def f():
    import opticornet.models.images
if TYPE_CHECKING:
    from opticornet.options.modes import TrainOptions
from . import there
import datasets
"""
    wanted = ["opticornet.cli", "opticornet.steps", "datasets", ".", "opticornet.models.images"]
    assert sorted(imports(ast.parse(source))) == sorted([*wanted, "opticornet.options.modes"])
