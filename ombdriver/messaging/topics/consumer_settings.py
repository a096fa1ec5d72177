"""What a consumer can be told, with its defaults and what they may be. Pure."""

from dataclasses import dataclass
from typing import TypedDict

from ombdriver.messaging import commands
from ombdriver.messaging.errors import AioRedisMQValueError
from ombdriver.messaging.topics.positions import Position, id_of


class ConsumerOptions(TypedDict, total=False):
    """The options of `MQClient.consumer` by name; `ConsumerSettings` says what they are."""

    start: Position
    prefetch: int
    visibility_timeout_ms: int
    block_ms: int


@dataclass(frozen=True, slots=True)
class ConsumerSettings:
    """Where a consumer's group starts, how much it buffers, and for how long it holds and waits.

    Args:
        start: where the group starts if it is made: see `positions.Position`.
        prefetch: how many messages may be buffered that are not handed out: at least one for each partition, and no
            more than about 16 MiB; twice as many while messages of others are taken over.
        visibility_timeout_ms: a message whose hold is not renewed for so long is taken over by other members; the same
            for all of a group.
        block_ms: how long a read waits on the server.

    Raises:
        AioRedisMQValueError: if one of them can't be.
    """

    start: Position = "earliest"
    prefetch: int = 256
    visibility_timeout_ms: int = 30_000
    block_ms: int = 2_000

    def __post_init__(self) -> None:
        id_of(self.start)
        for name in ("prefetch", "visibility_timeout_ms"):
            if commands.number(name, getattr(self, name), 1) is None:
                raise AioRedisMQValueError(f"{name} is None; give a whole number of 1 or more")
        if not isinstance(self.block_ms, int) or self.block_ms < 1:
            raise AioRedisMQValueError(f"block_ms is {self.block_ms!r}; give milliseconds, 1 or more")
