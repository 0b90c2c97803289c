"""The one exception a user is meant to see."""


class UserError(Exception):
    """Something the user can put right: bad option, missing file, wrong shape.

    The message is one line: what was found, what was wanted, what to do. ``main.py`` prints it on stderr and
    exits with status 2; a notebook sees an ordinary exception.
    """

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.splitlines()))  # whatever a file's own words put into it
