"""The harness's own figures on a real server, by short runs through the same code as any other run."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

from ombdriver.bench.report.live import QuietView
from ombdriver.bench.results.result import Result
from ombdriver.bench.run import runner
from ombdriver.bench.run.calibrate import FLAT_OUT
from ombdriver.bench.run.request import Request
from ombdriver.bench.run.signals import Interrupt
from ombdriver.bench.spec.setup import Setup
from ombdriver.bench.spec.workload import Workload
from ombdriver.bench.telemetry import installation

SETUP = """
    {{name: bench, driver: redis-streams, server: {{engine: valkey}}, streams: {{retention: 200000}},
    client: {{pacing: {pacing}}}}}"""


@dataclass(frozen=True, slots=True)
class Trial:
    """What a short run found.

    Attributes:
        sent: messages per second acknowledged in the window.
        received: messages per second received in the window.
        cpu_us: processor time of the producing worker per message, in µs.
        cores: the share of a core that the producing worker took.
        publish_p50_us: publish latency from the actual send; so are the next two.
        publish_p99_us: its 99th percentile.
        delay_mean_us: publish delay.
        lag_mean_us: the part of it that is the harness's.
        messages_per_write: how many messages left together.
        growth: bytes by which the producing worker's memory grew in the window.
    """

    sent: float
    received: float
    cpu_us: float
    cores: float
    publish_p50_us: float
    publish_p99_us: float
    delay_mean_us: float
    lag_mean_us: float
    messages_per_write: float
    growth: int

    @classmethod
    def of(cls, result: Result) -> "Trial":
        """The figures of a result."""
        worker = result.environment["workers"][0]
        latency, published = result.latency, max(1, result.totals["published"])
        return cls(
            sent=result.mean_rate("publishRate"),
            received=result.mean_rate("consumeRate"),
            cpu_us=worker["windowCpuSeconds"] * 1e6 / published,
            cores=worker["windowCpuSeconds"] / result.window_s,
            publish_p50_us=latency["publish"].p50 / 1000,
            publish_p99_us=latency["publish"].p99 / 1000,
            delay_mean_us=latency["publishDelay"].avg / 1000,
            lag_mean_us=result.delay_parts["scheduleLag"].avg / 1000,
            messages_per_write=(result.messages_per_write or {}).get("mean", 0.0),
            growth=worker["rssGrowthBytes"],
        )


async def trial(
    url: str, rate: int = FLAT_OUT, *, groups: int, seconds: int = 4, warmup: int = 0, pacing: str = "adaptive"
) -> Trial:
    """One run of a single producer with 1 KiB messages; `FLAT_OUT` sends as fast as replies come."""
    text = f"""
        {{topics: 1, partitionsPerTopic: 1, messageSize: 1024, subscriptionsPerTopic: {groups}, producersPerTopic: 1,
        consumerPerSubscription: {groups}, producerRate: {rate}, warmupDuration: {warmup}s, testDuration: {seconds}s,
        drainTimeout: 100ms}}"""
    setup = Setup.parse(SETUP.format(pacing=pacing), "bench").with_url(url)
    with tempfile.TemporaryDirectory(prefix="ombdriver-") as folder, Interrupt() as stop:
        request = Request(Workload.parse(text, "bench"), setup, Path(folder), None, installation.usable_cores())
        finished = await runner.run(request, QuietView(), stop)
    assert finished is not None
    return Trial.of(finished.result)
