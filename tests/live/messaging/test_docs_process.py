"""The examples of docs/library/process.md run as they are printed, but for the address of the server."""

import re
from collections import Counter

import pytest
from pending import abandon, deliver
from printed import LIBRARY, examples_of, output_of, printing
from redis.asyncio import Redis
from running import met, running, send, settled
from topologies import until

from ombdriver import JsonCodec, Message, MQClient, RunnerStatistics, Topic
from ombdriver.messaging.topics.runner.config import RunnerOptions

PAGE = (LIBRARY / "process.md").read_text(encoding="utf-8")
EXAMPLES = examples_of(LIBRARY / "process.md")


@pytest.mark.timeout(240)
def test_all_examples_but_the_first_run_in_their_order(server_url: str) -> None:
    """On one server, which is empty at first; each holds by itself what it says."""
    for text in EXAMPLES[1:]:
        output_of(text, server=server_url)


async def test_the_first_example_handles_what_is_published(server_url: str) -> None:
    """It never ends by itself, so it is ended here."""
    async with MQClient(redis_url=server_url) as client:
        async with client.producer(Topic("orders", 4), codec=JsonCodec()) as producer:
            await producer.send_and_wait({"number": 17}, key="customer-7")
        async with printing(EXAMPLES[0], server=server_url) as lines:
            assert await lines.readline() == b"billing 17 of b'customer-7'\n"


def test_every_option_and_figure_is_told() -> None:
    """By its name."""
    assert len(EXAMPLES) == 6
    told = set(re.findall(r"`(\w+)`", PAGE))
    assert set(RunnerOptions.__annotations__) <= told
    (row,) = re.findall(r"`runner.statistics\(\)` \| (.*?) \|", PAGE)
    for figure in RunnerStatistics.__slots__:
        assert figure.replace("_", " ").replace("dead lettered", "dead-lettered") in row.replace(" at this", "")


async def test_the_permissions_that_are_told_are_enough(
    server_url: str, raw: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    """For all that a runner does, by a user who has no other; nothing is refused."""
    (told,) = re.findall(r"A user needs (.*?); on the keys", PAGE)
    names = re.findall(r"CLIENT [A-Z]+|[A-Z]{3,}", told)
    rules = [f"+{name.lower().replace(' ', '|')}" for name in names]
    await raw.execute_command("ACL", "SETUSER", "runs", "reset", "on", ">secret", "~{t:*", *rules)
    seen: Counter[bytes] = Counter()

    async def handle(message: Message[bytes]) -> None:
        seen[message.value] += 1
        if message.value == b"poison":
            raise ValueError("no")
        if message.value == b"reject":
            await message.reject("no")
        if message.value == b"later" and seen[message.value] == 1:
            await message.nack(delay=3_600)

    try:
        stale = await deliver(raw, 3, "dead")
        await abandon(raw, stale, "dead")
        await send(raw, "poison", "reject", "later")
        async with MQClient(redis_url=server_url.replace("://", "://runs:secret@")) as client:
            await client.delayed("t").send(b"delayed", 0)
            letters = client.dead_letters("t")
            async with running(client, handle, visibility_timeout_ms=1_000, dead_after_s=0.1) as runner:
                await until(lambda: met(runner.statistics().dead_lettered == 2 and seen[b"delayed"] == 1))
                assert await letters.redrive() == 2
                await raw.zadd(b"{t:0}:delayed:g", dict.fromkeys(await raw.zrange(b"{t:0}:delayed:g", 0, -1), 1))
                await until(lambda: met(seen[b"later"] == 2 and runner.statistics().dead_lettered == 4))
                await until(lambda: settled(raw))
            assert await letters.purge() == 2
    finally:
        await raw.execute_command("ACL", "DELUSER", "runs")
    refused = [record.message for record in caplog.records if re.search("NOPERM|permission", record.message)]
    assert refused == []
    assert seen == {b"poison": 6, b"reject": 2, b"later": 2, b"delayed": 1, b"0": 1, b"1": 1, b"2": 1}
