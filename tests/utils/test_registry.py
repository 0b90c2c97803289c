"""Registries: names without imports, one line for a name that there is not."""

import sys

import pytest

from opticornet.utils.errors import UserError
from opticornet.utils.registry import entry, nearest


def test_an_entry_is_itself_or_imported_from_where_it_says():
    assert entry({"it": UserError}, "it") is UserError
    sys.modules.pop("wave", None)
    found = entry({"it": "wave:Wave_read"}, "it")
    assert found is sys.modules["wave"].Wave_read


def test_a_name_that_ends_in_a_colon_takes_what_follows():
    registry = {"hub:": int, "plain": str}
    assert entry(registry, "hub:owner/name:entry") is int
    with pytest.raises(UserError, match="unknown name 'plain:x'"):
        entry(registry, "plain:x")


def test_an_unknown_name_is_told_the_nearest_and_all():
    with pytest.raises(UserError) as error:
        entry({"triplet": int, "quadruplet": str}, "tripet")
    assert str(error.value) == "unknown name 'tripet' (did you mean triplet?); choose one of triplet, quadruplet"
    assert nearest("zzz", ["triplet"]) == ""
    assert nearest("--seql", ["--seqL", "--lr"], "--") == " (did you mean --seqL?)"
    assert nearest("--zz", ["--lr"], "--") == ""  # the dashes alone do not make them alike
