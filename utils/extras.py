"""Libraries that only come with an extra of the package, ``pip install "opticornet[images]"``."""

from collections.abc import Iterator
from contextlib import contextmanager

from opticornet.utils.errors import UserError


@contextmanager
def needs_extra(extra: str) -> Iterator[None]:
    """Around imports: a library that is missing is a :class:`UserError` that names the extra it comes with.

    Args:
        extra: ``images`` (decoding and encoding them), ``report`` (page and figures), ``tracks`` (GPX, NMEA) or ``ros``
            (bags), see pyproject.toml.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        library = (error.name or "").partition(".")[0]
        if library in ("", "opticornet"):
            raise
        raise UserError(f'{library} is not installed; wanted for this: pip install "opticornet[{extra}]"') from error
