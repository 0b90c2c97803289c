"""What every reader of files is held against: bytes that were changed, inserted or cut."""

import os
import pickle
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

EXAMPLES = int(os.environ.get("DAMAGED_EXAMPLES", "50"))  # of each reader; the same ones in every run

settings.register_profile(
    "damage",
    derandomize=True,
    deadline=None,
    database=None,
    max_examples=EXAMPLES,
    suppress_health_check=list(HealthCheck),
)
settings.load_profile("damage")


@st.composite
def damage(draw: st.DrawFn, content: bytes) -> bytes:
    """``content`` with one to three places changed, filled, emptied or cut off; half of them near its beginning."""
    for _ in range(draw(st.integers(1, 3))):
        end = len(content)
        place = draw(st.one_of(st.integers(0, min(end, 160)), st.integers(0, end)))
        few = draw(st.one_of(st.binary(min_size=1, max_size=4), st.sampled_from(PIECES)))
        kind = draw(st.sampled_from(("change", "insert", "remove", "cut")))
        if kind == "change":
            content = content[:place] + few + content[place + len(few) :]
        elif kind == "insert":
            content = content[:place] + few + content[place:]
        elif kind == "remove":
            content = content[:place] + content[place + draw(st.integers(1, 40)) :]
        else:
            content = content[:place]
    return content


PIECES = (
    b"(",
    b")",
    b"[",
    b'"',
    b"'",
    b",",
    b"-",
    b"9",
    b"999999999",
    b"\n",
    b"\x00",
    b"\xff",
    b"nan",
    b"1e999",
    b"{}",
    b"=",
)


class Touch:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.fixture(scope="session")
def damaged():
    """damaged(content): a strategy of :func:`damage`."""
    return damage


@pytest.fixture
def bomb(tmp_path):
    """What would make the file ``tmp_path / "unpickled"``, pickled, and that file."""
    return pickle.dumps(Touch(tmp_path / "unpickled")), tmp_path / "unpickled"
