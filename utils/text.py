"""Words of messages, and text that people wrote."""

from pathlib import Path

from opticornet.utils.errors import UserError


def counted(number: int, what: str) -> str:
    """``1 frame``, ``3 frames``."""
    return f"{number} {what}{'' if number == 1 else 's'}"


def number_or_text(text: str) -> int | float | str:
    """The number that a text is, or the text."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def read_lines(path: Path, wanted: str, advice: str = "check the path") -> list[str]:
    """The lines of a text file, stripped, without empty ones; at least one.

    Args:
        path: of the file, in UTF-8.
        wanted: what its lines are, in words.
        advice: what to do where there is no such file.

    Raises:
        UserError: no such file, not text, or nothing in it.
    """
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()]
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file; {advice}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read as UTF-8 text ({error}); wanted {wanted}") from error
    if not (lines := [line for line in lines if line]):
        raise UserError(f"{path}: empty; wanted {wanted}")
    return lines
