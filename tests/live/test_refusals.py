"""What a server refuses for a while: each command of the harness itself is sent again, wherever it is needed."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio
from rig import running
from seam import RUN_ID, THREE, Replies

from ombdriver.bench.drivers.redis_streams import control
from ombdriver.bench.drivers.redis_streams.driver import RedisStreamsDriver, open_driver
from ombdriver.bench.servers.private_server import PrivateServer
from ombdriver.errors import ServerError

Client = Any
TO_LOAD = 10_000
SLOW_TO_LOAD = {"appendonly": "yes", "appendfsync": "always", "key-load-delay": "100"}
"""So many microseconds for each entry; between a thousand of them the server tells that it is loading."""


class Refusal:
    """Has a server refuse, and take again."""

    def __init__(self, server: PrivateServer, client: Client) -> None:
        self.server, self.client = server, client
        self._script: asyncio.Task[object] | None = None
        self._start: asyncio.Task[bool] | None = None

    async def busy(self) -> None:
        """BUSY to all: a script does not end."""
        await self.client.config_set("lua-time-limit", 1)
        self._script = asyncio.create_task(self._run_script())
        await self._until("BUSY", "PING")

    async def _run_script(self) -> None:
        async with redis.asyncio.Redis.from_url(self.server.url) as other:
            with contextlib.suppress(redis.ResponseError):
                await other.eval("while true do end", 0)

    async def full(self) -> None:
        """OOM to what takes memory."""
        await self.client.config_set("maxmemory", 1)

    async def alone(self) -> None:
        """NOREPLICAS to writes."""
        await self.client.config_set("min-replicas-to-write", 1)

    async def unsaved(self) -> None:
        """MISCONF to writes: the last save has failed."""
        (self.server.socket.parent / "dump.rdb").mkdir(exist_ok=True)
        await self.client.config_set("save", "3600 1")
        with contextlib.suppress(redis.ResponseError):
            await self.client.bgsave()
        await self._until("MISCONF", "DEL", "never")

    async def a_replica(self) -> None:
        """READONLY to writes."""
        await self.client.execute_command("REPLICAOF", "127.0.0.1", "1")

    async def a_replica_without_primary(self) -> None:
        """MASTERDOWN to all: a replica may tell nothing old."""
        await self.client.config_set("replica-serve-stale-data", "no")
        await self.a_replica()

    async def loading(self) -> None:
        """LOADING to all: the server was started again, and takes its time over what it has on its disk."""
        await self.server.crash()
        self._start = asyncio.create_task(self.server.start_again())
        await self._until("LOADING", "GET", "never")

    async def over(self) -> None:
        """The server takes everything again."""
        if self._start is not None:
            await self._start
            self._start = None
        if self._script is not None:
            await self.client.script_kill()
            await self._script
            self._script = None
        await self.client.execute_command("REPLICAOF", "NO", "ONE")
        await self.client.config_set("maxmemory", 0)
        await self.client.config_set("min-replicas-to-write", 0)
        await self.client.config_set("save", "")

    async def _until(self, refused: str, *words: str) -> None:
        while True:
            try:
                await self.client.execute_command(*words)
            except redis.BusyLoadingError:
                if refused == "LOADING":
                    return
            except redis.ConnectionError:  # not started yet
                pass
            except redis.ResponseError as error:
                if str(error).startswith(refused):
                    return
            await asyncio.sleep(0.01)


@pytest.fixture
async def refusal() -> AsyncIterator[Refusal]:
    """Of a server of its own, which takes a second to load what it has on its disk."""
    async with (
        await PrivateServer.start("valkey", SLOW_TO_LOAD) as server,
        redis.asyncio.Redis.from_url(server.url) as client,
    ):
        async with redis.asyncio.Redis.from_url(f"{server.url}/9") as other, other.pipeline(transaction=False) as many:
            for number in range(TO_LOAD):
                many.set(str(number), "x")
            await many.execute()
        yield Refusal(server, client)


def told(caplog: pytest.LogCaptureFixture) -> int:
    """How many refusals were logged."""
    return sum("refuses what this run needs" in each.getMessage() for each in caplog.records)


@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    "kind", ["busy", "full", "alone", "unsaved", "a_replica", "a_replica_without_primary", "loading"]
)
async def test_every_command_of_the_harness_outlasts_a_refusal(
    kind: str, refusal: Refusal, caplog: pytest.LogCaptureFixture
) -> None:
    """At each place where a run needs one, and no key is left in the end."""
    options = {"url": refusal.server.url, "run_id": RUN_ID, "block_ms": 20}
    opened: list[RedisStreamsDriver] = []
    replies = Replies()

    async def open_it() -> None:
        opened.append(await open_driver(options))

    async def audit() -> None:
        inspector = opened[0].inspector()
        await inspector.held(THREE, 0, None, None, 10)
        await inspector.position(THREE, 0, "g")
        await inspector.pending(THREE, 0, "g", [(1, 1)])

    places: dict[str, Callable[[], Awaitable[object]]] = {
        "connect": open_it,
        "describe": lambda: opened[0].describe(),
        "create topics": lambda: opened[0].create_topics([THREE], ["g"]),
        "create producer": lambda: opened[0].create_producer(THREE, replies),
        "create consumer": lambda: opened[0].create_consumer([THREE], "g", "c"),
        "backlog": lambda: opened[0].backlog([THREE], "g"),
        "audit": audit,
        "orphaned runs": lambda: opened[0].orphaned_runs(),
        "delete": lambda: opened[0].delete_created(),
    }
    refused = []
    caplog.set_level(logging.INFO, logger=control.__name__)
    for name, place in places.items():
        before = told(caplog)
        await getattr(refusal, kind)()
        task = asyncio.ensure_future(place())
        while not task.done() and told(caplog) == before:  # noqa: ASYNC110 - a log has no event
            await asyncio.sleep(0.01)
        refused += [name] if told(caplog) > before else []
        await refusal.over()
        await task

    assert "create topics" in refused
    if kind == "busy":  # what only connects is not refused
        assert refused == [name for name in places if name not in ("create producer", "create consumer")]
    assert opened[0].statistics()["refusedMs"] > 0
    await opened[0].aclose()
    assert await refusal.client.keys() == []


async def test_a_refusal_that_lasts_is_told_in_the_servers_words(
    refusal: Refusal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the bound, and not as a missing reply."""
    monkeypatch.setattr("ombdriver.bench.drivers.redis_streams.control.REFUSED_S", 0.5)
    monkeypatch.setattr("ombdriver.bench.drivers.redis_streams.control.REPLY_TIMEOUT_S", 0.2)
    driver = await open_driver({"url": refusal.server.url, "run_id": RUN_ID})
    await refusal.alone()

    with pytest.raises(ServerError, match="Not enough good replicas"):
        await driver.create_topics([THREE], ["g"])

    await refusal.over()
    await driver.aclose()


async def test_a_run_that_ends_while_its_record_is_refused_has_nothing_to_delete(
    refusal: Refusal, caplog: pytest.LogCaptureFixture
) -> None:
    """It does not wait for a server that goes on to refuse, and claims to have left nothing."""
    driver = await open_driver({"url": refusal.server.url, "run_id": RUN_ID})
    await refusal.alone()
    creating = asyncio.create_task(driver.create_topics([THREE], ["g"]))
    while not told(caplog):  # noqa: ASYNC110 - a log has no event
        await asyncio.sleep(0.01)
    creating.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await creating

    assert await driver.delete_created() == 0
    await refusal.over()
    assert await refusal.client.keys() == []
    await driver.aclose()


async def test_refusals_one_after_the_other_are_told_once(refusal: Refusal, caplog: pytest.LogCaptureFixture) -> None:
    """At once, in the server's words; whatever command meets them next goes to the log of those who ask for more."""
    caplog.set_level(logging.INFO, logger=control.__name__)
    await refusal.alone()
    driver = await open_driver({"url": refusal.server.url, "run_id": RUN_ID})  # what is only tried waits no longer
    before = told(caplog)
    creating = asyncio.create_task(driver.create_topics([THREE], ["g"]))
    while told(caplog) == before:  # noqa: ASYNC110 - a log has no event
        await asyncio.sleep(0.01)
    await refusal.over()
    await creating

    (warning,) = [each.getMessage() for each in caplog.records if each.levelno == logging.WARNING]
    assert "(NOREPLICAS Not enough good replicas to write); trying for up to 30 s" in warning
    assert before > 0
    await driver.delete_created()
    await driver.aclose()


@pytest.mark.timeout(240)
async def test_a_run_outlasts_a_server_that_is_busy_when_it_begins_and_when_it_ends(
    refusal: Refusal, tmp_path: Path
) -> None:
    """Both are told, nothing is lost, and nothing is left."""
    await refusal.busy()
    async with running(tmp_path, refusal.server.url, producerRate=200) as rig:
        await asyncio.sleep(1)  # the refusal lasts
        await refusal.over()
        await rig.measuring(400)
        await refusal.busy()
        await asyncio.sleep(1)
        await refusal.over()
        result = await rig.result()
        (delivery,) = await rig.deliveries()

    assert "refused" in {caveat.kind for caveat in result.caveats}
    assert (delivery.lost, delivery.undelivered, delivery.trimmed) == (0, 0, 0)
    assert await refusal.client.keys() == []
