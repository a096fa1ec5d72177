"""Whole runs on the setups that start servers: every topology, and failovers in the middle of a measurement."""

import asyncio
import os
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import pytest
from managed import present
from rig import WORKLOAD

from ombdriver.bench.report.live import QuietView
from ombdriver.bench.report.progress import Progress
from ombdriver.bench.results.result import Result
from ombdriver.bench.run import run_servers, runner
from ombdriver.bench.run.events import Finished
from ombdriver.bench.run.request import Request
from ombdriver.bench.run.signals import Interrupt
from ombdriver.bench.servers.managed import ManagedServers
from ombdriver.bench.servers.private_server import find_binary
from ombdriver.bench.servers.topology import MASTER_NAME, ServerPlan
from ombdriver.bench.spec.setup import Setup
from ombdriver.bench.spec.workload import Workload
from ombdriver.errors import RunError

SPREAD = {"partitionsPerTopic": 12, "consumerPerSubscription": 2, "producersPerTopic": 2}
LONG = {"testDuration": "6s", "producerRate": 1000, "drainTimeout": "20s"}
ENGINES = ("valkey", "redis")


@pytest.fixture(autouse=True)
def _tidy(tmp_path: Path, tidy: Path) -> None:
    """No directory and no process is left, whatever a run went through; `tmp_path` is made before, elsewhere."""


class WatchedView(QuietView):
    """Tells a test when the measurement has begun."""

    def __init__(self) -> None:
        self.measuring = asyncio.Event()

    def _show(self, progress: Progress) -> None:
        if progress.phase == "measure":
            self.measuring.set()


@dataclass
class ManagedRun:
    """A run under way.

    Attributes:
        finished: the run.
        view: what it shows.
        servers: those that it has started so far.
    """

    finished: "asyncio.Task[Finished | None]"
    view: WatchedView
    servers: list[ManagedServers] = field(default_factory=list)

    async def measuring(self) -> ManagedServers:
        """The servers, as soon as something was measured."""
        begun = asyncio.ensure_future(self.view.measuring.wait())
        await asyncio.wait([begun, self.finished], return_when=asyncio.FIRST_COMPLETED)
        if not begun.done():
            self.finished.result()
        return self.servers[0]

    async def result(self) -> Result:
        """What it found."""
        finished = await self.finished
        assert finished is not None
        return finished.result


@asynccontextmanager
async def running(
    folder: Path, setup: Setup, monkeypatch: pytest.MonkeyPatch, **workload: object
) -> AsyncIterator[ManagedRun]:
    """Starts a run of a small workload."""
    started: list[ManagedServers] = []

    async def start(plan: ServerPlan, **words: object) -> ManagedServers:
        started.append(await ManagedServers.start(plan, **words))  # type: ignore[arg-type]
        return started[-1]

    monkeypatch.setattr(run_servers, "ManagedServers", SimpleNamespace(start=start))
    lines = [f"{name}: {value}" for name, value in (WORKLOAD | workload).items()]
    request = Request(Workload.parse("\n".join(lines), "w"), setup, folder, None, cores=2)
    view = WatchedView()
    with Interrupt() as stop:
        task = asyncio.create_task(runner.run(request, view, stop))
        try:
            yield ManagedRun(task, view, started)
        finally:
            if not task.done():
                task.cancel()
                await asyncio.wait([task])


def setup_of(server: str, streams: str = "{}") -> Setup:
    """A setup with these parts."""
    return Setup.parse(f"name: s\ndriver: redis-streams\nserver: {server}\nstreams: {streams}\n", "s.yaml")


def version_of(engine: str) -> tuple[int, ...]:
    """Of the server program."""
    said = subprocess.run([find_binary(engine), "--version"], capture_output=True, text=True, check=True).stdout
    return tuple(map(int, said.partition("v=")[2].split()[0].split(".")))


def all_arrived(result: Result, messages: int) -> bool:
    """Whether every subscription has received every message, once."""
    return all(
        (each.acknowledged, each.received, each.lost, each.duplicated) == (messages, messages, 0, 0)
        for each in result.delivery
    )


@pytest.mark.parametrize(
    ("server", "streams"),
    [
        ("{engine: valkey, topology: replicated, replicas: 2}", "{waitReplicas: 2}"),
        ("{engine: valkey, config: {appendonly: yes}}", "{waitAof: primary}"),
        (
            "{engine: valkey, topology: replicated, config: {appendonly: yes, appendfsync: always}}",
            "{waitReplicas: 1, waitAof: all}",
        ),
        ("{engine: redis, topology: sentinel}", "{}"),
        ("{engine: valkey, topology: cluster}", "{placement: balanced}"),
        ("{engine: redis, topology: cluster, replicas: 1}", "{ack: each, assignment: exclusive}"),
        ("{engine: valkey, topology: cluster}", "{read: plain}"),
        ("{engine: redis, tls: true}", "{ack: delete}"),
        ("{engine: redis, topology: cluster, tls: true}", "{waitReplicas: 0}"),
        ("{engine: valkey, unixSocket: true}", "{retention: {maxage: 10s}}"),
        ("{engine: valkey, config: {requirepass: 'p@ss/word', appendonly: yes, appendfsync: always}}", "{ack: none}"),
        ("{engine: valkey, config: {user: 'default on >p@ss/word ~* &* +@all'}}", "{ack: each}"),
    ],
)
async def test_a_run_goes_through_on_every_topology(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: str, streams: str
) -> None:
    """Everything that was sent arrives, and the result says on what it ran; nothing is left."""
    setup = setup_of(server, streams)
    assert setup.server is not None
    present(setup.server.plan.engine)
    async with running(tmp_path, setup, monkeypatch, testDuration="1s", **SPREAD) as run:
        result = await run.result()

    assert all_arrived(result, 2000)
    told = result.environment["server"]
    assert told["mode"] == ("cluster" if setup.server.topology == "cluster" else "standalone")
    assert told["primaries"] == (3 if setup.server.topology == "cluster" else 1)
    assert told["tls"] is bool(setup.server.tls)
    assert "p@ss" not in str(result)


async def test_balanced_partitions_lie_evenly_on_all_primaries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twelve on three, as each primary says itself."""
    setup = setup_of("{engine: valkey, topology: cluster}", "{placement: balanced}")
    async with running(tmp_path, setup, monkeypatch, **LONG, **SPREAD) as run:
        servers = await run.measuring()
        counts = []
        for node in servers.nodes:
            (keys,) = await node.ask(["KEYS", "{ombdriver-*"])
            assert isinstance(keys, list)
            counts.append(sum(not str(key).endswith("placement") for key in keys))
        await run.result()

    assert counts == [4, 4, 4]


async def test_a_consumer_of_very_many_partitions_polls_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More than 64 connections for one consumer would be too many; nothing is missed by it.

    Partitions that share a slot by chance, as one pair of 65 does in every eighth run, are read by one connection.
    """
    setup = setup_of("{engine: valkey, topology: cluster}", "{placement: balanced}")
    async with running(tmp_path, setup, monkeypatch, partitionsPerTopic=80) as run:
        result = await run.result()

    assert all_arrived(result, 4000)
    assert "pollingReads" in {each.kind for each in result.caveats}


@pytest.mark.parametrize("engine", ENGINES)
async def test_a_run_lives_through_the_end_of_a_primary_of_a_cluster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: str
) -> None:
    """Its replica takes over; what it had not got is counted as lost, exactly, and the gap is told."""
    setup = setup_of(f"{{engine: {present(engine)}, topology: cluster, replicas: 1}}", "{placement: balanced}")
    async with running(tmp_path, setup, monkeypatch, **LONG, **SPREAD) as run:
        servers = await run.measuring()
        servers.node("primary-1").kill()
        result = await run.result()

    _goes_on(result, "primary-1")


@pytest.mark.parametrize("topology", ["cluster", "sentinel"])
async def test_the_account_is_exact_when_a_primary_hangs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, topology: str
) -> None:
    """Its replica answers while the hanging one still owes replies: whose each reply is must not be mixed up."""
    setup = setup_of(f"{{engine: valkey, topology: {topology}, replicas: 1}}")
    async with running(tmp_path, setup, monkeypatch, **LONG, **SPREAD) as run:
        hanging = (await run.measuring()).node("primary-1")
        os.kill(hanging.pid, signal.SIGSTOP)
        try:
            result = await run.result()
        finally:
            hanging.kill()

    assert not result.partial
    assert result.totals["published"] + result.totals["publishErrors"] == 6000
    assert result.totals["indeterminate"] > 0
    for each in result.delivery:
        assert (each.lost, each.undelivered, each.duplicated) == (0, 0, 0)  # the replica had all that was acknowledged


@pytest.mark.parametrize("engine", ENGINES)
async def test_a_run_lives_through_a_failover_behind_sentinels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: str
) -> None:
    """Sentinels make the replica the primary, and producers and consumers find it."""
    setup = setup_of(f"{{engine: {present(engine)}, topology: sentinel, replicas: 1}}")
    async with running(tmp_path, setup, monkeypatch, **LONG, **SPREAD) as run:
        servers = await run.measuring()
        servers.node("primary-1").kill()
        result = await run.result()

    _goes_on(result, "primary-1")


async def test_a_run_follows_a_failover_that_somebody_orders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SENTINEL FAILOVER: the old primary lives on, and Sentinels make it a replica only some 10 s after the new one."""
    long = LONG | {"testDuration": "16s"}
    async with running(tmp_path, setup_of("{engine: valkey, topology: sentinel}"), monkeypatch, **long) as run:
        servers = await run.measuring()
        (answer,) = await servers.node("sentinel-1").ask(["SENTINEL", "FAILOVER", MASTER_NAME])
        result = await run.result()

    assert answer == "OK"
    assert not result.partial
    for each in result.delivery:
        assert each.acknowledged + each.recovered == each.received + each.lost
        assert each.undelivered == each.trimmed == each.duplicated == 0
    caveats = {each.kind for each in result.caveats}
    assert "reconnects" in caveats
    assert "serversEnded" not in caveats
    assert result.totals["unsent"] == result.totals["unanswered"] == 0


def _goes_on(result: Result, ended: str) -> None:
    """The account is whole, everything was sent, the gap is told, and nothing came twice as a new entry."""
    assert not result.partial
    totals = result.totals
    assert totals["published"] + totals["publishErrors"] == 6000
    assert totals["unsent"] == totals["unanswered"] == 0
    for each in result.delivery:
        assert each.acknowledged + each.recovered == each.received + each.lost + each.trimmed + each.undelivered
        assert each.undelivered == each.trimmed == each.duplicated == 0
    caveats = {each.kind: each.message for each in result.caveats}
    assert ended in caveats["serversEnded"]
    assert "longest gap in the acknowledgements" in caveats["reconnects"]
    assert result.counters["longestSilenceMs"] > 500


async def test_a_run_ends_when_what_is_left_can_not_serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A primary without anybody to take over; what was measured is stored, and the logs are kept and named."""
    async with running(tmp_path, setup_of("{engine: valkey, topology: replicated}"), monkeypatch, **LONG) as run:
        servers = await run.measuring()
        servers.node("primary-1").kill()
        with pytest.raises(RunError) as caught:
            await run.finished

    message = str(caught.value)
    assert "the private server primary-1" in message
    kept = message.rpartition("are kept in ")[2].rstrip(")")
    os.unlink(kept)  # it is there
    assert [name for name in os.listdir(tmp_path) if name.endswith(".json")]


async def test_a_feature_that_the_server_lacks_is_refused_before_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the version that has it."""
    async with running(
        tmp_path, setup_of("{engine: valkey}", "{ack: delete}"), monkeypatch, subscriptionsPerTopic=2
    ) as run:
        with pytest.raises(RunError, match="XACKDEL, which Redis has from"):
            await run.finished


async def test_a_server_without_waitaof_is_refused_before_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one line, with its version."""
    if version_of(present("redis")) >= (7, 2):
        pytest.skip("the Redis of this machine has WAITAOF")
    async with running(
        tmp_path, setup_of("{engine: redis, config: {appendonly: yes}}", "{waitAof: primary}"), monkeypatch
    ) as run:
        with pytest.raises(RunError, match=r"waitAof needs WAITAOF, which Redis and Valkey have from 7\.2 on; use"):
            await run.finished


async def test_a_server_without_an_append_only_file_is_refused_where_disks_are_waited_for(
    tmp_path: Path, valkey_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of servers that are started, the file tells it already."""
    setup = Setup.parse(
        f"{{name: s, driver: redis-streams, server: {{url: '{valkey_url}'}}, streams: {{waitAof: primary}}}}", "s"
    )
    async with running(tmp_path, setup, monkeypatch) as run:
        with pytest.raises(RunError, match="waitAof waits for the append-only file, and the server has appendonly no"):
            await run.finished


async def test_replicas_that_a_server_of_the_users_has_not_are_told_before_the_run(
    tmp_path: Path, valkey_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of servers that are started, the file tells it already."""
    setup = Setup.parse(
        f"{{name: s, driver: redis-streams, server: {{url: '{valkey_url}'}}, streams: {{waitReplicas: 1}}}}", "s"
    )
    async with running(tmp_path, setup, monkeypatch) as run:
        with pytest.raises(RunError, match="waitReplicas is 1, and the server has 0 replicas"):
            await run.finished
