"""The examples of docs/library/consume.md run as they are printed, but for the address of the server."""

import pytest
import redis.asyncio
from printed import LIBRARY, examples_of, output_of, printing
from records import store
from topologies import until

from ombdriver import Topic

EXAMPLES = examples_of(LIBRARY / "consume.md")
ENDLESS = (0, 1)


@pytest.mark.parametrize("number", ENDLESS)
async def test_an_example_that_never_ends_handles_what_is_there(
    server_url: str, raw: redis.asyncio.Redis, number: int
) -> None:
    """Once each; what is no JSON becomes a dead letter where JSON is wanted."""
    await store(raw, range(8), Topic("orders", 4))
    await store(raw, range(8), Topic("payments", 1))
    await raw.xadd("{payments:0}", {"value": "no json"})
    async with printing(EXAMPLES[number], server=server_url) as lines:
        handled = {await lines.readline() for _ in range(8)}
        assert handled == {b"handled %s\n" % (b"b'%d'" % n if number == 0 else b"%d" % n) for n in range(8)}
        if number == 1:
            await until(lambda: raw.xlen("{payments:0}:dlq"))


@pytest.mark.timeout(240)
def test_the_other_examples_run_in_their_order(server_url: str) -> None:
    """On one server, which is empty at first; each holds by itself what it says."""
    for number, text in enumerate(EXAMPLES):
        if number not in ENDLESS:
            output_of(text, server=server_url)


def test_there_are_examples() -> None:
    """The page has not been emptied."""
    assert len(EXAMPLES) == 4
