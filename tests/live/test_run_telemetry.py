"""What a run tells of its server and its processes, on real servers."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import redis
import redis.asyncio
from processes import WORKLOAD, Place, sound
from seam import ONE, ONE_KEY, RUN_ID, THREE, Replies, receive

from ombdriver.bench.drivers.redis_streams.driver import RedisStreamsDriver, open_driver
from ombdriver.bench.drivers.sample import GroupSample, ServerSample, StreamSample
from ombdriver.bench.results.result import Result
from ombdriver.bench.servers.private_server import PrivateServer
from ombdriver.errors import ServerError

FINE = WORKLOAD + "sampleInterval: 100ms\n"
"""Progress is told ten times a second, so that a test can step in while a run measures."""


def telemetry_of(place: Place) -> Any:
    """Of the newest result."""
    return place.results()[-1]["telemetry"]


# -- whole runs ------------------------------------------------------------------------------------------------------


def test_a_run_tells_what_the_server_did(place: Place, server_url: str) -> None:
    """Memory, CPU, commands, streams and groups; and a save that somebody asked for meanwhile, as fork and as file."""
    place.write(FINE)
    with place.start("run", "w.yaml", "--url", server_url, "--plain") as run:
        run.until("measure")
        with redis.Redis.from_url(server_url) as client:
            client.bgsave()
        code, stdout, said = run.end()
    assert sound(code), said

    told = telemetry_of(place)
    server, summary = told["server"], told["summary"]
    series = [name for name, value in server.items() if isinstance(value, list) and name not in ("events", "unseen")]
    assert {len(server[name]) for name in series} == {told["cost"]["looks"]}
    assert told["cost"]["looks"] >= 3
    assert server["t"][0] < 0 < server["t"][-1]
    assert min(server["usedMemoryBytes"] + server["memoryRssBytes"] + server["clients"]) > 0
    assert server["streams"]["length"][-1] == 501  # with the probe
    assert server["streams"]["groups"].keys() == {"group-1", "group-2"}
    for group in server["streams"]["groups"].values():
        assert (group["lag"][-1], group["pending"][-1]) == (0, 0)
    assert 400 <= server["commands"]["byName"]["xadd"]["calls"] <= 500
    assert server["commandLatencyMicros"]["xadd"].keys() == {"p50", "p99", "p99.9"}
    assert server["unseen"] == []
    kinds = [event["kind"] for event in server["events"]]
    assert kinds.count("fork") == 1
    assert "saveEnded" in kinds
    assert (summary["forks"], summary["evictedKeys"]) == (1, 0)
    assert 0 < summary["serverCpu"]["mean"] < 2
    assert summary["longestForkMs"] > 0
    assert told["processes"]["server"] is None  # it is the user's, and may run elsewhere
    assert "Server and processes of the measured window" in stdout
    assert "0 evictions; 1 fork of " in stdout


def test_a_run_on_a_server_of_its_own_tells_of_all_processes(place: Place) -> None:
    """The server's, each worker's and the parent's; and what the workers counted themselves."""
    finished = place.run("run", "w.yaml", "--quiet")
    assert sound(finished.returncode), finished.stderr

    told, environment = telemetry_of(place), place.results()[-1]["environment"]
    processes = told["processes"]
    count = len(processes["t"])
    every = [processes["server"], processes["parent"], *processes["workers"]]
    assert [each["role"] for each in processes["workers"]] == ["produce", "consume"]
    assert all(len(series) == count for each in every for series in (each["cpu"], each["rssBytes"]))
    assert all(min(each["rssBytes"]) > 2**20 for each in every)
    assert 0 < told["summary"]["serverProcessCpu"]["mean"] < 2
    assert 0 < told["summary"]["busiestWorkerCpu"]["mean"] < 2
    if Path("/proc/self/schedstat").is_file():
        assert told["summary"]["serverProcessWaiting"]["mean"] >= 0
        assert told["summary"]["steal"]["mean"] >= 0
    assert 0 < told["cost"]["parentCpu"]["mean"] < 1
    for worker in environment["workers"]:
        assert worker["runDelayMs"] >= 0
        assert worker["loopStalls"] >= 0
        assert (worker["longestStallMs"] > 0) == (worker["loopStalls"] > 0)
        assert worker["throttledMs"] is None or worker["throttledMs"] >= 0
    path = next((place.folder / "results").iterdir())
    assert Result.loads(path.read_text(), path.name).telemetry == told


def test_a_run_without_a_server_tells_of_processes_alone(place: Place) -> None:
    """With the memory driver."""
    finished = place.run("run", "w.yaml", "--setup", "memory", "--quiet")
    assert sound(finished.returncode), finished.stderr

    told = telemetry_of(place)
    assert told["server"] is None
    assert told["processes"]["server"] is None
    assert [each["role"] for each in told["processes"]["workers"]] == ["both"]
    assert "busiest worker" in finished.stdout


def test_a_server_that_stalls_is_seen_to_do_so(place: Place, valkey: PrivateServer, valkey_url: str) -> None:
    """The run ends well, no looks pile up, and the late one is told as such; processes are seen meanwhile."""
    place.write(FINE)
    with place.start("run", "w.yaml", "--url", valkey_url, "--plain") as run:
        run.until("measure")
        with redis.Redis(port=valkey.port) as client:
            client.client_pause(2500)
        code, _, said = run.end()
    assert sound(code), said

    told = telemetry_of(place)
    assert (told["cost"]["late"], told["cost"]["failed"], told["cost"]["unanswered"]) == (1, 0, 0)
    assert told["cost"]["missed"] >= 1
    assert told["cost"]["longestMs"] > 1000
    (late,) = [event for event in told["server"]["events"] if event["kind"] == "lookLate"]
    assert 0.9 < late["t"] < 2.5
    assert len(told["processes"]["t"]) > told["cost"]["looks"]


def test_a_user_who_may_not_look_at_streams_runs_all_the_same(place: Place, redis_server: PrivateServer) -> None:
    """What could not be seen is said, without the password."""
    with redis.Redis(port=redis_server.port) as client:
        client.flushall()
        rules = ["on", ">s3cret", "~{ombdriver-*", "~ombdriver:*", "+@all", "-@dangerous", "+info", "-xinfo", "-xlen"]
        client.execute_command("ACL", "SETUSER", "bench", *rules)
        try:
            finished = place.run("run", "w.yaml", "--url", f"redis://bench:s3cret@127.0.0.1:{redis_server.port}/2")
        finally:
            client.execute_command("ACL", "DELUSER", "bench")
    assert sound(finished.returncode), finished.stderr

    server = telemetry_of(place)["server"]
    assert [text.split(":")[0] for text in server["unseen"]] == ["XLEN", "XINFO GROUPS"]
    assert server["streams"]["length"] is None
    assert server["streams"]["groups"] == {}
    assert server["usedMemoryBytes"][0] > 0
    assert "s3cret" not in str(server)


# -- one look --------------------------------------------------------------------------------------------------------


@pytest.fixture
async def opened(server_url: str) -> AsyncIterator[RedisStreamsDriver]:
    """A driver with two topics of one and three partitions, on each server."""
    driver = await open_driver({"url": server_url, "run_id": RUN_ID, "block_ms": 20})
    await driver.create_topics([ONE, THREE], ["g", "h"])
    yield driver
    await driver.delete_created()
    await driver.aclose()


@pytest.fixture
async def raw(server_url: str) -> AsyncIterator[redis.asyncio.Redis]:
    """The test's own eyes on each server."""
    async with redis.asyncio.Redis.from_url(server_url) as client:
        yield client


async def test_a_look_shows_length_lag_and_pending(opened: RedisStreamsDriver) -> None:
    """Of the partitions asked for, and no others."""
    replies = Replies()
    producer = await opened.create_producer(THREE, replies)
    producer.send(1, [b"1", b"2", b"3"], None)
    await replies.until(3)
    consumer = await opened.create_consumer([THREE], "g", "c")
    await receive(consumer, 3)

    look = await opened.observe([(THREE.name, 1), (THREE.name, 2)])

    assert look.streams == {
        (THREE.name, 1): StreamSample(3, {"g": GroupSample(0, 3), "h": GroupSample(3, 0)}),
        (THREE.name, 2): StreamSample(0, {"g": GroupSample(0, 0), "h": GroupSample(0, 0)}),
    }
    assert look.commands["xadd"].calls >= 3
    assert look.commands_sent == 5
    await consumer.aclose()


async def test_a_lag_that_the_server_lost_is_unknown(opened: RedisStreamsDriver, raw: redis.asyncio.Redis) -> None:
    """After XDEL in the midst of what a group has not read."""
    ids = [await raw.xadd(ONE_KEY, {"p": "1"}) for _ in range(3)]
    await raw.xdel(ONE_KEY, ids[1])

    look = await opened.observe([(ONE.name, 0)])

    assert look.streams[ONE.name, 0] == StreamSample(2, {"g": GroupSample(None, 0), "h": GroupSample(None, 0)})


async def test_a_stream_that_is_gone_is_no_error(opened: RedisStreamsDriver) -> None:
    """Somebody deleted it; the look says what it can."""
    look = await opened.observe([("ombdriver-nothing", 0)])

    assert look.streams == {("ombdriver-nothing", 0): StreamSample(0, None)}
    assert [text.split(":")[0] for text in look.unseen] == ["XINFO GROUPS"]


async def test_looks_have_a_connection_of_their_own(opened: RedisStreamsDriver, raw: redis.asyncio.Redis) -> None:
    """One, for all looks; it is made with the first one, and made anew after a loss."""
    before = len(await raw.client_list())
    for _ in range(3):
        await opened.observe([(ONE.name, 0)])
    assert len(await raw.client_list()) == before + 1

    await raw.client_kill_filter(_type="normal", skipme=True)
    look: ServerSample | None = None
    while look is None:
        with contextlib.suppress(ServerError):
            look = await opened.observe([(ONE.name, 0)])
        await asyncio.sleep(0)

    assert look.streams[ONE.name, 0].length == 0


async def test_a_user_who_may_not_use_info_is_told_so(redis_server: PrivateServer) -> None:
    """The right was taken away during the run: streams are seen on, the figures are missing."""
    async with redis.asyncio.Redis(port=redis_server.port) as client:
        await client.flushall()
        await client.execute_command("ACL", "SETUSER", "bench", "on", ">s3cret", "~*", "+@all")
        url = f"redis://bench:s3cret@127.0.0.1:{redis_server.port}"
        driver = await open_driver({"url": url, "run_id": RUN_ID})
        try:
            await driver.create_topics([ONE], ["g"])
            await client.execute_command("ACL", "SETUSER", "bench", "-info")

            look = await driver.observe([(ONE.name, 0)])

            assert look.figures == {}
            assert look.streams == {(ONE.name, 0): StreamSample(0, {"g": GroupSample(0, 0)})}
            assert [text.split(":")[0] for text in look.unseen] == ["INFO"]
            await driver.delete_created()
        finally:
            await driver.aclose()
            await client.execute_command("ACL", "DELUSER", "bench")
