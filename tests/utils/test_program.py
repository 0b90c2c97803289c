import sys

import pytest

from opticornet.utils.program import program

STARTED = [
    ("main.py", "python main.py"),
    ("/a/train.py", "python main.py"),
    ("", "python main.py"),  # from a notebook or python -c
    ("/usr/bin/opticornet", "opticornet"),
    ("/usr/lib/python3/site-packages/opticornet/__main__.py", "python -m opticornet"),
]


@pytest.mark.parametrize(("argument", "name"), STARTED)
def test_the_program_is_named_as_it_was_started(monkeypatch, argument, name):
    monkeypatch.setattr(sys, "argv", [argument])
    assert program() == name
