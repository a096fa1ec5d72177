"""What a report of a worker costs: its bytes, and the processor time to write and to read it, against a pickle of it.

python -m tests.benchmarks.reports
"""

import pickle
import sys
import time
from collections.abc import Callable

import numpy as np

from ombdriver.bench.metrics.histogram import Histogram
from ombdriver.bench.metrics.recorder import Metrics
from ombdriver.bench.metrics.report import ReceivedReport, Report, SentReport
from ombdriver.bench.worker.wire_format import decode, encode

PASSES, TIMES = 7, 50
PUBLISH = ("publish", "publishDelay", "publishResponse", "scheduleLag", "blocked", "consumerAck", "messagesPerWrite")
SHAPES = ((1_000, 1, 1), (10_000, 3, 16), (50_000, 3, 1_000))
"""Messages a second, groups, partitions."""


def report(rate: int, groups: int, partitions: int) -> Report:
    """What one worker would say of a second, most of which is in one interval and a little in the next."""
    random = np.random.default_rng(1)
    names = [f"group-{number}" for number in range(1, groups + 1)]
    families = [(family, None) for family in PUBLISH]
    families += [(family, name) for family in ("endToEnd", "endToEndResponse") for name in names]
    metrics = Metrics()
    for interval, share in ((7, 0.99), (8, 0.01)):
        for family, name in families:
            samples = random.lognormal(13, 0.5, int(rate * share)).astype(np.int64)
            if family == "blocked":
                samples *= 0
            metrics.add_histogram((1, family, name, interval), Histogram.of(samples))
    numbers = np.arange(partitions)
    ranges = np.stack((numbers, np.full(partitions, 10**6), np.full(partitions, rate // partitions)), axis=1)
    return Report(
        metrics=metrics,
        sent=10**6,
        acknowledged=10**6,
        failed=0,
        unsent=50_000,
        received=dict.fromkeys(names, 10**6),
        probed=frozenset(),
        foreign=0,
        errors={},
        driver={"reconnects": 0},
        sent_report=SentReport(ranges, checkpoints=[(at, 10**6, b"1764470000000-17") for at in range(partitions)][:64]),
        received_reports=[(name, ReceivedReport(ranges)) for name in names],
    )


def cpu_us(work: Callable[[], object]) -> float:
    """Microseconds of processor time: of some passes the one that took least, since the others were disturbed."""
    passes = []
    for _ in range(PASSES):
        start = time.process_time()
        for _ in range(TIMES):
            work()
        passes.append((time.process_time() - start) / TIMES)
    return min(passes) * 1e6


def main() -> None:
    """Prints a table."""
    lines = ["| a worker's second | | bytes | write, µs | read, µs |", "|---|---|---|---|---|"]
    for rate, groups, partitions in SHAPES:
        given = report(rate, groups, partitions)
        shape = f"{rate:,} messages/s, groups: {groups}, partitions: {partitions:,}"
        pickled, encoded = pickle.dumps(given), encode(given)
        for name, data, write, read in (
            ("pickle", pickled, lambda given=given: pickle.dumps(given), lambda data=pickled: pickle.loads(data)),
            ("form", encoded, lambda given=given: encode(given), lambda data=encoded: decode(data)),
        ):
            lines.append(f"| {shape} | {name} | {len(data):,} | {cpu_us(write):.0f} | {cpu_us(read):.0f} |")
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
