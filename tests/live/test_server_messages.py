"""What is said where no run can begin, or one ends, because of the server: its own words, where, and the way out.

Small fakes stand for what no server here can be made to do: protected mode, a port of HTTP, addresses that can't be
reached. The rest are real servers.
"""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import redis
import redis.asyncio
import trustme
from hiredis import Reader
from seam import ONE, ONE_KEY, RUN_ID, Replies

from ombdriver.bench.drivers.api import DriverConsumer
from ombdriver.bench.drivers.redis_streams.driver import open_driver
from ombdriver.bench.run.cleanup import clean
from ombdriver.bench.servers.certificates import make_certificates
from ombdriver.bench.servers.managed import ManagedServers
from ombdriver.bench.servers.topology import ServerPlan
from ombdriver.errors import DriverError, RunError, ServerError
from ombdriver.messaging.client import MQClient
from ombdriver.messaging.errors import RedisError
from ombdriver.messaging.transport.topology import slot_of

DENIED = b"-DENIED Redis is running in protected mode because protected mode is enabled. In this mode ...\r\n"
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], None]


@asynccontextmanager
async def listening(
    greeting: bytes = b"",
    answers: Mapping[bytes, bytes] | None = None,
    *,
    closes: bool = False,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[int]:
    """The port of a server that greets, and answers commands as it is told.

    Args:
        greeting: sent to each connection.
        answers: by the first words of a command; `*` to whatever is sent, before the connection is closed. What is not
            among them gets no answer.
        closes: close after the greeting.
        tls: speak TLS.
    """
    writers: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        writer.write(greeting)
        parser = Reader()
        while not closes and (data := await reader.read(1 << 16)):
            if answers and b"*" in answers:
                writer.write(answers[b"*"])
                break
            parser.feed(data)
            while (command := parser.gets()) is not False:
                words = [word.upper() for word in command]
                key = next((b" ".join(words[:n]) for n in (2, 1) if b" ".join(words[:n]) in (answers or {})), None)
                writer.write(b"" if key is None else (answers or {})[key])
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for writer in writers:
            writer.close()


async def said(url: str, **options: object) -> str:
    """What opening a driver there says."""
    with pytest.raises(ServerError) as raised:
        await open_driver({"url": url, "run_id": RUN_ID, **options})
    return str(raised.value)


# -- a port that is no Redis server's, or refuses ----------------------------------------------------------------------

HTTP = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"


@pytest.mark.parametrize(
    ("greeting", "answer", "closes", "words", "advice"),
    [
        (b"", HTTP, False, "it speaks HTTP (HTTP/1.1 400 Bad Request)", "correct server.url in s.yaml:3"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", b"", True, "it speaks another protocol (SSH-2.0-OpenSSH_9.2)", "a Redis server"),
        (b"", b"", True, "it closes every connection", "give the port of a Redis server"),
        (DENIED, b"", True, "DENIED Redis is running in protected mode", "name it by passwordEnv or passwordFile"),
        (b"-ERR max number of clients reached\r\n", b"", True, "max number of clients reached", "raise maxclients"),
    ],
    ids=["http", "ssh", "closes", "protected mode", "maxclients"],
)
async def test_what_is_at_the_port_is_told(
    greeting: bytes, answer: bytes, closes: bool, words: str, advice: str
) -> None:
    """In its own words, with the address, and the way out; not as if the server were down."""
    async with listening(greeting, {b"*": answer} if answer else None, closes=closes) as port:
        message = await said(f"redis://127.0.0.1:{port}", address_from="server.url in s.yaml:3", login_from="")

    assert message.startswith(f"redis://127.0.0.1:{port}: ")
    assert words in message
    assert advice in message
    assert "the URL" not in message


async def test_a_silent_port_is_told() -> None:
    """Connections are taken, and nothing is ever said."""
    async with listening() as port:
        message = await said(f"redis://127.0.0.1:{port}?socket_connect_timeout=0.3")

    assert "it takes connections and says nothing" in message
    assert "is the server up, and the URL right?" in message


async def test_protected_mode_keeps_the_servers_words_in_the_library() -> None:
    """redis-py passes over them; whoever catches the error gets them all the same."""
    async with listening(DENIED, closes=True) as port, MQClient(redis_url=f"redis://127.0.0.1:{port}") as client:
        with pytest.raises(RedisError, match="protected mode"):
            await client.get_stream_length("s")


# -- TLS ---------------------------------------------------------------------------------------------------------------


def context_of(cert: "trustme.LeafCert | trustme.CA", folder: Path) -> ssl.SSLContext:
    """A server's context with this certificate."""
    key, chain = folder / "key.pem", folder / "chain.pem"
    if isinstance(cert, trustme.CA):
        cert.private_key_pem.write_to_path(key)
        cert.cert_pem.write_to_path(chain)
    else:
        cert.private_key_pem.write_to_path(key)
        chain.write_bytes(b"".join(blob.bytes() for blob in cert.cert_chain_pems))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, key)
    return context


async def test_a_port_of_tls_and_one_without_are_told_apart(tmp_path: Path, server_url: str) -> None:
    """Each by trying, whatever its error was."""
    files = make_certificates(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, files.key)
    async with listening(tls=context) as port:
        assert "it speaks TLS; write rediss:// in the URL" in await said(f"redis://127.0.0.1:{port}")

    plain = server_url.replace("redis://", "rediss://") + "?socket_connect_timeout=1"
    assert "it answers without TLS (+PONG); write redis:// in the URL" in await said(plain)


async def test_a_certificate_that_is_refused_is_told_for_what_it_is(tmp_path: Path) -> None:
    """Other names, with those that are in it; expired; signed by itself; by another authority."""
    authority, other = trustme.CA(), trustme.CA()
    trusted = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(trusted)
    past = datetime.now(UTC).replace(tzinfo=None) - timedelta(days=1)
    cases = [
        (authority.issue_cert("redis.example", "db.example"), "", "certificate is for redis.example, db.example"),
        (authority.issue_cert("redis.example"), "", "tls: {checkHostname: false} beside server.url in s.yaml:3"),
        (authority.issue_cert("127.0.0.1", not_after=past), "", "certificate has expired"),
        (other.issue_cert("127.0.0.1"), "", "name the authority that signed the certificate: tls: {caFile: FILE}"),
        (other, "", "it is signed by itself, so name the certificate as its authority"),
    ]
    for number, (certificate, _, expected) in enumerate(cases):
        folder = tmp_path / str(number)
        folder.mkdir()
        async with listening(tls=context_of(certificate, folder)) as port:
            url = f"rediss://127.0.0.1:{port}?ssl_ca_certs={trusted}"
            message = await said(url, address_from="server.url in s.yaml:3")

        assert expected in message, message
        assert "the URL" not in message


# -- addresses that servers tell ---------------------------------------------------------------------------------------

OK, PONG = b"+OK\r\n", b"+PONG\r\n"


def slots(host: str, port: int) -> bytes:
    """A reply of CLUSTER SLOTS with one server."""
    return b"*1\r\n*3\r\n:0\r\n:16383\r\n*2\r\n$%d\r\n%b\r\n:%d\r\n" % (len(host), host.encode(), port)


async def test_an_address_that_a_cluster_tells_and_that_can_not_be_reached_is_named(unused_tcp_port: int) -> None:
    """With the server that told it, and how a cluster is made to tell another one."""
    known = {b"CLIENT": OK, b"PING": PONG, b"CLUSTER SLOTS": slots("127.0.0.2", unused_tcp_port)}
    async with listening(answers=known) as port:
        message = await said(f"redis+cluster://127.0.0.1:{port}")

    assert f"127.0.0.2:{unused_tcp_port}, a server of the cluster, as 127.0.0.1:{port} tells" in message
    assert "set cluster-announce-ip" in message


async def test_an_address_that_sentinels_tell_and_that_can_not_be_reached_is_named(unused_tcp_port: int) -> None:
    """Likewise."""
    state = {"name": "m", "ip": "127.0.0.2", "port": str(unused_tcp_port), "flags": "master"}
    pairs = [word for pair in (state | {"num-other-sentinels": "2"}).items() for word in pair]
    row = b"".join(b"$%d\r\n%b\r\n" % (len(each), each.encode()) for each in pairs)
    known = {b"CLIENT": OK, b"PING": PONG, b"SENTINEL MASTERS": b"*1\r\n*%d\r\n%b" % (len(pairs), row)}
    async with listening(answers=known) as port:
        message = await said(f"redis+sentinel://127.0.0.1:{port}/m")

    assert f"the master 127.0.0.2:{unused_tcp_port}, as the Sentinels tell" in message
    assert "replica-announce-ip" in message


@pytest.mark.parametrize("host", ["", "?"])
async def test_moved_without_a_host_is_followed_to_the_host_that_said_so(host: str) -> None:
    """`cluster-preferred-endpoint-type unknown-endpoint`: another port of the same host."""
    there = {b"CLIENT": OK, b"PING": PONG, b"XLEN": b":7\r\n"}
    async with listening(answers=there) as new:
        here = {**there, b"XLEN": b"-MOVED %d %b:%d\r\n" % (slot_of(b"s"), host.encode(), new)}
        async with listening(answers=here) as old:
            here[b"CLUSTER SLOTS"], there[b"CLUSTER SLOTS"] = slots("", old), slots("", new)
            async with MQClient(redis_url=f"redis+cluster://127.0.0.1:{old}") as client:
                assert await client.get_stream_length("s") == 7


# -- what becomes of a group -------------------------------------------------------------------------------------------


async def received_for_ever(consumer: DriverConsumer) -> None:
    """Reads on and on."""
    while True:
        await consumer.receive()


async def lost_group(url: str, lose: Callable[[redis.asyncio.Redis], "asyncio.Future[object]"]) -> str:
    """What a consumer says that has read something, when its group is gone."""
    driver = await open_driver({"url": url, "run_id": RUN_ID, "block_ms": 50})
    try:
        await driver.create_topics([ONE], ["g"])
        replies = Replies()
        producer = await driver.create_producer(ONE, replies)
        consumer = await driver.create_consumer([ONE], "g", "c")
        producer.send(0, [b"x"] * 3, None)
        await replies.until(3)
        while await consumer.receive() is None:
            pass
        async with redis.asyncio.Redis.from_url(url) as client:
            await lose(client)
        with pytest.raises(DriverError) as raised:
            await received_for_ever(consumer)
        await consumer.aclose()
        return str(raised.value)
    finally:
        await driver.delete_created()
        await driver.aclose()


async def test_a_group_that_was_destroyed_is_not_told_as_a_deleted_stream(server_url: str) -> None:
    """The stream is still there, with what was read."""
    message = await lost_group(server_url, lambda client: client.xgroup_destroy(ONE_KEY, "g"))

    assert f"the group was destroyed while the stream {ONE_KEY} is there (XGROUP DESTROY)" in message


async def test_a_stream_that_was_deleted_is_told(server_url: str) -> None:
    """And that sending has made it anew, if it has."""

    async def delete(client: redis.asyncio.Redis) -> None:
        await client.set("other", 1)
        await client.delete(ONE_KEY)
        await client.xadd(ONE_KEY, {"p": "x"})

    message = await lost_group(server_url, delete)
    with redis.Redis.from_url(server_url) as client:
        client.delete("other")

    assert f"the stream {ONE_KEY} was deleted, and sending has made it anew" in message


async def test_a_key_that_holds_something_else_is_told(server_url: str) -> None:
    """Another program has written there."""
    message = await lost_group(server_url, lambda client: client.set(ONE_KEY, "x"))

    assert "another program has put something else there" in message or f"{ONE_KEY} holds a string now" in message


async def test_a_stream_that_was_evicted_is_not_told_as_deleted(server_url: str) -> None:
    """With the policy that made it so."""

    async def evict(client: redis.asyncio.Redis) -> None:
        await client.config_set("maxmemory-policy", "allkeys-random")
        await client.config_set("maxmemory", 1)
        while await client.exists(ONE_KEY):
            with contextlib.suppress(redis.ResponseError):  # it is full
                await client.set("other", 1)
        await client.config_set("maxmemory", 0)

    try:
        message = await lost_group(server_url, evict)
    finally:
        with redis.Redis.from_url(server_url) as client:
            client.config_set("maxmemory-policy", "noeviction")
            client.config_set("maxmemory", 0)
            client.delete("other")

    assert f"the stream {ONE_KEY} was evicted" in message
    assert "(maxmemory-policy allkeys-random); set maxmemory-policy noeviction" in message


async def test_a_server_that_was_emptied_is_told(server_url: str) -> None:
    """Nothing is left in any database."""
    message = await lost_group(server_url, lambda client: client.flushall())

    assert "the server was emptied (FLUSHALL or FLUSHDB)" in message


# -- a login or a database that is refused, and servers of another kind ------------------------------------------------


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("://", "://:secret@"), "give it none: see user and password in the URL"),
        (("://", "://bob:secret@"), "check user and password in the URL"),
        (("", ""), "DB index is out of range; write a database that the server has"),
    ],
    ids=["password for none", "unknown user", "database"],
)
async def test_a_refused_login_or_database_is_told_before_anything_is_made(
    change: tuple[str, str], told: str, server_url: str
) -> None:
    """By the first connection: a server that refuses them is none that only tells nothing of itself."""
    url = server_url.replace(*change) if change[0] else f"{server_url}/999"

    assert told in await said(url)


async def test_a_sentinel_is_told_as_one() -> None:
    """It has no streams either, but that is not why."""
    async with await ManagedServers.start(ServerPlan(topology="sentinel")) as servers:
        sentinel = next(node for node in servers.nodes if node not in servers.data_nodes)

        message = await said(f"redis://127.0.0.1:{sentinel.port}")

    assert "is a Sentinel; write redis+sentinel://HOST:PORT/MASTER" in message


async def test_clean_asks_all_of_a_cluster_or_none() -> None:
    """One of its servers knows its own keys alone, so that nothing would be found for the wrong reason."""
    async with await ManagedServers.start(ServerPlan(topology="cluster")) as servers:
        with pytest.raises(RunError, match=r"is part of a cluster; write redis\+cluster://HOST:PORT"):
            await clean(f"redis://127.0.0.1:{servers.data_nodes[0].port}", None, dry_run=True)
        assert await clean(servers.url, None, dry_run=True) == [f"{servers.url}: no run has left anything"]
