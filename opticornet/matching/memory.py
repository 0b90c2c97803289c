"""When the memory that matching may fill is too small."""


class MemoryTooSmall(ValueError):
    """What has to be held at a time takes more than the bound on it."""
