"""Messages that were given up: moved in one step, looked at, sent again, thrown away."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import redis.asyncio
from pending import GROUP, PARTITION, STREAM, deliver, holds, member

from ombdriver import Message, MessagingValueError, MQClient, RetryPolicy
from ombdriver.messaging.streams import scripts
from ombdriver.messaging.topics.recovery.dead_letters import DeadLetterPolicy, DeadLetters, move_to_dead_letters
from ombdriver.messaging.topics.recovery.janitor import Janitor

DLQ = b"{t:0}:dlq"
KEEP = DeadLetterPolicy()


@pytest.fixture
async def client(server_url: str) -> AsyncIterator[MQClient]:
    """A client of the server."""
    async with MQClient(redis_url=server_url) as made:
        yield made


@pytest.fixture
def letters(client: MQClient) -> DeadLetters:
    """The dead letters of topic `t`."""
    return client.dead_letters("t")


async def test_a_dead_letter_says_what_became_of_the_message(
    client: MQClient, raw: redis.asyncio.Redis, letters: DeadLetters
) -> None:
    """The original fields, and who gave it up, when and why; the entry is acknowledged."""
    (entry,) = await deliver(raw, 1, "me")
    seconds, _ = await raw.time()

    assert await move_to_dead_letters(member(client, "me"), PARTITION, entry, "ValueError('no')", KEEP, 1, [])

    ((_, fields),) = await raw.xrange(DLQ)
    assert abs(int(fields.pop(b"x-time")) / 1000 - seconds) < 60
    assert fields == {
        b"value": b"0",
        b"x-stream": STREAM,
        b"x-id": entry,
        b"x-group": GROUP,
        b"x-consumer": b"me",
        b"x-deliveries": b"1",
        b"x-error": b"ValueError('no')",
    }
    (letter,) = await letters.read()
    assert (letter.id, letter.group, letter.consumer, letter.deliveries) == (entry.decode(), "g", "me", 1)
    assert (letter.error, letter.record.value, letter.record.fields) == ("ValueError('no')", b"0", {b"value": b"0"})
    assert await holds(raw) == {}
    assert await raw.xlen(STREAM) == 1, "other groups may need it"


async def test_a_message_is_buried_once_and_only_by_its_owner(
    client: MQClient, raw: redis.asyncio.Redis, letters: DeadLetters
) -> None:
    """A second time, as after a lost reply, nothing happens, and it is told as done; not to those who lost it."""
    mine, claimed = await deliver(raw, 2, "me")
    await raw.xclaim(STREAM, GROUP, "other", 0, [claimed])
    me, other = member(client, "me"), member(client, "other")

    assert [await move_to_dead_letters(me, PARTITION, one, "", KEEP, 1, []) for one in (mine, mine, claimed)] == [
        True,
        True,
        False,
    ]
    assert not await move_to_dead_letters(other, PARTITION, mine, "", KEEP, 1, [])

    assert await letters.count() == 1
    assert await holds(raw) == {claimed: ("other", 2)}


async def test_a_dead_letter_of_a_trimmed_message_is_written_from_memory(
    client: MQClient, raw: redis.asyncio.Redis, letters: DeadLetters
) -> None:
    """By a consumer that rejects it, and by a runner that gives it up; what they tell is what there is."""
    await raw.xadd(STREAM, {"value": "rejected", "key": "k"})
    async with client.consumer("t", "g") as consumer:
        message = await consumer.getone()
        await raw.xtrim(STREAM, 0, approximate=False)
        janitor = Janitor(member(client, consumer.name), lambda *_: None, lambda *_: None, 1)
        await janitor.look({PARTITION: None}, 100)  # which ends on most servers that it is pending
        assert await message.in_progress()
        assert await message.reject("why")
        assert consumer.statistics().rejected == 1
    await raw.xadd(STREAM, {"value": "given up"})
    runner = client.runner("t", "g", retry=RetryPolicy(2, backoff=lambda _: 0), block_ms=50)

    @runner.handler
    async def fail(message: Message[bytes]) -> None:
        await raw.xtrim(STREAM, 0, approximate=False)
        if message.delivery_count == 2:
            runner.stop()
        raise ValueError("no")

    await runner.run(signals=False)

    assert runner.statistics().dead_lettered == 1
    rejected, given_up = await letters.read()
    assert (rejected.record.fields, rejected.error) == ({b"value": b"rejected", b"key": b"k"}, "why")
    assert (given_up.record.value, given_up.deliveries, given_up.error) == (b"given up", 2, "ValueError('no')")
    assert await holds(raw) == {}


async def test_dead_letters_can_be_bounded(client: MQClient, raw: redis.asyncio.Redis, letters: DeadLetters) -> None:
    """About so many are kept, the newest."""
    ids = await deliver(raw, 500, "me")
    me = member(client, "me")

    await asyncio.gather(
        *(move_to_dead_letters(me, PARTITION, one, "", DeadLetterPolicy(maxlen=100), 1, []) for one in ids)
    )

    assert 100 <= await letters.count() < 300
    with pytest.raises(MessagingValueError, match="maxlen"):
        DeadLetterPolicy(maxlen=0)


async def test_a_redriven_message_comes_back_to_its_group_only(
    client: MQClient, raw: redis.asyncio.Redis, letters: DeadLetters
) -> None:
    """With its id, its place in the stream and all its deliveries before it; a sweep takes it at once."""
    (entry,) = await deliver(raw, 1, "me")
    await move_to_dead_letters(member(client, "me"), PARTITION, entry, "", KEEP, 1, [])

    assert await letters.redrive() == 1

    assert await holds(raw) == {entry: ("redriven", 0)}
    _, ((taken, fields), *_), *_ = await raw.xautoclaim(STREAM, GROUP, "next", 3_600_000)
    assert (taken, fields) == (entry, {b"value": b"0"})
    assert (await letters.count(), await raw.xlen(STREAM)) == (0, 1)


async def test_a_lost_reply_makes_no_more_be_redriven(
    client: MQClient, raw: redis.asyncio.Redis, letters: DeadLetters, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A call that is sent again has the token of the first one: it gets the reply that was lost, and does nothing."""
    ids = await deliver(raw, 4, "me")
    for one in ids:
        await move_to_dead_letters(member(client, "me"), PARTITION, one, "", KEEP, 1, [])
    monkeypatch.setattr(scripts.secrets, "token_hex", lambda _: "the same call")

    assert [await letters.redrive(count=2) for _ in range(2)] == [2, 2]

    assert await letters.count() == 2
    assert await holds(raw) == dict.fromkeys(ids[:2], ("redriven", 0))


async def test_a_redriven_message_that_was_trimmed_is_sent_anew(
    client: MQClient, raw: redis.asyncio.Redis, letters: DeadLetters
) -> None:
    """Without the fields that tell of its death."""
    (entry,) = await deliver(raw, 1, "me")
    await move_to_dead_letters(member(client, "me"), PARTITION, entry, "", KEEP, 1, [])
    await raw.xdel(STREAM, entry)

    assert await letters.redrive() == 1

    ((new, fields),) = await raw.xrange(STREAM)
    assert new != entry
    assert fields == {b"value": b"0"}
    assert await letters.count() == 0


async def test_a_redriven_message_that_is_pending_already_stays_with_whoever_has_it(
    client: MQClient, raw: redis.asyncio.Redis, letters: DeadLetters
) -> None:
    """As after the group was set back: it comes again anyway, and is nobody else's."""
    (entry,) = await deliver(raw, 1, "me")
    await move_to_dead_letters(member(client, "me"), PARTITION, entry, "", KEEP, 1, [])
    await raw.xgroup_setid(STREAM, GROUP, "0")
    await raw.xreadgroup(GROUP, "you", {STREAM: ">"})

    assert await letters.redrive() == 1

    assert await holds(raw) == {entry: ("you", 1)}
    assert (await letters.count(), await raw.xlen(STREAM)) == (0, 1)


async def test_a_message_whose_group_is_gone_is_sent_anew(
    client: MQClient, raw: redis.asyncio.Redis, letters: DeadLetters
) -> None:
    """To all groups that there are: none is left to give it back to."""
    (entry,) = await deliver(raw, 1, "me")
    await move_to_dead_letters(member(client, "me"), PARTITION, entry, "", KEEP, 1, [])
    await raw.xgroup_destroy(STREAM, GROUP)

    assert await letters.redrive() == 1

    assert [fields for _, fields in await raw.xrange(STREAM)] == [{b"value": b"0"}] * 2


async def test_many_are_redriven_in_order(client: MQClient, raw: redis.asyncio.Redis, letters: DeadLetters) -> None:
    """In steps; as many as were asked for, the oldest first."""
    ids = await deliver(raw, 250, "me")
    me = member(client, "me")
    for one in ids:
        await move_to_dead_letters(me, PARTITION, one, "", KEEP, 1, [])

    assert await letters.redrive(count=120) == 120
    assert list(await holds(raw)) == ids[:120]
    assert await letters.redrive() == 130
    assert list(await holds(raw)) == ids
    assert await letters.redrive() == 0


async def test_one_groups_dead_letters_can_be_redriven_or_purged(
    client: MQClient, raw: redis.asyncio.Redis, letters: DeadLetters
) -> None:
    """Those of other groups stay."""
    ids = await deliver(raw, 150, "me")
    me, other = member(client, "me"), member(client, "you", b"other")
    await raw.xgroup_create(STREAM, b"other", "0")
    await raw.xreadgroup(b"other", "you", {STREAM: ">"}, count=150)
    for one in ids:
        await move_to_dead_letters(me, PARTITION, one, "", KEEP, 1, [])
        await move_to_dead_letters(other, PARTITION, one, "", KEEP, 1, [])

    assert await letters.redrive(group="other", count=10) == 10
    assert await letters.purge(group="other") == 140
    assert {letter.group for letter in await letters.read(1000)} == {"g"}
    assert await letters.purge() == 150
    assert await letters.count() == 0
    assert await raw.xpending_range(STREAM, b"other", "-", "+", 1000) != []
    assert await holds(raw) == {}


async def test_without_dead_letters_there_is_nothing_to_do(letters: DeadLetters) -> None:
    """No error either."""
    assert [await letters.count(), await letters.redrive(), await letters.purge()] == [0, 0, 0]
    assert await letters.read() == []


@pytest.mark.parametrize("denied", ["xpending", "xclaim", "xdel", "xadd"])
async def test_who_may_not_redrive_is_told_and_nothing_is_sent(
    server_url: str, client: MQClient, raw: redis.asyncio.Redis, letters: DeadLetters, denied: str
) -> None:
    """A refusal is not taken for a group that is gone, which would have the message go to all groups."""
    gone, stands = await deliver(raw, 2, "me")
    for one in (stands, gone):
        await move_to_dead_letters(member(client, "me"), PARTITION, one, "", KEEP, 1, [])
    await raw.xdel(STREAM, gone)
    await raw.execute_command("ACL", "SETUSER", "u", "reset", "on", ">secret", "~*", "+@all", f"-{denied}")
    try:
        async with MQClient(redis_url=server_url.replace("://", "://u:secret@")) as user:
            with pytest.raises(redis.exceptions.ResponseError, match=r"(?i)permission|ACL|can't run"):
                await user.dead_letters("t").redrive(count=None if denied == "xadd" else 1)
    finally:
        await raw.execute_command("ACL", "DELUSER", "u")
    if denied == "xadd":  # which only the second one needs
        assert (await letters.count(), await holds(raw)) == (1, {stands: ("redriven", 0)})
    else:
        assert (await letters.count(), await holds(raw)) == (2, {})
    assert await raw.xlen(STREAM) == 1
