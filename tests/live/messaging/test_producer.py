"""The topic level's producer on real servers: what is stored, in which order, and how it travels."""

import asyncio

import pytest
import redis.asyncio

from ombdriver import (
    ClosedError,
    JsonCodec,
    MessagingError,
    MessagingValueError,
    MQClient,
    NotSentError,
    RecordMetadata,
    Retention,
    Topic,
)
from ombdriver.messaging.streams.entry_ids import parse_id
from ombdriver.messaging.topics.record import parse_record

Raw = redis.asyncio.Redis


async def values(raw: Raw, stream: str = "{t:0}") -> list[bytes]:
    """What lies in a stream, in order."""
    return [fields[b"value"] for _, fields in await raw.xrange(stream)]


async def calls(raw: Raw, command: str) -> int:
    """How often the server was given `command`."""
    found: int = (await raw.info("commandstats")).get(f"cmdstat_{command}", {}).get("calls", 0)
    return found


async def test_metadata_tells_where_a_message_is_stored(server_url: str, raw: Raw) -> None:
    """Topic, partition, stream and id; and the entry there says what was sent."""
    topic = Topic("t", 4)
    async with MQClient(redis_url=server_url) as client, client.producer(topic, codec=JsonCodec()) as producer:
        sent = await producer.send_and_wait({"n": 1}, key="customer-7", headers={"traceparent": "00-ab"})

    assert (sent.topic, sent.partition, sent.stream) == (
        "t",
        topic.partition_of("customer-7"),
        topic.key(sent.partition),
    )
    ((entry_id, fields),) = await raw.xrange(sent.stream)
    record = parse_record(fields)
    assert entry_id.decode() == sent.id
    assert sent.timestamp_ms == int(sent.id.split("-")[0])
    assert (record.value, record.key, record.headers) == (b'{"n":1}', b"customer-7", {"traceparent": "00-ab"})


async def test_what_is_sent_in_one_turn_travels_in_one_batch_in_order(server_url: str, raw: Raw) -> None:
    """One transaction, whose ids come back to the right callers."""
    await raw.config_resetstat()
    async with MQClient(redis_url=server_url) as client, client.producer("t") as producer:
        futures = [await producer.send(b"%d" % n) for n in range(300)]
        found = await asyncio.gather(*futures)
        batches = producer.statistics().batches

    assert [entry_id.decode() for entry_id, _ in await raw.xrange("{t:0}")] == [each.id for each in found]
    assert await values(raw) == [b"%d" % n for n in range(300)]
    assert (batches, await calls(raw, "exec"), await calls(raw, "xadd")) == (1, 1, 300)


async def test_a_message_alone_needs_no_transaction(server_url: str, raw: Raw) -> None:
    """It is one command."""
    await raw.config_resetstat()
    async with MQClient(redis_url=server_url) as client, client.producer("t") as producer:
        await producer.send_and_wait(b"v")

    assert (await calls(raw, "multi"), await calls(raw, "xadd")) == (0, 1)


async def test_messages_of_all_shapes_share_a_batch(server_url: str, raw: Raw) -> None:
    """With a key and without, with headers, empty and large."""
    async with MQClient(redis_url=server_url) as client, client.producer("t") as producer:
        await producer.send(b"")
        await producer.send(b"x" * 100_000, key=b"\x00\r\n")
        await producer.send(b"\r\n*1", headers={"a": "ü", "b": ""})
        await producer.send(b"last", key="", headers={"c": "d"})
        await producer.flush()
        assert producer.statistics().batches == 1

    found = [parse_record(fields) for _, fields in await raw.xrange("{t:0}")]
    assert [(each.value, each.key, dict(each.headers)) for each in found] == [
        (b"", None, {}),
        (b"x" * 100_000, b"\x00\r\n", {}),
        (b"\r\n*1", None, {"a": "ü", "b": ""}),
        (b"last", b"", {"c": "d"}),
    ]


async def test_under_load_what_comes_during_a_flight_makes_the_next_batch(valkey_url: str) -> None:
    """No linger is needed: batches grow by themselves, and no partition has two on their way."""
    async with MQClient(redis_url=valkey_url) as client, client.producer("t", max_batch_messages=50) as producer:

        async def caller(name: int) -> None:
            for n in range(20):
                await producer.send_and_wait(b"%d:%d" % (name, n))

        await asyncio.gather(*(caller(name) for name in range(100)))
        done = producer.statistics()

    assert (done.sent, done.failed, done.buffered_messages, done.buffered_bytes) == (2_000, 0, 0, 0)
    assert 40 <= done.batches < 500


async def test_messages_without_a_key_go_to_one_partition_until_its_batch_closes(valkey_url: str) -> None:
    """Then to the next; all partitions get their share."""
    async with (
        MQClient(redis_url=valkey_url) as client,
        client.producer(Topic("t", 3), max_batch_messages=10) as producer,
    ):
        found = await asyncio.gather(*[await producer.send(b"v") for _ in range(60)])

    runs = [{each.partition for each in found[at : at + 10]} for at in range(0, 60, 10)]
    assert all(len(run) == 1 for run in runs)
    assert [run.pop() for run in runs[:3]] == [run.pop() for run in runs[3:]]
    assert {each.partition for each in found} == {0, 1, 2}


async def test_a_partition_may_be_named(valkey_url: str) -> None:
    """It wins over the key; one that is not there is refused at once."""
    async with MQClient(redis_url=valkey_url) as client, client.producer(Topic("t", 3)) as producer:
        assert [(await producer.send_and_wait(b"v", key="k", partition=p)).partition for p in range(3)] == [0, 1, 2]
        with pytest.raises(MessagingValueError, match="partitions 0 to 2"):
            await producer.send(b"v", partition=3)
        assert producer.statistics().buffered_messages == 0


async def test_send_batch_takes_all_to_one_partition(valkey_url: str) -> None:
    """In order; and takes none, if one can't be."""
    async with MQClient(redis_url=valkey_url) as client, client.producer(Topic("t", 3)) as producer:
        found = await asyncio.gather(*await producer.send_batch([b"%d" % n for n in range(1_200)], key="k"))
        assert len({each.partition for each in found}) == 1
        order = [parse_id(each.id.encode()) for each in found]
        assert order == sorted(order)
        with pytest.raises(MessagingValueError, match="bytes"):
            await producer.send_batch([b"fine", "not bytes"])  # type: ignore[list-item]
        assert producer.statistics().buffered_messages == 0
        assert await producer.send_batch([]) == []


async def test_a_lingering_batch_waits_for_more_until_it_is_full(valkey_url: str) -> None:
    """A full batch leaves at once, whatever linger says."""
    async with (
        MQClient(redis_url=valkey_url) as client,
        client.producer("t", linger_ms=20_000, max_batch_messages=3) as producer,
    ):
        futures = [await producer.send(b"v") for _ in range(4)]
        await asyncio.gather(*futures[:3])
        assert producer.statistics().batches == 1
        assert not futures[3].done()
        await producer.flush()
        assert isinstance(futures[3].result(), RecordMetadata)


async def test_a_batch_leaves_when_linger_is_over(valkey_url: str) -> None:
    """By itself, with all that came meanwhile."""
    async with MQClient(redis_url=valkey_url) as client, client.producer("t", linger_ms=30) as producer:
        first = await producer.send(b"v")
        await asyncio.sleep(0)
        second = await producer.send(b"v")
        await asyncio.gather(first, second)
        assert producer.statistics().batches == 1


async def test_a_batch_of_enough_bytes_leaves(valkey_url: str) -> None:
    """The message that would be too much begins the next one; one that is too large alone goes alone."""
    async with (
        MQClient(redis_url=valkey_url) as client,
        client.producer("t", linger_ms=20_000, max_batch_bytes=1_000) as producer,
    ):
        sizes = [400, 400, 400, 5_000, 10]
        futures = [await producer.send(b"x" * size) for size in sizes]
        await asyncio.gather(*futures[:4])
        assert producer.statistics().batches == 3
        await producer.flush()
        assert producer.statistics().sent == 5


async def test_lingering_holds_up_nobody_who_waits_for_space(valkey_url: str) -> None:
    """A batch that takes the last of the space leaves at once."""
    async with (
        MQClient(redis_url=valkey_url) as client,
        client.producer(Topic("t", 2), linger_ms=20_000, buffer_messages=4) as producer,
    ):
        sends = [asyncio.create_task(producer.send(b"%d" % n, partition=n % 2)) for n in range(20)]
        await asyncio.gather(*sends)
        await producer.flush()
        assert producer.statistics().sent == 20


async def test_closing_sends_what_was_accepted(server_url: str, raw: Raw) -> None:
    """Linger or not; afterwards nothing is accepted."""
    async with MQClient(redis_url=server_url) as client:
        producer = client.producer("t", linger_ms=20_000)
        async with producer:
            future = await producer.send(b"v")
        assert (await future).partition == 0
        assert await values(raw) == [b"v"]
        for refused in (producer.send(b"v"), producer.send_batch([b"v"]), producer.start()):
            with pytest.raises(ClosedError):
                await refused
        await producer.close()
        await producer.flush()


async def test_a_producer_has_to_be_started(valkey_url: str) -> None:
    """It says how."""
    async with MQClient(redis_url=valkey_url) as client:
        producer = client.producer("t")
        with pytest.raises(MessagingError, match="async with"):
            await producer.send(b"v")
        assert await producer.start() is await producer.start()
        await producer.send_and_wait(b"v")
        await producer.close()


async def test_a_server_that_is_not_there_is_told_when_starting() -> None:
    """At once, and with the way out."""
    async with MQClient(redis_url="redis://127.0.0.1:1") as client:
        with pytest.raises(NotSentError, match="is the server up"):
            await client.producer("t").start()


async def test_a_client_closed_before_its_producer_fails_what_has_not_left(valkey_url: str) -> None:
    """Nobody waits for ever."""
    client = MQClient(redis_url=valkey_url)
    async with client.producer("t", linger_ms=20_000) as producer:
        future = await producer.send(b"v")
        await client.aclose()
    with pytest.raises(ClosedError):
        await future


@pytest.mark.parametrize("on_unknown", ["raise", "idempotent"])
async def test_sending_keeps_to_a_length(server_url: str, raw: Raw, on_unknown: str) -> None:
    """Exactly, after each batch; read or not."""
    retention = Retention(max_length=20, exact=True)
    async with (
        MQClient(redis_url=server_url) as client,
        client.producer("t", retention=retention, on_unknown=on_unknown) as producer,  # type: ignore[arg-type]
    ):
        for first in range(0, 300, 60):
            await asyncio.gather(*[await producer.send(b"%d" % n) for n in range(first, first + 60)])
            assert await values(raw) == [b"%d" % n for n in range(first + 40, first + 60)]
        await producer.send_and_wait(b"one")
        assert await raw.xlen("{t:0}") == 20


async def test_a_topic_says_what_is_kept(server_url: str, raw: Raw) -> None:
    """By length; or what its groups need, trimmed as long as a producer is open."""
    async with MQClient(redis_url=server_url) as client:
        short = Topic("t", retention=Retention(max_length=3, exact=True))
        async with client.producer(short) as producer:
            await asyncio.gather(*await producer.send_batch([b"%d" % n for n in range(10)]))
        assert await raw.xlen("{t:0}") == 3

        needed = Topic("t", retention=Retention(acknowledged=True, exact=True))
        async with client.producer(needed) as producer, client.consumer(needed, "g") as consumer:
            await producer.send_and_wait(b"10")
            for _ in range(2):
                await (await consumer.getone()).ack()
            while await values(raw) != [b"9", b"10"]:  # noqa: ASYNC110 - until its next round
                await asyncio.sleep(0.01)


async def test_sending_keeps_to_an_age(server_url: str, raw: Raw) -> None:
    """What is older goes with the next message."""
    await raw.xadd("{t:0}", {"value": "old"}, id="1000-0")
    retention = Retention(max_age_s=3600, exact=True)
    async with MQClient(redis_url=server_url) as client, client.producer("t", retention=retention) as producer:
        await producer.send_and_wait(b"new")
    assert await values(raw) == [b"new"]
