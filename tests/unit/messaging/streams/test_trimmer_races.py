"""What happens to a stream between two looks of the trimmer does not end the trimming."""

import asyncio
from typing import Any, cast

from ombdriver.messaging.streams.trimmer import AcknowledgedTrimmer
from ombdriver.messaging.transport.background import Health
from ombdriver.messaging.transport.router import Router


class Vanishing:
    """Connections to a stream that is there until its length was told, and is deleted then."""

    def __init__(self) -> None:
        self.health = Health()

    def send(self, _key: bytes, _data: bytes, **_options: Any) -> "asyncio.Future[Any]":
        """The script: one group, which needs what comes after its last entry, and nothing was removed."""
        reply: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        reply.set_result([0, b"5-1", []])
        return reply

    async def execute_idempotent(self, _key: bytes, name: str, *_words: Any) -> Any:
        """Its length, and afterwards no entry."""
        return {"XLEN": 10, "XRANGE": []}[name]


async def test_a_stream_that_is_deleted_while_its_bound_is_looked_for_is_passed_over() -> None:
    """There is nothing to cut, and nothing failed: the other streams, and later rounds, go on."""
    trimmer = AcknowledgedTrimmer(lambda: cast(Router, Vanishing()), ["s"], maxlen=1)

    assert await trimmer.trim() == 0
    assert trimmer.statistics()[b"s"].failures == 0
