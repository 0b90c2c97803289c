"""What splits are called: ``train`` is trained on, ``val`` validated on, any other name is for tests."""

import re
from collections.abc import Sequence

from opticornet.datasets.labels import first_repeated
from opticornet.utils.errors import UserError

USUAL_SPLITS = ("train", "val", "test")
EVERY_SPLIT = "all"  # stands for all splits but train
_NAME = re.compile(r"[^\W_][\w.-]*")


def check_split_name(where: str, name: str) -> None:
    """Raise :class:`UserError` for a name that could not be part of a file's name, or stands for all."""
    if name == EVERY_SPLIT or not _NAME.fullmatch(name):
        raise UserError(
            f"{where}: a split cannot be called {name!r}; wanted letters, digits, '-', '_' and '.', and not "
            f"{EVERY_SPLIT}, which stands for all of them"
        )


def test_split_names(names: Sequence[str]) -> dict[str, str]:
    """The test split of each of some cities or drives: ``test`` of one, ``test-NAME`` of several.

    Raises:
        UserError: two would have the same name.
    """
    splits = ["test-" + re.sub(r"[^\w.-]+", "-", name) for name in names] if len(names) > 1 else ["test"] * len(names)
    if twice := first_repeated(splits):
        raise UserError(f"the split {twice} would come twice; name each city or drive once, by letters and digits")
    return dict(zip(splits, names, strict=True))


test_split_names.__test__ = False  # type: ignore[attr-defined]  # not a test, whatever pytest makes of its name


def chosen_splits(wanted: Sequence[str], there: Sequence[str], where: str) -> tuple[str, ...]:
    """The splits that are wanted, of those that are ``there``.

    ``all`` stands for all but train, and ``test``, where no split has this name, for all that begin with ``test-``.

    Raises:
        UserError: no such split; one that is wanted twice; none is wanted.
    """
    if EVERY_SPLIT in wanted and len(wanted) > 1:
        raise UserError(f"`splits` {' '.join(wanted)}: {EVERY_SPLIT} stands for all splits; give it alone")
    chosen: list[str] = []
    for name in wanted:
        of_test = [one for one in there if one.startswith("test-")]
        if name == EVERY_SPLIT:
            chosen += [one for one in there if one != "train"]
        elif name == "test" and name not in there and of_test:
            chosen += of_test
        elif name in there:
            chosen.append(name)
        else:
            raise UserError(f"{where}: no split {name!r}; it has {', '.join(there)}")
    if twice := first_repeated(chosen):
        raise UserError(f"`splits` {' '.join(wanted)}: {twice} comes twice; name each split once")
    if not chosen:
        raise UserError(f"{where}: `splits` {' '.join(wanted)} names none of its splits, {', '.join(there)}")
    return tuple(chosen)
