"""`make study-omb OMB=FOLDER`: what OMB's own Redis driver reports, and what ombdriver does of the same load.

FOLDER is a checkout of OMB that was built as its README says; its own `bin/benchmark` is run, on one workload file that
both read, each with a server of the same kind. What the server itself knows of OMB's messages (keys, what is pending,
when each was handed over) is asked for at the end. Each runs twice: undisturbed, and with a server that hangs for a
second, five times.
"""

import argparse
import asyncio
import contextlib
import os
import signal
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import redis.asyncio

from ombdriver.bench.metrics.histogram import Histogram
from ombdriver.bench.report import units
from ombdriver.bench.results import store
from ombdriver.bench.results.result import Result
from ombdriver.bench.servers.private_server import PrivateServer
from tests.marked import around, put_into
from tests.studies import page

PAGE, DATA = page.STUDIES / "omb-redis-driver.md", page.STUDIES / "omb-redis-driver.json"
COMMAND = "study-omb"
PARTITIONS = 4
WORKLOAD = """\
name: study
topics: 1
partitionsPerTopic: {partitions}
messageSize: 1024
payloadFile: {payload}
subscriptionsPerTopic: 1
consumerPerSubscription: 1
producersPerTopic: 1
producerRate: 2000
consumerBacklogSizeGB: 0
warmupDurationMinutes: 1
testDurationMinutes: 1
"""
DRIVER = """\
name: Redis
driverClass: io.openmessaging.benchmark.driver.redis.RedisBenchmarkDriver
redisHost: 127.0.0.1
redisPort: {port}
jedisPoolMaxTotal: 8
jedisPoolMaxIdle: 8
"""
HANG_S = 1.0
FIRST_S, EVERY_S, HANGS = 5.0, 10.0, 5
UNTIL_S = FIRST_S + EVERY_S * HANGS - 1
FAULTS = f"[{{at: {FIRST_S:g}s, every: {EVERY_S:g}s, until: {UNTIL_S:g}s, for: {HANG_S:g}s, pause: primary}}]"
BEGINS, ENDS, FAILED = "Starting benchmark traffic", "Aggregated Pub Latency", "Failed to run the workload"
PATIENCE_S = 15.0
"""How long OMB may take to end after its last figures. It waits 0.1 s for its producers."""

QUANTILES = "aggregatedEndToEndLatencyQuantiles"
ROWS: Mapping[str, tuple[str, str | None, float]] = {
    "publish p50": ("publish.p50", "aggregatedPublishLatency50pct", 1.0),
    "publish p99": ("publish.p99", "aggregatedPublishLatency99pct", 1.0),
    "publish delay p99": ("publishDelay.p99", "aggregatedPublishDelayLatency99pct", 1e-3),
    "publish response p99": ("publishResponse.p99", None, 1.0),
    "end-to-end least": ("endToEnd.min", None, 1.0),
    "end-to-end p50": ("endToEnd.p50", "aggregatedEndToEndLatency50pct", 1.0),
    "end-to-end p99": ("endToEnd.p99", "aggregatedEndToEndLatency99pct", 1.0),
    "end-to-end response p99": ("endToEndResponse.p99", None, 1.0),
}
"""By what a row is called: our figure, OMB's key, and what makes milliseconds of its value."""


@dataclass(frozen=True, slots=True)
class Account:
    """What the server knows of OMB's messages when OMB has sent its last.

    Attributes:
        keys: streams that there are, for `PARTITIONS` partitions.
        entries: messages that they hold.
        pending: handed over and not acknowledged.
        used_bytes: memory of the server.
        handed: messages of the measured minute that were handed over.
        within_the_same_ms: of these, how many the server handed over in the very millisecond of their entry id.
        ended: whether OMB ended by itself.
    """

    keys: int
    entries: int
    pending: int
    used_bytes: int
    handed: int
    within_the_same_ms: int
    ended: bool


def of_omb(result: Mapping[str, Any]) -> dict[str, float | None]:
    """The rows of a result file of OMB, in ms."""
    told = {name: result[key] * scale if key else None for name, (_, key, scale) in ROWS.items()}
    # Its result has no least value; its curve of quantiles begins with it.
    return told | {"end-to-end least": min(result[QUANTILES].values(), default=None)}


def of_ours(result: Result) -> dict[str, float | None]:
    """The rows of a result of ombdriver, in ms."""
    found = {}
    for name, (figure, _, _) in ROWS.items():
        family, _, statistic = figure.partition(".")
        found[name] = result.summary(family).ms(statistic)
    return found


def below_a_millisecond(result: Result) -> float:
    """The share of end-to-end latencies that are below 1 ms."""
    histogram = Histogram.decode(result.histograms["families"]["endToEnd"])
    return histogram.upto([1_000_000])[0] / max(histogram.count, 1)


class Omb:
    """One run of OMB on a server of its own."""

    def __init__(self, folder: Path, hangs: bool) -> None:
        self._folder = folder
        self._hangs = hangs
        self._began_ms = 0
        self._measured = asyncio.Event()
        self._last: list[str] = []

    async def run(self) -> tuple[dict[str, Any], Account]:
        """Its result file, and the server's account.

        Raises:
            SystemExit: if it fails.
        """
        server = await PrivateServer.start()
        try:
            with tempfile.TemporaryDirectory(prefix="ombdriver-") as name:
                scratch = Path(name)
                (scratch / "redis.yaml").write_text(DRIVER.format(port=server.port))
                options = ["--drivers", str(scratch / "redis.yaml"), "--output", str(scratch / "result.json")]
                heap = os.environ | {"HEAP_OPTS": os.environ.get("HEAP_OPTS", "-Xms512M -Xmx512M")}
                process = await asyncio.create_subprocess_exec(
                    "bash",
                    "bin/benchmark",
                    *options,
                    str(workload_in(scratch)),
                    cwd=self._folder,
                    env=heap,
                    stdout=asyncio.subprocess.PIPE,
                    stderr=asyncio.subprocess.STDOUT,
                )
                try:
                    told = await self._watch(process, server)
                finally:
                    with contextlib.suppress(ProcessLookupError):
                        process.kill()
                if not (scratch / "result.json").exists():
                    sys.exit("OMB gave no result; its last lines:\n" + "".join(self._last))
                return page.load(scratch / "result.json"), told
        finally:
            await server.stop()

    async def _watch(self, process: asyncio.subprocess.Process, server: PrivateServer) -> Account:
        async with asyncio.TaskGroup() as tasks:
            ended = tasks.create_task(process.wait())
            read = tasks.create_task(self._read(process, server, tasks))
            measured = tasks.create_task(self._measured.wait())
            await asyncio.wait([measured, ended], return_when=asyncio.FIRST_COMPLETED)
            measured.cancel()
            if ended.done():
                await read
                sys.exit("OMB ended before it had measured; its last lines:\n" + "".join(self._last))
            await asyncio.wait([ended], timeout=PATIENCE_S)
            by_itself = ended.done()
            client = redis.asyncio.Redis.from_url(server.url, protocol=2)
            try:
                found = await account(client, self._began_ms, by_itself)
                # Its consumers stand in XREADGROUP BLOCK 0, and are waited for: each message lets one of them look up.
                while not ended.done():
                    for key in await client.keys("*"):
                        await client.xadd(key, {"payload": "end"})
                    await asyncio.wait([ended], timeout=0.2)
            finally:
                await client.aclose()
        return found

    async def _read(self, process: asyncio.subprocess.Process, server: PrivateServer, tasks: asyncio.TaskGroup) -> None:
        assert process.stdout is not None
        async for raw in process.stdout:
            line = raw.decode(errors="replace")
            self._last = [*self._last[-40:], line]
            if BEGINS in line:
                self._began_ms = time.time_ns() // 1_000_000
                if self._hangs:
                    tasks.create_task(hang(server.pid))
            elif ENDS in line and self._began_ms:  # it tells the same of its warm-up
                self._measured.set()
            elif FAILED in line:
                process.kill()


async def account(client: "redis.asyncio.Redis", began_ms: int, ended: bool) -> Account:
    """The server's account of all streams that it holds; messages are removed, so that only what is pending is told.

    Args:
        client: of a server that has no other streams.
        began_ms: when the measured minute began, by the wall clock.
        ended: see `Account`.
    """
    used = (await client.info("memory"))["used_memory"]
    keys = await client.keys("*")
    entries = pending = handed = same = 0
    for key in keys:
        entries += await client.xlen(key)
        await client.xtrim(key, maxlen=0, approximate=False)  # what was handed over is told without payloads
        told = await client.execute_command("XINFO", "STREAM", key, "FULL", "COUNT", 0)
        for group in _named(told)[b"groups"]:
            for identifier, _, delivered_ms, _ in _named(group)[b"pending"]:
                pending += 1
                stored_ms = int(identifier.partition(b"-")[0])
                if stored_ms >= began_ms:
                    handed += 1
                    same += delivered_ms <= stored_ms
    return Account(len(keys), entries, pending, used, handed, same, ended)


def _named(pairs: Sequence[Any]) -> dict[bytes, Any]:
    """A reply of names and values in turns."""
    return dict(zip(pairs[::2], pairs[1::2], strict=True))


async def hang(pid: int) -> None:
    """Stops the server again and again, from the beginning of the measured minute on."""
    begun = time.monotonic()
    for at in range(HANGS):
        await asyncio.sleep(begun + FIRST_S + at * EVERY_S - time.monotonic())
        os.kill(pid, signal.SIGSTOP)
        try:
            await asyncio.sleep(HANG_S)
        finally:
            os.kill(pid, signal.SIGCONT)


def workload_in(scratch: Path) -> Path:
    """The workload file that both read."""
    payload = scratch / "payload-1Kb.data"
    payload.write_bytes(os.urandom(1024))
    file = scratch / "study.yaml"
    file.write_text(WORKLOAD.format(partitions=PARTITIONS, payload=payload))
    return file


async def ours(hangs: bool) -> Result:
    """The result of ombdriver, of the same workload file, on a private server of the same kind.

    Raises:
        SystemExit: if it ends without one.
    """
    with tempfile.TemporaryDirectory(prefix="ombdriver-") as name:
        scratch = Path(name)
        command = ["run", str(workload_in(scratch)), "--setup", "embedded", "--warmup", "10s", "--plain"]
        command += ["--output", str(scratch / "results")]
        if hangs:
            command += ["--set", f"workload.faults={FAULTS}"]
        process = await asyncio.create_subprocess_exec(sys.executable, "-m", "ombdriver", *command)
        if await process.wait() not in (0, 3):
            sys.exit("ombdriver gave no result")
        return store.load_all([str(scratch / "results")])[0].result


def tables(figures: Mapping[str, Any]) -> str:
    """The part of the page that the figures make; as Markdown."""
    scenarios = figures["scenarios"]
    heads = [f"{who}, {name}" for name in scenarios for who in ("OMB", "ombdriver")]
    lines = [f"| | {' | '.join(heads)} |", f"|---|{'--:|' * len(heads)}"]
    for row in ROWS:
        cells = [each[who][row] for each in scenarios.values() for who in ("omb", "ours")]
        told = ["not told" if cell is None else units.latency(cell) for cell in cells]
        lines.append(f"| {row} | {' | '.join(told)} |")
    lines += ["", f"{figures['machine']} Verdicts of ombdriver: {_verdicts(scenarios)}.", ""]
    lines += ["What the server says of OMB's messages:", ""]
    lines += [f"| | {' | '.join(scenarios)} |", f"|---|{'--:|' * len(scenarios)}"]
    accounts = [Account(**each["account"]) for each in scenarios.values()]
    for title, cells in _account_rows(accounts).items():
        lines.append(f"| {title} | {' | '.join(cells)} |")
    shares = " and ".join(units.percent(each["belowMs"]) for each in scenarios.values())
    lines += ["", f"Of the same load ombdriver found {shares} of the end-to-end latencies below 1 ms."]
    return "\n".join(lines) + "\n"


def _verdicts(scenarios: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} `{each['verdict']}`" for name, each in scenarios.items())


def _account_rows(accounts: Sequence[Account]) -> dict[str, list[str]]:
    return {
        f"streams for {PARTITIONS} partitions": [units.count(each.keys) for each in accounts],
        "messages stored": [units.count(each.entries) for each in accounts],
        "handed over and never acknowledged": [units.count(each.pending) for each in accounts],
        "memory of the server at the end": [f"{each.used_bytes / 2**20:,.0f} MiB" for each in accounts],
        "handed over in the millisecond of the entry id": [
            units.percent(each.within_the_same_ms / each.handed if each.handed else None) for each in accounts
        ],
        "ended by itself": ["yes" if each.ended else "no" for each in accounts],
    }


async def measure(folder: Path) -> dict[str, Any]:
    """All figures of the study."""
    scenarios: dict[str, Any] = {}
    server = ""
    for name, hangs in (("undisturbed", False), ("hanging", True)):
        sys.stdout.write(f"{name}: OMB, then ombdriver; some four minutes\n")
        sys.stdout.flush()
        theirs, server_told = await Omb(folder, hangs).run()
        result = await ours(hangs)
        about = result.environment.get("server") or {}
        server = f"{str(about.get('engine', 'server')).capitalize()} {about.get('version', '')}".strip()
        scenarios[name] = {
            "omb": of_omb(theirs),
            "ours": of_ours(result),
            "account": asdict(server_told),
            "belowMs": below_a_millisecond(result),
            "verdict": result.verdict.status if result.verdict else units.NOTHING,
        }
    return {"machine": page.machine(server), "scenarios": scenarios}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures where a folder of OMB is given, and makes the page's tables of what there is."""
    parser = argparse.ArgumentParser(prog="make study-omb", description=__doc__, allow_abbrev=False)
    parser.add_argument("--omb", type=Path, metavar="FOLDER", help="a built checkout of OMB; without it nothing is run")
    parser.add_argument("--page", type=Path, default=PAGE, metavar="PAGE", help="where the tables go")
    parser.add_argument("--data", type=Path, default=DATA, metavar="FILE", help="where the figures are kept")
    options = parser.parse_args(arguments)
    around(options.page, COMMAND)  # rather than after all runs
    if options.omb is not None:
        if not (options.omb / "bin" / "benchmark").exists():
            sys.exit(f"{options.omb} has no bin/benchmark; give a checkout of OMB that was built as its README says")
        page.save(options.data, asyncio.run(measure(options.omb)))
    text = tables(page.load(options.data))
    sys.stdout.write(text)
    put_into(options.page, COMMAND, text)


if __name__ == "__main__":
    main()
