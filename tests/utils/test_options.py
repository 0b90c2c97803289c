"""Options: fields that know their flag and check their values."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from opticornet.utils.errors import UserError
from opticornet.utils.options import Choice, check_value, flag_of, from_flags, option, option_fields


@dataclass(frozen=True, kw_only=True)
class Some(Choice):
    whole: int = option("--whole", 1, "", minimum=1)
    number: float = option("--number", 0.5, "")
    above: float = option("--above", 1.0, "", above=0)
    several: tuple[float, ...] = option("--severalOf", (), "")
    text: str = option("--text", "a", "", choices=("a", "b", "hub:"), also=("c",))
    maybe: int | None = option("--maybe", None, "")
    yes: bool = option("--yes", False, "")
    inner: int = 3  # no option


def test_fields_know_their_flags():
    flags = {name: flag_of(f) for name, f in option_fields(Some).items()}
    assert flags["several"] == "--severalOf"
    assert "inner" not in flags
    assert Some().unused() == {}


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("number", 2, 2.0),
        ("several", [1, 2.5], (1.0, 2.5)),
        ("text", Path("b"), "b"),
        ("text", "c", "c"),
        ("text", "hub:anything", "hub:anything"),
        ("maybe", None, None),
        ("yes", True, True),
    ],
)
def test_values_become_what_is_wanted(name, value, wanted):
    found = check_value(Some, name, value)
    assert (found, type(found)) == (wanted, type(wanted))


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("whole", 0, "`whole` 0: wanted a number of at least 1"),
        ("whole", 2**63, "wanted a number below"),
        ("whole", True, "`whole` True: wanted a whole number"),
        ("whole", None, "`whole` None: wanted a whole number"),
        ("number", float("nan"), "`number` nan: wanted a number of at least 0"),
        ("above", 0, "`above` 0: wanted a number above 0"),
        ("above", -2.5, "`above` -2.5: wanted a number above 0"),
        ("above", float("inf"), "`above` inf: wanted a number above 0"),
        ("number", "2", "`number` '2': wanted a number"),
        ("several", "12", "`several` '12': wanted several values, each a number"),
        ("several", (1.0, float("inf")), "`several` inf"),
        ("text", "bb", r"`text` bb.*did you mean b.*: choose one of a, b, hub:, c"),
        ("yes", 1, "`yes` 1: wanted true or false"),
    ],
)
def test_other_values_are_one_line(name, value, message):
    with pytest.raises(UserError, match=message) as error:
        check_value(Some, name, value)
    assert "\n" not in str(error.value)


def test_saved_flags_fill_what_they_hold():
    assert from_flags(Some, {"whole": 4, "severalOf": [2], "text": None, "other": 1}) == Some(whole=4, several=(2.0,))
