"""ROS bags, of ROS 1 (``.bag``) and ROS 2 (``.db3``, ``.mcap``, or a folder of them with ``metadata.yaml``)."""

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from opticornet.utils.errors import UserError
from opticornet.utils.extras import needs_extra

BAG_SUFFIXES = frozenset({".bag", ".db3", ".mcap"})
METADATA = "metadata.yaml"


@dataclass(frozen=True)
class Message:
    """A message of a bag.

    Attributes:
        recorded: nanoseconds since 1970 when it was recorded.
        stamp: of its header, nanoseconds; the time of recording where the header has none.
        content: its fields, as ``rosbags`` gives them.
    """

    recorded: int
    stamp: int
    content: Any


def is_bag(path: Path) -> bool:
    """Whether a path is a bag: a file by its suffix, a folder by what is in it."""
    if path.suffix.lower() in BAG_SUFFIXES and path.is_file():
        return True
    return (path / METADATA).is_file() and any(one.suffix in BAG_SUFFIXES for one in path.iterdir())


@contextmanager
def open_bag(path: Path) -> Iterator["Bag"]:
    """A bag to read from.

    Raises:
        UserError: it cannot be opened, or reading from it fails.
    """
    with needs_extra("ros"):
        from rosbags.highlevel import AnyReader
        from rosbags.typesys import Stores, get_typestore

    try:
        with AnyReader([path], default_typestore=get_typestore(Stores.ROS2_HUMBLE)) as reader:
            yield Bag(path, reader)
    except UserError:
        raise
    except Exception as error:  # damaged bags raise errors of many kinds
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{path}: cannot be read as a ROS bag ({reason}); record it again, or reindex it") from error


class Bag:
    """An open bag, of which topics with stamped messages (they begin with a header) are read."""

    def __init__(self, path: Path, reader: Any) -> None:
        self.path, self._reader = path, reader

    def topics(self, types: tuple[str, ...]) -> dict[str, str]:
        """Topic to type, of those types that have messages, sorted."""
        found = {c.topic: c.msgtype for c in self._reader.connections if c.msgtype in types and c.msgcount}
        return dict(sorted(found.items()))

    def chosen_topic(self, types: tuple[str, ...], topic: str, option: str) -> str:
        """``topic`` if it is one of those types, or the only one there is; empty if there is none.

        Args:
            option: the argument that ``topic`` is, for messages.

        Raises:
            UserError: there are several, or ``topic`` is none of them.
        """
        found = self.topics(types)
        listed = ", ".join(found) or "none"
        if topic:
            name = topic if topic.startswith("/") else f"/{topic}"
            if name not in found:
                raise UserError(f"{self.path}: no topic {topic} of {_in_words(types)}; it has {listed}")
            return name
        if len(found) > 1:
            raise UserError(f"{self.path}: {len(found)} topics of {_in_words(types)}: {listed}; give `{option}`")
        return next(iter(found), "")

    def stamps(self, topic: str) -> Iterator[tuple[int, int]]:
        """Of each message of a topic, when it was recorded and its header's stamp, in nanoseconds."""
        for _, recorded, raw in self._reader.messages(self._connections(topic)):
            yield recorded, self._stamp(raw) or recorded

    def messages(self, topic: str, since: int | None = None) -> Iterator[Message]:
        """Of a topic, recorded at ``since`` (nanoseconds) or later."""
        for connection, recorded, raw in self._reader.messages(self._connections(topic), start=since):
            content = self._reader.deserialize(raw, connection.msgtype)
            yield Message(recorded, self._stamp(raw) or recorded, content)

    def _connections(self, topic: str) -> list[Any]:
        return [connection for connection in self._reader.connections if connection.topic == topic]

    def _stamp(self, raw: bytes) -> int:
        """A message that has a header begins with it: ROS 1 has a counter before the stamp, ROS 2 how it is encoded."""
        little = not self._reader.is2 or raw[1] & 1
        seconds, nanoseconds = struct.unpack_from("<iI" if little else ">iI", raw, 4)
        return seconds * 1_000_000_000 + nanoseconds


def _in_words(types: tuple[str, ...]) -> str:
    return " or ".join(name.rsplit("/", 1)[-1] for name in types)
