"""When the memory that matching may fill is too small."""


class MemoryTooSmall(ValueError):
    """What has to be held at a time takes more than the bound on it.

    Args:
        what: that is, and its verb.
        needed: bytes that would do.
    """

    def __init__(self, what: str, needed: int) -> None:
        super().__init__(f"{what} {-(-needed // 2**20)} MiB; give at least as many")
        self.what, self.needed = what, needed
