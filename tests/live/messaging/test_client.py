"""`MQClient` and `MQProducer` on real servers: the manual's reference, and what was added to it."""

import asyncio
from typing import Any

import pytest
import redis.asyncio
from redis.exceptions import ResponseError

from ombdriver import ClosedError, MessagingValueError, MQClient, MQConsumer, MQProducer, Topic


async def test_the_examples_of_the_manual(server_url: str) -> None:
    """Length, information, first and last message agree with each other."""
    async with MQProducer("_test_stream1", redis_url=server_url) as producer:
        ids = [await producer.send_message({"msg_key1": "value1", "n": n}) for n in range(3)]
        client = producer
        stream_length = await client.get_stream_length("_test_stream1")
        stream_info = await client.get_stream_info("_test_stream1")
        first_message_info = await client.query_messages("_test_stream1", count=1)
        last_message_info = await client.reverse_query_messages("_test_stream1", count=1)

        assert stream_info.get("length") == stream_length == 3
        assert first_message_info[0] == stream_info.get("first-entry") == (ids[0], {"msg_key1": "value1", "n": "0"})
        assert last_message_info[0] == stream_info.get("last-entry")
        assert await client.query_messages("_test_stream1", ids[1], ids[1]) == [
            (ids[1], {"msg_key1": "value1", "n": "1"})
        ]
        assert await client.delete_message("_test_stream1", ids[0], "1-1") == 1
        assert await client.trim_stream("_test_stream1", 1, approximate=False) == 1
        assert await client.get_stream_length("_test_stream1") == 1
        assert await client.get_stream_length("no_such_stream") == 0
        assert await client.check_health() is True


async def test_a_reverse_query_takes_its_bounds_in_both_printed_orders(server_url: str) -> None:
    """(max, min) and (min, max) give the same, newest first."""
    async with MQProducer("s", redis_url=server_url) as producer:
        for n in range(1, 4):
            await producer.send_message({"n": n}, msg_id=f"{n}-0")

        expected = [("3-0", {"n": "3"}), ("2-0", {"n": "2"})]

        assert await producer.reverse_query_messages("s", "3-0", "2-0") == expected
        assert await producer.reverse_query_messages("s", "2-0", "3-0") == expected
        assert await producer.reverse_query_messages("s", min_id="2-0") == expected


async def test_every_option_of_a_send_reaches_the_server(server_url: str) -> None:
    """An id of one's own, trimming by length and by id, and no stream out of nothing."""
    async with MQProducer("s", redis_url=server_url) as producer:
        assert await producer.send_message({"f": 1}, nomkstream=True) is None
        assert await producer.send_message({"f": b"1", "g": 1.5}, "5-1") == "5-1"
        for n in range(6, 10):
            await producer.send_message({"f": n}, f"{n}-0", maxlen=2, approximate=False)
        assert [entry for entry, _ in await producer.query_messages("s")] == ["8-0", "9-0"]
        await producer.send_message({"f": 1}, "10-0", minid="9-0", approximate=False)
        await producer.send_message({"f": 1}, "11-0", maxlen=1, limit=100)
        assert [entry for entry, _ in await producer.query_messages("s")] == ["9-0", "10-0", "11-0"]


@pytest.mark.parametrize(
    "arguments",
    [{"message": {}}, {"message": {"f": None}}, {"message": {"f": True}}, {"message": {"f": 1}, "key": "k"}],
)
async def test_an_argument_that_can_not_be_is_refused_at_call_time(server_url: str, arguments: dict[str, Any]) -> None:
    """Without an await: what Redis can't store, and a key where there is nothing to pick."""
    async with MQProducer("s", redis_url=server_url) as producer:
        with pytest.raises(MessagingValueError):
            producer.send_message(**arguments)


async def test_many_sends_keep_their_order(server_url: str) -> None:
    """Sent in one turn of the loop, stored in that order, each with its own id."""
    async with MQProducer("s", redis_url=server_url) as producer:
        ids = await asyncio.gather(*(producer.send_message({"n": n}) for n in range(2_000)))
        stored = await producer.query_messages("s")

    assert [entry for entry, _ in stored] == ids
    assert [int(fields["n"]) for _, fields in stored] == list(range(2_000))


async def test_a_message_with_a_key_goes_to_its_partition(server_url: str) -> None:
    """The partition's stream is `{topic:p}`; without a key, each partition in turn."""
    topic = Topic("orders", 4)
    async with MQProducer(topic, redis_url=server_url) as producer:
        await asyncio.gather(*(producer.send_message({"n": n}, key="customer-7") for n in range(10)))
        await asyncio.gather(*(producer.send_message({"n": n}) for n in range(8)))
        lengths = [await producer.get_stream_length(key) for key in topic.keys]

    expected = [2, 2, 2, 2]
    expected[topic.partition_of("customer-7")] += 10
    assert lengths == expected


async def test_a_payload_that_is_no_utf8_is_given_as_bytes(server_url: str) -> None:
    """By every way of reading; the messages beside it stay text."""
    async with MQProducer("s", redis_url=server_url) as producer:
        await producer.send_message({"f": b"\xff\xfe"}, "1-0")
        await producer.send_message({"f": "text"}, "2-0")
        entries = await producer.query_messages("s")
        info = await producer.get_stream_info("s")

    assert entries == [("1-0", {"f": b"\xff\xfe"}), ("2-0", {"f": "text"})]
    assert info["first-entry"] == entries[0]


@pytest.mark.parametrize(
    "settings",
    [
        {"decode_responses": True},
        {"decode_responses": True, "protocol": 3},
        {"decode_responses": True, "legacy_responses": False},
        {"decode_responses": True, "protocol": 3, "legacy_responses": False},
        {"decode_responses": True, "protocol": 2, "legacy_responses": False},
    ],
)
async def test_replies_look_the_same_whatever_client_lies_below(server_url: str, settings: dict[str, Any]) -> None:
    """A redis-py client of the user's, with any protocol and response setting, gives the manual's shapes."""
    async with redis.asyncio.Redis.from_url(server_url, **settings) as below:
        async with MQProducer("s", redis_pool=below) as producer, MQConsumer("s", redis_pool=below) as consumer:
            await producer.send_message({"f": "v"}, "1-0")
            entry = ("1-0", {"f": "v"})

            assert await producer.query_messages("s") == [entry]
            assert await producer.reverse_query_messages("s") == [entry]
            assert (await producer.get_stream_info("s"))["last-entry"] == entry
            assert await consumer.read_messages({"s": 0}) == [["s", [entry]]]
            assert await consumer.read_messages({"s": "1-0"}) == []
        assert await below.ping()


async def test_without_decoding_everything_is_bytes(server_url: str) -> None:
    """`decode_responses=False` on the client means bytes, ids included."""
    async with MQProducer("s", redis_url=server_url, decode_responses=False) as producer:
        assert await producer.send_message({"f": "v"}, "1-0") == b"1-0"
        assert await producer.query_messages("s") == [(b"1-0", {b"f": b"v"})]
        info = await producer.get_stream_info("s")

    assert info["last-entry"] == (b"1-0", {b"f": b"v"})
    assert info["last-generated-id"] == b"1-0"


async def test_trimming_what_is_acknowledged_spares_what_a_group_needs(server_url: str) -> None:
    """On any server: pending and unread messages stay, the rest goes; a plain `maxlen` would have cut them."""
    from ombdriver import GroupManager

    async with MQProducer("s", redis_url=server_url) as producer, GroupManager("s", redis_url=server_url) as manager:
        assert await producer.send_message({"n": 0}, "1-0") == "1-0"
        assert await producer.trim_acknowledged("s", approximate=False) == 0, "no group has said what it needs"
        fast = await (await manager.create_group("fast", 0)).create_consumer("c")
        slow = await (await manager.create_group("slow", 0)).create_consumer("c")
        for n in range(2, 7):
            await producer.send_message({"n": n}, f"{n}-0")
        await fast.read_messages({"s": ">"})
        await fast.ack_message(*(f"{n}-0" for n in range(1, 7)))
        await slow.read_messages({"s": ">"}, count=4)
        await slow.ack_message("1-0", "2-0", "4-0")

        assert await producer.trim_acknowledged("s", approximate=False) == 2
        assert [entry for entry, _ in await producer.query_messages("s")] == ["3-0", "4-0", "5-0", "6-0"]


async def test_information_about_a_stream_that_is_not_there_is_the_servers_error(server_url: str) -> None:
    """redis-py's class for it, as before."""
    async with MQClient(redis_url=server_url) as client:
        with pytest.raises(ResponseError, match="no such key"):
            await client.get_stream_info("nothing")


async def test_a_closed_client_says_so(server_url: str) -> None:
    """Closing twice is harmless, using it afterwards is told apart from a lost connection."""
    producer = MQProducer("s", redis_url=server_url)
    await producer.send_message({"f": 1})
    await producer.aclose()
    await producer.aclose()

    with pytest.raises(ClosedError, match="make a new one"):
        producer.send_message({"f": 1})
    with pytest.raises(ClosedError):
        await producer.get_stream_length("s")
    assert repr(producer) == "<MQProducer 's' closed>"


async def test_closing_waits_for_what_was_sent(server_url: str, raw: redis.asyncio.Redis) -> None:
    """Messages sent and not yet awaited are stored, and answered, before the connection goes."""
    producer = MQProducer("s", redis_url=server_url)
    await producer.check_health()
    await producer.send_message({"n": -1})
    sent = [asyncio.ensure_future(producer.send_message({"n": n})) for n in range(500)]
    await producer.aclose()

    assert len(await asyncio.gather(*sent)) == 500
    assert await raw.xlen("s") == 501


async def test_statistics_count_the_replies(server_url: str) -> None:
    """Of the channel that sends."""
    async with MQProducer("s", redis_url=server_url) as producer:
        await asyncio.gather(*(producer.send_message({"n": n}) for n in range(7)))
        bulk = producer.statistics().bulk

    assert (bulk.replies, bulk.in_flight, bulk.connected) == (7, 0, True)
