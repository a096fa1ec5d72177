"""A group that is gone is made again so that nothing is passed over; a new stream may have the ids of the old one."""

import asyncio
from dataclasses import dataclass

import redis.asyncio
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from records import take

from ombdriver import GroupManager, MQClient, MQProducer
from ombdriver.messaging.streams.entry_ids import IdParts, format_id
from ombdriver.messaging.streams.resumption import EntryMark, make_again, mark_at

STREAM, GROUP = b"s", b"g"
Entries = dict[IdParts, str]
"""Contents by id."""
CONTENTS = st.sampled_from("ab")
IDS = st.tuples(st.integers(5, 6), st.integers(0, 4))


def entries(ids: st.SearchStrategy[IdParts] = IDS) -> st.SearchStrategy[Entries]:
    """A stream of few entries, of which many share a millisecond or a content with others."""
    return st.dictionaries(ids, CONTENTS, max_size=6).map(lambda found: dict(sorted(found.items())))


@dataclass(frozen=True)
class History:
    """What a reader has seen of a stream.

    Attributes:
        stream: all of it.
        given: the reader was given so many entries; it marks the last one.
        held: those of them that it has not acknowledged.
    """

    stream: Entries
    given: int
    held: frozenset[IdParts]

    @property
    def last(self) -> IdParts:
        """The id of the mark."""
        return list(self.stream)[self.given - 1] if self.given else (0, 0)


@st.composite
def histories(draw: st.DrawFn) -> History:
    """Any history."""
    stream = draw(entries())
    given = draw(st.integers(0, len(stream)))
    known = list(stream)[:given]
    return History(stream, given, draw(st.frozensets(st.sampled_from(known))) if known else frozenset())


async def store(raw: redis.asyncio.Redis, stream: Entries) -> None:
    """Adds all entries, as they are."""
    for entry_id, content in stream.items():
        await raw.xadd(STREAM, {"value": content}, id=format_id(entry_id))


async def delivered(url: str, history: History, stream: Entries | None, deleted: frozenset[IdParts]) -> Entries:
    """What the group is given after it was made again.

    Args:
        url: of the server.
        history: before.
        stream: the one that took the place of the old one; None if only the group is destroyed.
        deleted: entries of the old stream that are deleted one by one.
    """
    async with (
        MQClient(redis_url=url) as client,
        redis.asyncio.Redis.from_url(url, protocol=2) as raw,
    ):
        await raw.flushall()
        await store(raw, history.stream)
        mark = await mark_at(client._router(), STREAM, format_id(history.last)) if history.given else EntryMark()
        if deleted:
            await raw.xdel(STREAM, *map(format_id, deleted))
        if stream is not None:
            await raw.delete(STREAM)
            await store(raw, stream)
        await make_again(client._router(), STREAM, GROUP, mark, list(map(format_id, history.held)))
        reply = await raw.xreadgroup(GROUP, "c", {STREAM: ">"})
    found = {}
    for entry_id, fields in reply[0][1] if reply else ():
        ms, sequence = entry_id.split(b"-")
        found[int(ms), int(sequence)] = fields[b"value"].decode()
    return found


# A busy machine is no failure; and each example empties the server, so it may be the same.
of_each = settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
OLD = History({(5, 0): "a", (5, 1): "b"}, 2, frozenset())


@of_each
@given(histories(), entries())
@example(OLD, {(5, 0): "a", (5, 1): "a"})
def test_of_a_new_stream_everything_is_delivered(valkey_url: str, history: History, stream: Entries) -> None:
    """Whatever its ids are, unless at the id of the mark it has an entry of the same content."""
    if history.given and stream.get(history.last) == history.stream[history.last]:
        del stream[history.last]
    assert asyncio.run(delivered(valkey_url, history, stream, frozenset())) == stream


@of_each
@given(histories(), st.data())
@example(OLD, None)
def test_a_new_stream_may_begin_in_the_millisecond_in_which_the_old_one_ended(
    valkey_url: str, history: History, data: st.DataObject | None
) -> None:
    """Everything is delivered then, whatever the contents are: a server's clock gives no id of an earlier one."""
    later = st.tuples(st.integers(history.last[0] or 5, 7), st.integers(0, 4))
    stream = {(5, 0): "b", (5, 1): "b", (5, 2): "a"} if data is None else data.draw(entries(later))
    assert asyncio.run(delivered(valkey_url, history, stream, frozenset())) == stream


@of_each
@given(histories(), st.data())
def test_of_the_same_stream_comes_what_was_held_and_what_was_not_given(
    valkey_url: str, history: History, data: st.DataObject
) -> None:
    """And of the rest nothing that is older than the mark's millisecond and all that was held, if the mark is there."""
    known = list(history.stream)
    deleted = data.draw(st.frozensets(st.sampled_from(known))) if known else frozenset()
    found = asyncio.run(delivered(valkey_url, history, None, deleted))

    left = {entry_id: content for entry_id, content in history.stream.items() if entry_id not in deleted}
    due = {entry_id for entry_id in left if entry_id > history.last or entry_id in history.held}
    assert due <= found.keys() <= left.keys()
    if history.last in left:
        assert min(found, default=(7, 0)) >= min([*history.held, (history.last[0], 0)])


async def test_what_is_in_hand_of_an_old_stream_is_not_taken_for_its_namesake(
    server_url: str, raw: redis.asyncio.Redis
) -> None:
    """Entries of the same ids are delivered all the same, and are not acknowledged or rejected in place of the old."""
    async with MQClient(redis_url=server_url) as client, client.consumer("t", "g") as consumer:
        for n in range(4):
            await raw.xadd("{t:0}", {"value": n}, id=f"5-{n}")
        old = [await consumer.getone() for _ in range(4)]
        await raw.flushall()
        for n in range(4):
            await raw.xadd("{t:0}", {"value": 10 + n}, id=f"5-{n}")
        new = [await consumer.getone() for _ in range(4)]
        assert [message.value for message in new] == [b"10", b"11", b"12", b"13"]
        assert [message.is_lost for message in (*old, *new)] == [True] * 4 + [False] * 4
        await old[0].ack()
        await old[1].nack()
        assert not await old[2].reject("of the old stream")
        assert not await old[3].in_progress()
        await consumer.flush()
        assert (await raw.xpending("{t:0}", "g"))["pending"] == 4
        for message in new:
            await message.ack()
        await consumer.flush()
        assert (await raw.xpending("{t:0}", "g"))["pending"] == 0
        told = consumer.statistics()
        assert (told.groups_made, told.acknowledged, told.late_acknowledgements, told.held) == (1, 4, 1, 0)


async def test_who_may_not_look_begins_at_the_beginning(server_url: str, raw: redis.asyncio.Redis) -> None:
    """Without the right to run scripts, or to XRANGE, a stream can't be told from a new one."""
    for lacking in ("@scripting", "xrange"):
        await raw.flushall()
        await raw.execute_command("ACL SETUSER", "guest", "reset", "on", "nopass", "~*", "&*", "+@all", f"-{lacking}")
        try:
            url = server_url.replace("redis://", "redis://guest:any@")
            await raw.xadd(STREAM, {"value": 1}, id="5-1")
            async with MQClient(redis_url=server_url) as client:
                mark = await mark_at(client._router(), STREAM, b"5-1")
            async with MQClient(redis_url=url) as client:
                made = await make_again(client._router(), STREAM, GROUP, mark)
                assert (made.place, made.is_new_stream) == (b"0", True)
                again = await make_again(client._router(), STREAM, GROUP, mark)
                assert (again.place, again.is_new_stream) == (None, False)
        finally:
            await raw.execute_command("ACL DELUSER", "guest")


async def test_a_second_stream_of_a_stream_level_consumer_is_read_on(server_url: str, raw: redis.asyncio.Redis) -> None:
    """The group is made for messages from now on when it is first missing, and later on so that nothing is missed."""
    async with (
        GroupManager("s", redis_url=server_url) as manager,
        MQProducer("two", redis_url=server_url) as producer,
    ):
        consumer = await (await manager.create_group("g", 0)).create_consumer("c")
        await producer.send_message({"n": "before"}, "5-0")
        assert await consumer.block_read_messages("two", block=1) == []
        await producer.send_message({"n": 1}, "5-1")
        assert await consumer.block_read_messages("two", block=1) == [["two", [("5-1", {"n": "1"})]]]

        await raw.xgroup_destroy("two", "g")
        await producer.send_message({"n": 2}, "6-2")
        assert ("6-2", {"n": "2"}) in (await consumer.block_read_messages("two", block=1))[0][1]

        await raw.delete("two")
        await producer.send_message({"n": 3}, "5-3")
        await producer.send_message({"n": 4}, "6-2")
        assert await consumer.block_read_messages("two", block=1) == [
            ["two", [("5-3", {"n": "3"}), ("6-2", {"n": "4"})]]
        ]


async def test_many_streams_that_are_made_anew_at_once(server_url: str) -> None:
    """FLUSHALL and new entries in one go, in the millisecond of the old ones, again and again: each of them comes."""
    async with (
        MQClient(redis_url=server_url) as client,
        redis.asyncio.Redis.from_url(server_url, protocol=2) as raw,
        client.consumer("t", "g", block_ms=100) as consumer,
    ):
        for turn in range(30):
            async with raw.pipeline(transaction=True) as pipe:
                for n in range(3):
                    pipe.xadd("{t:0}", {"value": 1000 * turn + n})
                await pipe.execute()
            assert await take(consumer, 3) == [1000 * turn + n for n in range(3)]
            async with raw.pipeline(transaction=True) as pipe:
                pipe.xadd("{t:0}", {"value": -1})
                pipe.flushall()
                for n in range(10, 20):
                    pipe.xadd("{t:0}", {"value": 1000 * turn + n})
                await pipe.execute()
            missing = {1000 * turn + n for n in range(10, 20)}
            while missing:
                missing.difference_update(await take(consumer, 1))
