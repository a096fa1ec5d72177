"""Batched acknowledgements: each is sent until it is answered, few commands carry many of them."""

import asyncio
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.exceptions import BusyLoadingError, NoPermissionError, ReadOnlyError, ResponseError

from ombdriver.messaging.errors import ClosedError, NotSentError
from ombdriver.messaging.topics.consumer import acks
from ombdriver.messaging.topics.consumer.acks import AckBatcher
from ombdriver.messaging.topics.consumer.config import ConsumerStatistics
from ombdriver.messaging.topics.consumer.partition import Partition
from ombdriver.messaging.transport.retry import Backoff


class FakeMember:
    """Answers, or not, as the test says.

    Attributes:
        sent: futures of commands that are not answered, with the ids in them.
    """

    def __init__(self) -> None:
        self.group, self.statistics = b"g", ConsumerStatistics()
        self.sent: list[tuple[asyncio.Future[int], list[bytes]]] = []
        self.acknowledged: list[bytes] = []

    def send(self, _key: bytes, *words: Any) -> asyncio.Future[int]:
        """One XACK."""
        assert words[0] == "XACK"
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.sent.append((future, list(words[3:])))
        return future

    async def answer(self, error: Exception | None = None) -> None:
        """Answers the oldest command."""
        future, ids = self.sent.pop(0)
        if error is not None:
            future.set_exception(error)
        else:
            self.acknowledged += ids
            future.set_result(len(ids))
        await asyncio.sleep(0)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Failures are repeated soon."""
    monkeypatch.setattr(acks, "ENDLESS_BACKOFF", Backoff(0, 0, math.inf))


async def test_many_leave_at_once_and_few_after_a_while() -> None:
    """512 fill a command; the rest waits for company, a few milliseconds."""
    member, partition = FakeMember(), Partition(0, "{t:0}")
    found = AckBatcher(member, [partition], lambda _: None)  # type: ignore[arg-type]
    for n in range(600):
        found.add(partition, b"%d-0" % n)
    assert [len(ids) for _, ids in member.sent] == [512]
    assert found.unanswered == 600
    async with asyncio.timeout(5):
        while len(member.sent) < 2:  # noqa: ASYNC110 - its timer's doing
            await asyncio.sleep(0.001)
    assert [len(ids) for _, ids in member.sent] == [512, 88]


@given(st.lists(st.sampled_from(["ack", "answer", "fail", "refuse"]), max_size=60))
def test_each_is_answered_in_the_end(steps: list[str]) -> None:
    """Whatever fails in between; an acknowledgement that is not answered is known as one."""

    async def course() -> None:
        member, partitions = FakeMember(), [Partition(n, f"{{t:{n}}}") for n in range(2)]
        faults: list[Exception] = []
        found = AckBatcher(member, partitions, faults.append)  # type: ignore[arg-type]
        acked: list[bytes] = []
        refused = 0
        for step in steps:
            if step == "ack":
                entry = b"%d-0" % len(acked)
                partition = partitions[len(acked) % 2]
                partition.leased.add(entry)
                found.add(partition, entry)
                acked.append(entry)
                assert entry not in partition.leased
                continue
            found.send()
            if member.sent:
                refused += step != "answer"
                error = {"fail": NotSentError("no"), "refuse": ResponseError("no")}.get(step)
                await member.answer(error)
            for n, entry in enumerate(acked):
                assert (entry in member.acknowledged) != partitions[n % 2].is_acknowledged(entry)
        flushing = asyncio.create_task(found.flush())
        async with asyncio.timeout(5):
            while not flushing.done():
                await asyncio.sleep(0)
                while member.sent:
                    await member.answer()
        assert sorted(member.acknowledged) == sorted(acked)
        assert found.unanswered == 0
        assert member.statistics.acknowledged == len(acked)
        assert len(faults) == member.statistics.faults == refused

    asyncio.run(course())


@pytest.mark.parametrize("errors", [[], [NotSentError("no"), BusyLoadingError("no")]])
async def test_a_flush_does_not_wait_for_what_others_acknowledge_meanwhile(errors: list[Exception]) -> None:
    """There may be no end of that; what was acknowledged before is answered when it returns, whatever failed."""
    member, partitions = FakeMember(), [Partition(n, f"{{t:{n}}}") for n in range(2)]
    found = AckBatcher(member, partitions, lambda _: None)  # type: ignore[arg-type]
    before = [b"%d-0" % n for n in range(1, 9)]
    for n, entry in enumerate(before):
        found.add(partitions[n % 2], entry)
    flushing = asyncio.create_task(found.flush())
    others = 100
    async with asyncio.timeout(5):
        while not flushing.done():
            for partition in partitions:
                found.add(partition, b"%d-0" % (others := others + 1))
            if member.sent:
                await member.answer(errors.pop() if errors else None)
            await asyncio.sleep(0)
    assert set(before) <= set(member.acknowledged)


async def test_after_closing_each_leaves_at_once(caplog: pytest.LogCaptureFixture) -> None:
    """Nobody flushes any more. When the client is closed too, the log says what was not acknowledged."""
    member, partition = FakeMember(), Partition(0, "{t:0}")
    found = AckBatcher(member, [partition], lambda _: None)  # type: ignore[arg-type]
    found.stop_lingering()
    found.add(partition, b"1-0")
    assert [ids for _, ids in member.sent] == [[b"1-0"]]
    await member.answer(ClosedError("closed"))
    assert found.unanswered == 0
    assert "1 acknowledgements were not answered" in caplog.text


@pytest.mark.parametrize(
    ("error", "raises"),
    [
        (ResponseError("unknown command 'XACK'"), True),
        (NoPermissionError("this user has no permissions to run the 'xack' command"), True),
        (NotSentError("no"), False),
        (BusyLoadingError("loading the dataset"), False),
        (ReadOnlyError("a read only replica"), False),
        (ResponseError("MISCONF can't save"), False),
    ],
)
async def test_a_flush_tells_of_a_refusal_that_does_not_pass_by_itself(error: Exception, raises: bool) -> None:
    """It does not wait for ever; what was refused is kept, and sent again when the server takes it."""
    member, partition = FakeMember(), Partition(0, "{t:0}")
    found = AckBatcher(member, [partition], lambda _: None)  # type: ignore[arg-type]
    found.add(partition, b"1-0")
    flushing = asyncio.create_task(found.flush())
    await asyncio.sleep(0)
    await member.answer(error)

    if raises:
        with pytest.raises(ResponseError, match=r"(?i)xack"):
            await flushing
    again = asyncio.create_task(found.flush())
    async with asyncio.timeout(5):
        while not member.sent:  # noqa: ASYNC110 - its timer's doing
            await asyncio.sleep(0)
    await member.answer()
    await again
    if not raises:
        await flushing
    assert member.acknowledged == [b"1-0"]
