"""What happens to a stream between two looks of the trimmer does not end the trimming."""

from typing import Any, cast

from ombdriver.messaging.connection import Channels
from ombdriver.messaging.trimmer import AcknowledgedTrimmer


class Vanishing:
    """Connections to a stream that is there until its length was told, and is deleted then."""

    async def ask(self, _key: bytes, name: str, *_words: Any) -> list[dict[str, Any]]:
        """One group that has nothing pending."""
        assert name == "XINFO GROUPS"
        return [{"name": b"g", "last-delivered-id": b"5-0", "pending": 0}]

    async def small(self, _key: bytes, name: str, *_words: Any) -> Any:
        """Its length, and afterwards no entry."""
        return {"XTRIM": 0, "XLEN": 10, "XRANGE": []}[name]


async def test_a_stream_that_is_deleted_while_its_bound_is_looked_for_is_passed_over() -> None:
    """There is nothing to cut, and nothing failed: the other streams, and later rounds, go on."""
    trimmer = AcknowledgedTrimmer(lambda: cast(Channels, Vanishing()), ["s"], maxlen=1)

    assert await trimmer.trim() == 0
    assert trimmer.statistics()[b"s"].failures == 0
