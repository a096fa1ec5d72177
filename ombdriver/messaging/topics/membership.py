"""Who acts on a group's pending entries: the connections, the group and this member's name in it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ombdriver.messaging.connection import Channels
from ombdriver.messaging.resp import Argument
from ombdriver.messaging.topics.keys import helper_key
from ombdriver.messaging.topics.scripts import Script


@dataclass(frozen=True, slots=True)
class Member:
    """One member of a group.

    Attributes:
        channels: gives the connections.
        group: the group's name, the same on every stream.
        name: the consumer's name in it.
    """

    channels: Callable[[], Channels]
    group: bytes
    name: bytes

    async def run(self, script: Script, stream: bytes, *keys: bytes, arguments: tuple[Argument, ...] = ()) -> Any:
        """Runs `script` with the keys `stream`, `keys…` and the arguments group, name, `arguments…`."""
        return await script.run(self.channels(), (stream, *keys), (self.group, self.name, *arguments))

    def key(self, stream: bytes, what: str) -> bytes:
        """The helper key of `stream` that serves `what` for this group."""
        return helper_key(stream, what, self.group.decode("utf-8", "surrogateescape"))


@dataclass(frozen=True, slots=True)
class Claimed:
    """A pending entry that this member now holds.

    Attributes:
        id: the entry's.
        deliveries: how often its handling was begun so far; claiming it did not count.
        fields: names and values in turn.
    """

    id: bytes
    deliveries: int
    fields: list[bytes]
