"""What is particular to `redis-streams`, and how a third party's driver is found."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
import redis
import redis.asyncio
from redis.exceptions import ResponseError
from seam import ONE, ONE_KEY, RUN_ID, THREE, Replies, acknowledged, ignored, payloads, receive, send

from ombdriver.bench.drivers.api import load_driver
from ombdriver.bench.drivers.redis_streams.control import Control
from ombdriver.bench.drivers.redis_streams.driver import open_driver
from ombdriver.bench.drivers.redis_streams.server import check_streams, facts
from ombdriver.bench.servers.configuration import TlsFiles
from ombdriver.bench.servers.private_server import PrivateServer
from ombdriver.errors import DriverError, InputError, ServerError
from ombdriver.messaging.transport.router import Router

THIRD_PARTY = """
async def open_driver(options):
    return ("a driver", dict(options))
"""


async def round_trip(url: str, **options: object) -> None:
    """Topics are made, a message goes through each partition, everything is deleted."""
    driver = await open_driver({"url": url, "run_id": RUN_ID, "block_ms": 20, **options})
    try:
        await driver.create_topics([THREE], ["g"])
        replies = Replies()
        producer = await driver.create_producer(THREE, replies)
        consumer = await driver.create_consumer([THREE], "g", "c")
        send(producer, [b"1", b"2", b"3"])
        await replies.until(3)
        batches = await receive(consumer, 3)
        assert sorted(payloads(batches)) == [b"1", b"2", b"3"]
        for batch in batches:
            consumer.acknowledge(batch, ignored)
        await acknowledged(driver, [THREE], "g")
        await consumer.aclose()
        assert [error for _, _, _, error, *_ in replies.told if error] == []
        assert await driver.delete_created() == 3
    finally:
        await driver.aclose()


@pytest.fixture
async def raw(server_url: str) -> AsyncIterator[redis.asyncio.Redis]:
    """The test's own eyes on each server."""
    async with redis.asyncio.Redis.from_url(server_url) as client:
        yield client


# -- what stands on the server ---------------------------------------------------------------------------------------


async def test_streams_are_trimmed_to_about_what_they_shall_keep(server_url: str, raw: redis.asyncio.Redis) -> None:
    """Whole nodes of up to 100 entries are dropped, so a little more is kept, and never less than asked."""
    driver = await open_driver({"url": server_url, "run_id": RUN_ID, "max_entries": 500})
    await driver.create_topics([ONE], [])
    replies = Replies()
    producer = await driver.create_producer(ONE, replies)

    producer.send(0, [b"x" * 50] * 3_000, None)
    await replies.until(3_000)

    assert 500 <= await raw.xlen(ONE_KEY) <= 600
    await driver.aclose()


async def test_while_everything_is_kept_nothing_is_trimmed(server_url: str, raw: redis.asyncio.Redis) -> None:
    """A group that is behind loses nothing; afterwards streams go back to their length."""
    driver = await open_driver({"url": server_url, "run_id": RUN_ID, "max_entries": 500})
    await driver.create_topics([ONE], [])
    replies = Replies()
    producer = await driver.create_producer(ONE, replies)
    producer.keep_everything(True)
    producer.send(0, [b"x" * 50] * 3_000, None)
    producer.send(0, [b"y" * 51, b"x"], [b"key", b"k"])
    await replies.until(3_002)
    assert await raw.xlen(ONE_KEY) == 3_002

    producer.keep_everything(False)
    for _ in range(30):  # one command drops a limited number of nodes
        producer.send(0, [b"x" * 50] * 10, None)
    await replies.until(3_302)

    assert await raw.xlen(ONE_KEY) <= 600
    await driver.aclose()


async def test_without_a_limit_nothing_is_ever_trimmed(server_url: str, raw: redis.asyncio.Redis) -> None:
    """And the end of `keep_everything` does not bring a limit that there was none of."""
    driver = await open_driver({"url": server_url, "run_id": RUN_ID})
    await driver.create_topics([ONE], [])
    replies = Replies()
    producer = await driver.create_producer(ONE, replies)
    producer.keep_everything(False)

    producer.send(0, [b"x"] * 3_000, None)
    await replies.until(3_000)

    assert await raw.xlen(ONE_KEY) == 3_000
    await driver.aclose()


async def test_an_entry_holds_the_payload_and_the_key(server_url: str, raw: redis.asyncio.Redis) -> None:
    """Field p first, then field k where there is a key; binary keys and payloads as they are."""
    driver = await open_driver({"url": server_url, "run_id": RUN_ID, "block_ms": 20})
    await driver.create_topics([ONE], ["g"])
    replies = Replies()
    producer = await driver.create_producer(ONE, replies)
    producer.send(0, [b"plain"], None)
    producer.send(0, [b"\r\n\x00", b""], [b"\xff\r\n", b"key"])
    await replies.until(3)

    entries = [fields for _, fields in await raw.xrange(ONE_KEY)]  # type: ignore[union-attr]

    assert entries == [{b"p": b"plain"}, {b"p": b"\r\n\x00", b"k": b"\xff\r\n"}, {b"p": b"", b"k": b"key"}]
    consumer = await driver.create_consumer([ONE], "g", "c")
    assert payloads(await receive(consumer, 3)) == [b"plain", b"\r\n\x00", b""]
    await driver.aclose()


async def test_exactly_the_own_keys_are_made_and_deleted(server_url: str, raw: redis.asyncio.Redis) -> None:
    """Streams, the run's record and its mark; keys of others with alike names stay."""
    others = {b"{ombdriver-%s-0000:9}" % RUN_ID.encode(): b"1", b"ombdriver:run:other": b"2", b"mine": b"3"}
    await raw.mset({key.decode(): value for key, value in others.items()})
    driver = await open_driver({"url": server_url, "run_id": RUN_ID})
    await driver.create_topics([ONE, THREE], ["g"])

    made = set(await raw.keys()) - set(others)
    assert {key.decode() for key in made if isinstance(key, bytes)} == {
        ONE_KEY,
        *(f"{{{THREE.name}:{partition}}}" for partition in range(3)),
        f"ombdriver:run:{RUN_ID}",
        f"ombdriver:alive:{RUN_ID}",
    }
    assert 0 < await raw.ttl(f"ombdriver:alive:{RUN_ID}") <= 60
    await driver.delete_created()

    assert set(await raw.keys()) == set(others)
    await driver.aclose()


async def test_only_a_full_batch_has_the_next_read_sent_ahead(server_url: str, raw: redis.asyncio.Redis) -> None:
    """Where a batch is full there is more, and the server gets it ready; below that, messages may gather."""

    async def pending() -> int:
        return int((await raw.xpending(ONE_KEY, "g"))["pending"])

    driver = await open_driver({"url": server_url, "run_id": RUN_ID, "read_count": 5, "block_ms": 20})
    await driver.create_topics([ONE], ["g"])
    replies = Replies()
    producer = await driver.create_producer(ONE, replies)
    consumer = await driver.create_consumer([ONE], "g", "c")
    producer.send(0, [b"m"] * 3, None)
    await replies.until(3)

    await receive(consumer, 3)
    producer.send(0, [b"m"] * 12, None)
    await replies.until(15)
    assert await pending() == 3

    await receive(consumer, 5)
    while await pending() < 13:  # noqa: ASYNC110 - the server tells nobody
        await asyncio.sleep(0)
    await receive(consumer, 5)
    await receive(consumer, 2)
    await driver.delete_created()
    await driver.aclose()


async def test_a_consumer_is_closed_with_a_read_sent_ahead(server_url: str) -> None:
    """Nobody asks for that read any more: it is no error, and the consumer is closed as ever."""
    driver = await open_driver({"url": server_url, "run_id": RUN_ID, "read_count": 5})
    await driver.create_topics([ONE], ["g"])
    replies = Replies()
    producer = await driver.create_producer(ONE, replies)
    consumer = await driver.create_consumer([ONE], "g", "c")
    producer.send(0, [b"m"] * 5, None)
    await replies.until(5)
    await receive(consumer, 5)

    await consumer.aclose()

    with pytest.raises(DriverError):
        await consumer.receive()
    await driver.delete_created()
    await driver.aclose()


async def test_a_deleted_stream_ends_its_consumer(server_url: str, raw: redis.asyncio.Redis) -> None:
    """Reading on would never end: the error names the group and asks the right question."""
    driver = await open_driver({"url": server_url, "run_id": RUN_ID, "block_ms": 20})
    await driver.create_topics([ONE], ["g"])
    consumer = await driver.create_consumer([ONE], "g", "c")
    await raw.delete(ONE_KEY)

    with pytest.raises(DriverError, match=r"group g can't be read: NOGROUP"):
        await receive(consumer, 1)
    await driver.aclose()


# -- ways to a server ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ["valkey", "redis_server"])
def test_over_a_unix_socket(request: pytest.FixtureRequest, engine: str) -> None:
    """With a database in the URL's query."""
    server: PrivateServer = request.getfixturevalue(engine)

    asyncio.run(round_trip(f"{server.unix_url}?db=8"))


async def test_over_tls(tls_files: TlsFiles) -> None:
    """`rediss://`, with the authority's certificate in the query; without it the server is not trusted."""
    async with await PrivateServer.start("redis", tls=tls_files) as running:
        await round_trip(f"{running.url}/1?ssl_ca_certs={tls_files.authority}")
        with pytest.raises(ServerError, match=r"(?i)certificate"):
            await round_trip(running.url)


async def test_as_a_user_with_few_rights(server_url: str, raw: redis.asyncio.Redis) -> None:
    """Without the dangerous commands but INFO, and with the run's own keys only."""
    rules = ["on", ">s3cret", "~{ombdriver-*", "~ombdriver:*", "+@all", "-@dangerous", "+info"]
    await raw.execute_command("ACL", "SETUSER", "bench", *rules)  # type: ignore[no-untyped-call]
    try:
        await round_trip(server_url.replace("redis://", "redis://bench:s3cret@"))
    finally:
        await raw.execute_command("ACL", "DELUSER", "bench")  # type: ignore[no-untyped-call]


async def test_a_refused_login_names_the_way_out_and_no_password(server_url: str) -> None:
    """The URL in the message has no password in it."""
    with pytest.raises(ServerError, match="check user and password in the URL") as raised:
        await open_driver({"url": server_url.replace("redis://", "redis://nobody:s3cret@"), "run_id": RUN_ID})

    assert "s3cret" not in str(raised.value)


async def test_a_user_who_may_not_do_what_the_run_needs_is_told(server_url: str, raw: redis.asyncio.Redis) -> None:
    """The server's own words name the command."""
    await raw.execute_command("ACL", "SETUSER", "bench", "on", ">s3cret", "~*", "+info", "+exists")  # type: ignore[no-untyped-call]
    driver = await open_driver({"url": server_url.replace("redis://", "redis://bench:s3cret@"), "run_id": RUN_ID})
    try:
        with pytest.raises(ServerError, match="let that user do it"):
            await driver.create_topics([ONE], ["g"])
    finally:
        await driver.aclose()
        await raw.execute_command("ACL", "DELUSER", "bench")  # type: ignore[no-untyped-call]


async def test_a_server_that_is_not_there_is_told(unused_tcp_port: int) -> None:
    """At once, without waiting for one to come up."""
    with pytest.raises(ServerError, match="is the server up, and the URL right"):
        await open_driver({"url": f"redis://127.0.0.1:{unused_tcp_port}", "run_id": RUN_ID})


@pytest.mark.parametrize("version", ["4.0.0", "v7.2-managed", "255.255.255", "?"])
def test_a_server_without_streams_is_refused_by_what_it_can_and_not_by_its_version(version: str) -> None:
    """Kvrocks calls itself 4.0.0 and has them; whoever does not say is tried."""
    check_streams("redis://h", {"version": version, "hasStreams": True})
    check_streams("redis://h", {"version": version})
    with pytest.raises(ServerError, match="it has no streams"):
        check_streams("redis://h", {"version": version, "hasStreams": False})


class OtherServer:
    """A channel to a server that writes INFO as it likes."""

    def __init__(self, info: str) -> None:
        self._info = info.encode("latin-1")

    async def execute(self, *words: str) -> object:
        """INFO as given; no other command is known."""
        if words[0] == "INFO":
            return self._info
        raise ResponseError("unknown command")


@pytest.mark.parametrize(
    "info",
    [
        "",
        "maxmemory:unlimited\r\nused_memory:\r\nmaxclients:-1\r\n",
        "redis_version:v7.2-managed\r\nconnected_slaves:none\r\narch_bits:sixty-four\r\n",
        "os:caf\xe9 \xff\r\nmaxmemory:\xb2\r\n",
        "# Server\r\nversion:4.0.0\r\nkvrocks_version:2.7.0\r\ntotal_system_memory:1.5e9\r\n",
    ],
)
async def test_info_as_other_servers_have_it_is_read(info: str) -> None:
    """What is missing, or is no number, counts as not known; nothing is guessed from it."""
    router = cast(Router, SimpleNamespace(controls=lambda: [OtherServer(info)]))
    found = await facts(Control(router, Counter()))

    assert (found["maxMemoryBytes"], found["usedMemoryBytes"], found["maxClients"]) == (None, None, None)
    assert found["replicas"] is None
    assert (found["hasStreams"], found["hasMinid"]) == (True, True)


async def test_what_a_server_can_is_tried(server_url: str) -> None:
    """Both have streams and MINID, and nothing is left of the trial."""
    driver = await open_driver({"url": server_url, "run_id": RUN_ID})
    found = await driver.describe()
    await driver.aclose()

    assert (found["hasStreams"], found["hasMinid"]) == (True, True)
    with redis.Redis.from_url(server_url) as client:
        assert client.keys() == []


@pytest.mark.parametrize(
    "options",
    [{}, {"url": "redis://h"}, {"url": "redis://h", "run_id": 5}, {"url": "redis://h", "run_id": "r", "x": 1}],
)
async def test_options_that_can_not_be_are_refused(options: dict[str, object]) -> None:
    """Missing, of the wrong type, or unknown."""
    with pytest.raises(InputError, match="redis-streams"):
        await open_driver(options)


# -- third parties ---------------------------------------------------------------------------------------------------


async def test_a_third_partys_driver_is_found_by_its_entry_point(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An installed package that names a factory under `ombdriver.drivers` is all it takes."""
    (tmp_path / "third_party_driver.py").write_text(THIRD_PARTY)
    information = tmp_path / "third_party-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: third-party\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text("[ombdriver.drivers]\nthird = third_party_driver:open_driver\n")
    monkeypatch.syspath_prepend(tmp_path)

    factory = load_driver("third")

    assert await factory({"a": 1}) == ("a driver", {"a": 1})  # type: ignore[comparison-overlap]
    with pytest.raises(InputError, match="no driver 'fourth'; installed are: memory, redis-py, redis-streams, third"):
        load_driver("fourth")
