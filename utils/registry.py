"""Registries: explicit dictionaries of what can be chosen by name.

A value is a frozen dataclass, whose fields are the choice's own options and whose methods do the work, or text that
says where it is (``"package.module:Class"``), so that a registry lists its names without importing what they need.
Each registry's folder documents which base class its entries derive from.
"""

import difflib
from collections.abc import Iterable
from importlib import import_module
from typing import Any

from opticornet.utils.errors import UserError
from opticornet.utils.program import missing_library

Registry = dict[str, "str | type[Any]"]


def entry(registry: Registry, name: str) -> type[Any]:
    """The dataclass registered as ``name``, imported where it is not yet.

    Raises:
        UserError: there is none of that name.
    """
    if name not in registry:  # "hub:" takes what follows it
        name = name if (prefix := f"{name.partition(':')[0]}:") not in registry else prefix
    if name not in registry:
        raise UserError(f"unknown name {name!r}{nearest(name, registry)}; choose one of {', '.join(registry)}")
    return imported(registry[name], name)


def imported(kind: "str | type[Any]", name: str) -> type[Any]:
    """An entry of a registry, imported where it is text.

    Raises:
        UserError: there is no such module, or no such class in it.
    """
    if not isinstance(kind, str):
        return kind
    module, _, attribute = kind.partition(":")
    try:
        return getattr(import_module(module), attribute)
    except (ImportError, ValueError, AttributeError) as error:
        is_itself = f"{module}.".startswith(f"{getattr(error, 'name', '')}.")
        missing = "" if is_itself else missing_library(error)
        raise UserError(f"{name}: {missing or f'{kind} cannot be imported: {error}'}") from error


def nearest(name: str, known: Iterable[str], prefix: str = "") -> str:
    """ " (did you mean X?)" where a known name is near, capitals or not, else an empty text; what all names begin with,
    ``prefix``, does not make them alike."""
    bare = {one.removeprefix(prefix).lower(): one for one in known}
    close = difflib.get_close_matches(name.removeprefix(prefix).lower(), bare, n=1)
    return f" (did you mean {bare[close[0]]}?)" if close else ""
