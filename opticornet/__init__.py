"""Sequence-based visual place recognition: what ``import opticornet`` gives.

    run = opticornet.train(dataset="synthetic", sequence_length=5)
    record = opticornet.test(resume=run)
    encoder = opticornet.load(run)

Everything is imported when it is first used.
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

# `models`, `datasets` and `utils` are links to the folders of the repository's top level. Where a zip archive was
# unpacked (as torch.hub does) or links are not checked out they are small text files: look for the folders up there.
if not os.path.isdir(os.path.join(__path__[0], "models")):
    __path__.append(os.path.dirname(__path__[0]))

if TYPE_CHECKING:
    from opticornet.api import (
        check,
        compare,
        demo,
        extract,
        load,
        load_published,
        open_dataset,
        plugin,
        prepare,
        report,
        test,
        test_splits,
        train,
    )

__all__ = [
    "check",
    "compare",
    "demo",
    "extract",
    "load",
    "load_published",
    "open_dataset",
    "plugin",
    "prepare",
    "report",
    "test",
    "test_splits",
    "train",
]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'opticornet' has no attribute {name!r}")
    return getattr(import_module("opticornet.api"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
