"""The one exception a user is meant to see."""

from collections.abc import Iterator
from contextlib import contextmanager


class UserError(Exception):
    """Something the user can put right: bad option, missing file, wrong shape.

    The message is one line: what was found, what was wanted, what to do. ``main.py`` prints it on stderr and
    exits with status 2; a notebook sees an ordinary exception.
    """

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.splitlines()))  # whatever a file's own words put into it


class DamagedFile(UserError):
    """A file is there and does not hold what it says: cut short, overwritten, or of another kind."""


@contextmanager
def as_user_error(argument: str, kind: type[ValueError] = ValueError) -> Iterator[None]:
    """Turn a ValueError of the block, of a ``kind`` where others are no user's, into a UserError that names the
    argument it comes from."""
    try:
        yield
    except kind as error:
        raise UserError(f"{argument}: {error}") from error
