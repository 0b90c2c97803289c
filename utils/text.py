"""Words of messages."""


def counted(number: int, what: str) -> str:
    """``1 frame``, ``3 frames``."""
    return f"{number} {what}{'' if number == 1 else 's'}"
