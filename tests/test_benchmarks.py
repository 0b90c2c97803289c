"""The benchmarks run: what they build of the package fits it, and one that breaks is said to have broken."""

import importlib.util
import sys
from types import ModuleType

import pytest

import opticornet


def load(root, name: str, monkeypatch) -> ModuleType:
    """A benchmark as a module; they are scripts that import their neighbours by bare names."""
    monkeypatch.setattr(sys, "path", [str(root / "benchmarks"), *sys.path])
    spec = importlib.util.spec_from_file_location(f"benchmark_{name.strip('_')}", root / "benchmarks" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["seqnet", "dsdnet"])
def test_the_runs_that_testing_times_can_be_tested(root, tmp_path, monkeypatch, name):
    testing = load(root, "testing", monkeypatch)
    testing.make_data(tmp_path, 40, 8)
    testing.make_run(tmp_path, name, 8)
    record = opticornet.test(
        dataset=str(tmp_path), resume=str(tmp_path / name), bootstrap=0, latency_queries=0, quiet=True, device="cpu"
    )
    assert record.method.weights is not None
    assert (record.method.pooling, record.method.sequence_length) == (name, testing.LENGTH)


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("print('a: 1, limit 2')", None),
        ("print('a: 3, limit 2'); raise SystemExit(1)", None),  # a limit that is missed is in the table
        ("print('a: 1, limit 2'); raise TypeError", "ended with status 1 before all was measured"),
        ("print('nothing')", "ended with status 0 before all was measured"),
    ],
)
def test_a_benchmark_that_breaks_is_no_success(root, tmp_path, monkeypatch, capsys, script, message):
    every = load(root, "__main__", monkeypatch)
    (tmp_path / "one.py").write_text(script)
    monkeypatch.setattr(every, "FOLDER", tmp_path)
    monkeypatch.setattr(every, "BENCHMARKS", {"one": []})
    monkeypatch.setattr(sys, "argv", ["benchmarks"])
    if message is None:
        assert every.main() == int("3" in script)
        assert ("FAIL" if "3" in script else "pass") in capsys.readouterr().out
    else:
        with pytest.raises(SystemExit, match=message):
            every.main()
