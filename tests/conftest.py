"""Fixtures every test may use."""

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def root() -> Path:
    """The repository's top folder."""
    return ROOT


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data and golden numbers beside the checkout; the test is skipped where there is none."""
    folder = ROOT.parent / "shared"
    if not folder.is_dir():
        pytest.skip("real data and golden numbers (../shared) are not on this machine")
    return folder


@pytest.fixture
def nordland(shared, tmp_path) -> Path:
    """A dataset folder over the real Nordland descriptors, split as their README says."""
    folder = tmp_path / "nordland-1k"
    folder.mkdir()
    for season in ("summer", "winter"):
        (folder / f"{season}.npy").write_bytes((shared / "data" / "nordland-1k" / f"{season}.npy").read_bytes())
    lines = ['name = "nordland-1k"', 'units = "frames"']
    lines += [f'[traverses.{season}]\ndescriptors = "{season}.npy"' for season in ("summer", "winter")]
    for split, start, stop in (("train", 0, 600), ("val", 620, 780), ("test", 800, 1000)):
        lines += [
            f"[splits.{split}]",
            'reference = "summer"\nquery = "winter"',
            f"reference_rows = [{start}, {stop}]\nquery_rows = [{start}, {stop}]",
            "positive_radius = 1\nnegative_radius = 5",
        ]
    (folder / "dataset.toml").write_text("\n".join(lines))
    return folder
