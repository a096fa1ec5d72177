"""`make bench`: interleaved rounds on one private server, told as ratios with their spread, and written as JSON.

Machines are noisy: what is compared is measured one after the other in each round, and the ratio is taken within it.
"""

import argparse
import asyncio
import gc
import re
import shutil
import statistics
import subprocess
import sys
from collections.abc import Coroutine, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import uvloop

from ombdriver import __version__
from ombdriver.bench.metrics.histogram import HIGHEST_NS  # noqa: F401 - imports numpy before anything is timed
from ombdriver.bench.results import store
from ombdriver.bench.run.calibrate import record_cost
from ombdriver.bench.servers.private_server import PrivateServer
from ombdriver.bench.telemetry import installation
from tests.benchmarks import frameworks, harness, ledger, library

Figure = TypeVar("Figure")

ROUNDS = 5
RATIOS = (
    ("send_message, 500 callers", "send 500", "redis-py pool 50", 15.0),
    ("send_message, 500 callers", "send 500", "redis-benchmark", 0.7),
    ("send_message, 50 callers", "send 50", "redis-py pool 50", None),
    ("send_message, 500 callers", "send 500", "redis-py pipeline 100", None),
    ("send_message, one by one", "send 1", "redis-py 1", 1.3),
    ("Producer.send_and_wait, 500 callers", "topic send 500", "send 500", 0.87),
    ("Producer.send, one caller", "topic send", "send 500", 0.6),
    ("Producer.send_and_wait, idempotent", "topic send idempotent", "send 500", None),
    ("Producer.send_and_wait, one by one", "topic send 1", "send 1", None),
    ("GroupConsumer, read 500 and ack", "consume", "redis-py consume", 1.3),
    ("Consumer, each handed out and acked", "consume topic", "consume", 0.86),
    ("Runner, each handled and acked", "run topic", "consume", 0.9),
    ("Producer.send_and_wait, 500 callers", "topic send 500", "FastStream publish 50", 10.0),
    ("Producer.send_and_wait, 50 callers", "topic send 50", "FastStream publish 50", 10.0),
    ("Producer.send_and_wait, one by one", "topic send 1", "FastStream publish 1", None),
    ("Consumer, each handed out and acked", "consume topic", "FastStream subscriber", 10.0),
    ("Runner, each handled and acked", "run topic", "FastStream subscriber", 10.0),
    ("Runner, each handled and acked", "run topic", "FastStream subscriber, 32 workers", None),
    ("driver, read 500 and ack", "consume driver", "redis-py consume", 1.7),
    ("harness, publish only", "harness publish", "redis-benchmark", 0.75),
    ("harness, in and out, 1 group", "harness in and out", "redis-benchmark", 0.45),
)
"""What is compared: its name, the two figures (messages per second), and the ratio aimed at."""
ABSOLUTES = (
    ("harness flat out, CPU per message, µs", "cpu us", 2.0),
    ("harness at 10,000 messages/s, publish p50, µs", "publish p50 us", 80.0),
    ("harness at 10,000 messages/s, publish p99, µs", "publish p99 us", 250.0),
    ("harness at 10,000 messages/s, mean delay, µs", "delay us", 50.0),
    ("harness at 10,000 messages/s, mean schedule lag, µs", "lag us", 40.0),
    ("harness at 10,000 messages/s, cores", "cores", 0.45),
    ("harness at 10,000 messages/s, messages per write", "messages per write", 1.1),
    ("harness at 2,000 messages/s, cores", "cores 2,000", 0.15),
    ("harness at 50,000 messages/s, cores", "cores 50,000", 0.44),
    ("harness spinning at 10,000 messages/s, mean schedule lag, µs", "spin lag us", 5.0),
    ("recording a sample, ns", "record ns", 60.0),
    ("ledger, of a message's CPU in a producing worker, %", "ledger publish %", 10.0),
    ("ledger, of a message's time in a driver's consumer, %", "ledger consume %", 10.0),
    ("worker's memory growth in 4 s, MiB", "growth mib", None),
    ("idle group of 50 runners on 64 partitions, commands a second", "idle commands", 20.0),
    ("the same, reads a second (one for each BLOCK of a runner)", "idle reads", None),
)
"""What has no counterpart, and the most that is aimed at; these depend on the machine."""


def redis_benchmark(port: int) -> float | None:
    """XADD of 1 KiB by `redis-benchmark -P 16 -c 50`, per second; None where it is not installed."""
    program = shutil.which("redis-benchmark")
    if program is None:
        return None
    command = ["-n", "200000", "-P", "16", "-c", "50", "-q", "xadd", "bench", "maxlen", "~", "10000", "*", "payload"]
    done = subprocess.run([program, "-p", str(port), *command, "x" * 1024], capture_output=True, text=True, check=True)
    return float(re.findall(r"([0-9.]+) requests per second", done.stdout)[-1])


def timed(measurement: Coroutine[Any, Any, Figure]) -> Figure:
    """What `measurement` finds, on uvloop and with the collector's work done: of 0.2 s, 60 ms of it are a quarter."""
    gc.collect()
    return uvloop.run(measurement)


def one_round(server: PrivateServer) -> dict[str, float]:
    """Every figure once; the library's on uvloop, as the harness's workers are."""
    url, found = server.url, {}
    found["redis-py pool 50"] = timed(library.redis_py(url, 8_000, 50))
    found["send 500"] = timed(library.ours(url, 100_000, 500))
    found["topic send 500"] = timed(library.topic(url, 100_000, 500))
    found["topic send"] = timed(library.topic_unwaited(url, 100_000))
    found["topic send idempotent"] = timed(library.topic(url, 100_000, 500, "idempotent"))
    if (reference := redis_benchmark(server.port)) is not None:
        found["redis-benchmark"] = reference
    found["send 50"] = timed(library.ours(url, 50_000, 50))
    found["redis-py pipeline 100"] = timed(library.redis_py_pipeline(url, 40_000, 100))
    found["redis-py 1"] = timed(library.redis_py(url, 4_000, 1))
    found["send 1"] = timed(library.ours(url, 5_000, 1))
    found["topic send 1"] = timed(library.topic(url, 5_000, 1))
    found["topic send 50"] = timed(library.topic(url, 50_000, 50))
    found["FastStream publish 50"] = timed(frameworks.publish_faststream(url, 8_000, 50))
    found["FastStream publish 1"] = timed(frameworks.publish_faststream(url, 3_000, 1))
    found["redis-py consume"] = timed(library.consume_redis_py(url))
    found["consume"] = timed(library.consume_ours(url))
    found["consume topic"] = timed(library.consume_topic(url))
    found["run topic"] = timed(library.run_topic(url))
    found["FastStream subscriber"] = timed(frameworks.consume_faststream(url, 4_000, 1))
    found["FastStream subscriber, 32 workers"] = timed(frameworks.consume_faststream(url, 4_000, 32))
    found["idle reads"], found["idle commands"] = timed(library.idle_group(url))
    found["consume driver"] = timed(library.consume_driver(url))
    flat = asyncio.run(harness.trial(url, groups=0))
    found["harness publish"], found["cpu us"], found["growth mib"] = flat.sent, flat.cpu_us, flat.growth / 2**20
    through = asyncio.run(harness.trial(url, groups=1))
    found["harness in and out"] = min(through.sent, through.received)
    paced = asyncio.run(harness.trial(url, 10_000, groups=0, warmup=1))
    found["publish p50 us"], found["publish p99 us"] = paced.publish_p50_us, paced.publish_p99_us
    found["delay us"], found["cores"] = paced.delay_mean_us, paced.cores
    found["lag us"], found["messages per write"] = paced.lag_mean_us, paced.messages_per_write
    for rate in (2_000, 50_000):
        found[f"cores {rate:,}"] = asyncio.run(harness.trial(url, rate, groups=0, warmup=1)).cores
    spinning = asyncio.run(harness.trial(url, 10_000, groups=0, warmup=1, pacing="spin"))
    found["spin lag us"] = spinning.lag_mean_us
    found["record ns"] = record_cost()
    found["ledger publish %"] = ledger.publish_ns() / (10 * found["cpu us"])
    found["ledger consume %"] = ledger.consume_ns() * found["consume driver"] / 1e7
    return found


def spread(values: Sequence[float]) -> str:
    """Median, and from least to greatest."""
    return f"{statistics.median(values):>9.2f}   {min(values):.2f} to {max(values):.2f}"


def table(rounds: Sequence[dict[str, float]]) -> str:
    """The ratios within each round, then the figures that stand alone."""
    lines = [f"{'ratio, median of ' + str(len(rounds)) + ' rounds':<66}{'aim':>6}{'median':>9}   spread"]
    for name, ours, other, aim in RATIOS:
        ratios = [each[ours] / each[other] for each in rounds if ours in each and other in each]
        goal = f">{aim:g}" if aim else ""
        told = spread(ratios) if ratios else f"   left out: {other} is not installed (Debian's redis-tools)"
        lines.append(f"{name + ' / ' + other:<66}{goal:>6}{told}")
    lines += ["", f"{'figure of this machine':<66}{'aim':>6}{'median':>9}   spread"]
    for name, key, aim in ABSOLUTES:
        lines.append(f"{name:<66}{f'<{aim:g}' if aim else '':>6}{spread([each[key] for each in rounds])}")
    lines += ["", f"{'messages per second':<66}{'':>6}{'median':>9}   spread"]
    rates = [key for _, *pair, _ in RATIOS for key in pair]
    for key in dict.fromkeys(rates):
        if key in rounds[0]:
            values = [each[key] for each in rounds]
            lines.append(f"{key:<72}{statistics.median(values):>9,.0f}   {min(values):,.0f} to {max(values):,.0f}")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Runs the rounds, prints the table, writes the report."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--output", type=Path, default=Path("results"))
    options = parser.parse_args()
    store.prepare(options.output)
    rounds = []
    with asyncio.Runner() as runner:
        server = runner.run(PrivateServer.start())
        try:
            for number in range(options.rounds):
                sys.stderr.write(f"round {number + 1} of {options.rounds}\n")
                rounds.append(one_round(server))
        finally:
            runner.run(server.stop())
    sys.stdout.write(table(rounds))
    report = {
        "kind": "bench",
        "formatVersion": 1,
        "version": __version__,
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "host": installation.host(),
        "rounds": rounds,
    }
    sys.stdout.write(f"Result: {store.save_report('bench', report, options.output)}\n")


if __name__ == "__main__":
    main()
