"""Acknowledgements that travel together: each is sent until it is answered, few commands carry many of them."""

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.exceptions import ResponseError

from ombdriver.messaging.errors import ClosedError, NotSentError
from ombdriver.messaging.topics.consumer import acks
from ombdriver.messaging.topics.consumer.acks import AckBatcher
from ombdriver.messaging.topics.consumer.group import ConsumerCounts, Partition


class FakeMember:
    """Answers, or not, as the test says.

    Attributes:
        asked: futures of commands that are not answered, with the ids in them.
    """

    def __init__(self) -> None:
        self.group, self.counts = b"g", ConsumerCounts()
        self.asked: list[tuple[asyncio.Future[int], list[bytes]]] = []
        self.acknowledged: list[bytes] = []

    def ask(self, _key: bytes, *words: Any) -> asyncio.Future[int]:
        """One XACK."""
        assert words[0] == "XACK"
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.asked.append((future, list(words[3:])))
        return future

    async def answer(self, error: Exception | None = None) -> None:
        """Answers the oldest command."""
        future, ids = self.asked.pop(0)
        if error is not None:
            future.set_exception(error)
        else:
            self.acknowledged += ids
            future.set_result(len(ids))
        await asyncio.sleep(0)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Failures are repeated soon."""
    monkeypatch.setattr(acks, "AGAIN_S", 0.001)


async def test_many_leave_at_once_and_few_after_a_while() -> None:
    """512 fill a command; the rest waits for company, a few milliseconds."""
    member, partition = FakeMember(), Partition(0, "{t:0}")
    found = AckBatcher(member, [partition], lambda _: None)  # type: ignore[arg-type]
    for n in range(600):
        found.note(partition, b"%d-0" % n)
    assert [len(ids) for _, ids in member.asked] == [512]
    assert found.waiting == 600
    async with asyncio.timeout(5):
        while len(member.asked) < 2:  # noqa: ASYNC110 - its timer's doing
            await asyncio.sleep(0.001)
    assert [len(ids) for _, ids in member.asked] == [512, 88]


@given(st.lists(st.sampled_from(["note", "answer", "fail", "refuse"]), max_size=60))
def test_each_is_answered_in_the_end(steps: list[str]) -> None:
    """Whatever fails in between; an acknowledgement that is not answered is known as one."""

    async def course() -> None:
        member, partitions = FakeMember(), [Partition(n, f"{{t:{n}}}") for n in range(2)]
        faults: list[Exception] = []
        found = AckBatcher(member, partitions, faults.append)  # type: ignore[arg-type]
        noted: list[bytes] = []
        refused = 0
        for step in steps:
            if step == "note":
                entry = b"%d-0" % len(noted)
                partition = partitions[len(noted) % 2]
                partition.held.add(entry)
                found.note(partition, entry)
                noted.append(entry)
                assert entry not in partition.held
                continue
            found.send()
            if member.asked:
                refused += step != "answer"
                error = {"fail": NotSentError("no"), "refuse": ResponseError("no")}.get(step)
                await member.answer(error)
            for n, entry in enumerate(noted):
                assert (entry in member.acknowledged) != partitions[n % 2].is_acknowledged(entry)
        flushing = asyncio.create_task(found.flush())
        async with asyncio.timeout(5):
            while not flushing.done():
                await asyncio.sleep(0)
                while member.asked:
                    await member.answer()
        assert sorted(member.acknowledged) == sorted(noted)
        assert found.waiting == 0
        assert member.counts.acknowledged == len(noted)
        assert len(faults) == member.counts.faults == refused

    asyncio.run(course())


async def test_after_closing_each_leaves_at_once(caplog: pytest.LogCaptureFixture) -> None:
    """Nobody flushes any more. When the client is closed too, the log says what was not acknowledged."""
    member, partition = FakeMember(), Partition(0, "{t:0}")
    found = AckBatcher(member, [partition], lambda _: None)  # type: ignore[arg-type]
    found.hurry()
    found.note(partition, b"1-0")
    assert [ids for _, ids in member.asked] == [[b"1-0"]]
    await member.answer(ClosedError("closed"))
    assert found.waiting == 0
    assert "1 acknowledgements were not answered" in caplog.text
