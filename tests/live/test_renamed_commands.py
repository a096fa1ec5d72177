"""Servers on which a command was renamed away (`rename-command`), as hosting companies and cautious admins do it.

Debian's redis-server has that setting. What only tells of the server is done without; of what is needed, the command
is named, and nothing is left.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import redis.asyncio
from managed import present
from rig import SETUP, WORKLOAD

from ombdriver.bench.drivers.redis_streams import runs
from ombdriver.bench.report.live import QuietView
from ombdriver.bench.results.result import Result
from ombdriver.bench.run import runner
from ombdriver.bench.run.request import Request
from ombdriver.bench.run.signals import Interrupt
from ombdriver.bench.servers.private_server import PrivateServer
from ombdriver.bench.spec.setup import Setup
from ombdriver.bench.spec.workload import Workload
from ombdriver.errors import OmbdriverError
from ombdriver.messaging import Message, MQClient, Topic
from ombdriver.messaging.errors import RedisError

DONE_WITHOUT = ("INFO", "CONFIG", "CLIENT", "COMMAND", "XINFO", "XRANGE", "XPENDING", "XLEN", "SCAN", "TYPE", "EVAL")
"""Of a run whose messages all arrive."""
NEEDED = ("XADD", "XGROUP", "XREADGROUP", "EXISTS", "SET", "HSET", "UNLINK")


@asynccontextmanager
async def server_without(*commands: str) -> AsyncIterator[PrivateServer]:
    """A server that knows none of these."""
    config = {"rename-command": [f'{command} ""' for command in commands]}
    async with await PrivateServer.start(present("redis"), config) as server:
        yield server


async def run(folder: Path, url: str, streams: str = "{}") -> Result:
    """A short run there."""
    lines = [f"{name}: {value}" for name, value in (WORKLOAD | {"testDuration": "1s"}).items()]
    setup = Setup.parse(SETUP.replace("}}", f"}}, streams: {streams}}}"), "s").with_url(url)
    request = Request(Workload.parse("\n".join(lines), "w"), setup, folder, None, cores=2)
    with Interrupt() as stop:
        finished = await runner.run(request, QuietView(), stop)
    assert finished is not None
    return finished.result


async def keys_of(url: str) -> list[bytes]:
    """What is left there."""
    async with redis.asyncio.Redis.from_url(url) as client:
        found: list[bytes] = await client.keys()
        return found


@pytest.mark.parametrize("commands", [*((each,) for each in DONE_WITHOUT), DONE_WITHOUT], ids="-".join)
async def test_a_run_does_without_what_only_tells_of_the_server(commands: tuple[str, ...], tmp_path: Path) -> None:
    """All arrives and is accounted for, and no key is left."""
    async with server_without(*commands) as server:
        result = await run(tmp_path, server.url)

        assert [(each.received, each.lost, each.undelivered) for each in result.delivery] == [(2000, 0, 0)]
        assert result.totals.get("publishErrors", 0) == 0
        assert await keys_of(server.url) == []


@pytest.mark.parametrize("command", NEEDED)
async def test_a_command_that_a_run_needs_is_named_when_it_is_missing(command: str, tmp_path: Path) -> None:
    """Before anything is measured, in the server's words, with the way out; what was made until then is deleted."""
    async with server_without(command) as server:
        with pytest.raises(OmbdriverError) as raised:
            await run(tmp_path, server.url)

        assert command in str(raised.value).upper()
        assert "use another one" in str(raised.value)
        assert await keys_of(server.url) == [] or command == "UNLINK"


@pytest.mark.parametrize(
    "commands",
    [*((each,) for each in NEEDED), *((each, "UNLINK") for each in NEEDED[:-1]), (*DONE_WITHOUT, *NEEDED)],
    ids="-".join,
)
async def test_what_is_to_be_cleaned_is_told_where_something_was_made(
    commands: tuple[str, ...], tmp_path: Path
) -> None:
    """And nowhere else: a server that knows no command at all has nothing of a run, and `clean` could do nothing."""
    async with server_without(*commands) as server:
        with pytest.raises(OmbdriverError) as raised:
            await run(tmp_path, server.url)

        left = [key for key in await keys_of(server.url) if not key.startswith(runs.ALIVE.encode())]
        assert ("ombdriver clean" in str(raised.value)) == bool(left)


async def test_acknowledgements_that_are_no_command_of_the_server_are_counted(tmp_path: Path) -> None:
    """All is received; the result tells that nothing was acknowledged."""
    async with server_without("XACK") as server:
        result = await run(tmp_path, server.url)

        assert [(each.received, each.lost) for each in result.delivery] == [(2000, 0)]
        assert result.counters["failedAcknowledgements"] > 0
        assert await keys_of(server.url) == []


@pytest.mark.parametrize(
    ("streams", "command"),
    [
        ("{read: plain}", "XREAD"),
        ("{ack: delete}", "XDEL"),
        ("{waitReplicas: 1}", "WAIT"),
        ("{retention: acknowledged}", "EVAL"),
        ("{retention: acknowledged}", "XTRIM"),
    ],
)
async def test_what_a_setup_needs_besides_is_named_when_it_is_missing(
    streams: str, command: str, tmp_path: Path
) -> None:
    """By an error, or by a caveat of a result of which all was received."""
    async with server_without(command) as server:
        try:
            result = await run(tmp_path, server.url, streams)
        except OmbdriverError as error:
            told = str(error)
        else:
            told = " ".join(each.message for each in result.caveats)
            assert [each.received for each in result.delivery] == [2000]

        assert command in told.upper()
        assert await keys_of(server.url) == []


# -- the library -------------------------------------------------------------------------------------------------------

TELLING = ("INFO", "CONFIG", "CLIENT", "COMMAND", "SCAN", "TYPE", "DEBUG", "XLEN")
"""What the library needs for nothing that it promises to everybody."""
ALL = ("XADD", "XREADGROUP", "XACK", "XPENDING", "XCLAIM", "XAUTOCLAIM", "XINFO", "XGROUP", "XRANGE", "EVAL", "EVALSHA")
COUNT = 10


async def consumed(url: str) -> list[bytes]:
    """What a consumer has of ten messages, each of which it acknowledges."""
    found: list[bytes] = []
    async with MQClient(redis_url=url) as client:
        async with client.producer(Topic("orders", 2)) as producer:
            for number in range(COUNT):
                await producer.send_and_wait(b"%d" % number)
        async with client.consumer(Topic("orders", 2), "g", "c", block_ms=50) as consumer:
            while len(found) < COUNT:
                message = await consumer.getone()
                found.append(message.value)
                await message.ack()
            await consumer.flush()
    return found


async def handled(url: str) -> list[bytes]:
    """What a runner hands to its handler of ten messages."""
    found: list[bytes] = []
    async with MQClient(redis_url=url) as client:
        async with client.producer(Topic("orders", 2)) as producer:
            for number in range(COUNT):
                await producer.send_and_wait(b"%d" % number)
        runner = client.runner(Topic("orders", 2), "g", block_ms=50)

        @runner.handler
        async def handle(message: Message[bytes]) -> None:
            found.append(message.value)
            if len(found) == COUNT:
                runner.stop()

        await runner.run(signals=False)
    return found


@pytest.mark.parametrize("use", [consumed, handled])
async def test_the_library_does_without_what_only_tells_of_the_server(
    use: Callable[[str], Awaitable[list[bytes]]],
) -> None:
    """As with services that have neither CONFIG nor CLIENT: ten messages come, each once."""
    async with server_without(*TELLING) as server:
        assert sorted(await use(server.url)) == [b"%d" % number for number in range(COUNT)]


@pytest.mark.parametrize("command", ALL)
@pytest.mark.parametrize("use", [consumed, handled])
async def test_a_command_that_the_library_needs_is_named_when_it_is_missing(
    use: Callable[[str], Awaitable[list[bytes]]], command: str, caplog: pytest.LogCaptureFixture
) -> None:
    """All messages come, or whoever waits, or the log, tells which command it is; nobody waits without a word."""
    told = ""
    async with server_without(command) as server:
        try:
            async with asyncio.timeout(8):
                await use(server.url)
        except RedisError as error:
            told = str(error)
        except TimeoutError:
            told = " ".join(each.getMessage() for each in caplog.records)
        else:
            return

    assert command in told.upper()
