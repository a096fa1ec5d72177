"""Live counters and histograms for Prometheus, over HTTP on loopback.

Knows Progress and prometheus_client (an extra of this package). The loop only puts the newest `Progress` down, which is
never changed after; the samples are made in the thread that answers a scrape.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Self

from ombdriver import __version__
from ombdriver.bench.metrics.families import TABLE
from ombdriver.bench.report.live import QuietView
from ombdriver.bench.report.progress import HistogramSource, Progress, ServerProgress
from ombdriver.errors import InputError

if TYPE_CHECKING:
    from prometheus_client.core import GaugeMetricFamily
    from prometheus_client.metrics_core import Metric

ADDRESS = "127.0.0.1"
BOUNDS_NS = (*(step * 10**power for power in range(4, 11) for step in (1, 2, 5)), 10**11)
"""The upper bounds of the histograms' buckets: 10 µs to 100 s."""
FAMILIES = {
    each.name: (
        "ombdriver_" + re.sub("([A-Z])", r"_\1", each.name).lower() + "_seconds",
        f"From the {each.begins} of a message to its {each.ends}",
    )
    for each in TABLE
}
"""The latency families of a result, by metric."""
COUNTS = {
    "published": ("ombdriver_messages_published", "Messages acknowledged"),
    "failed": ("ombdriver_messages_failed", "Messages that met an error"),
    "received": ("ombdriver_messages_received", "Messages received"),
}


@dataclass(frozen=True, slots=True)
class Labels:
    """What is being run: names, and its number among the runs of the command."""

    workload: str
    setup: str
    run: int


class Exposition:
    """Serves what runs tell, at `http://127.0.0.1:PORT/metrics`, as long as it is entered.

    Args:
        port: to listen on; 0 takes a free one.

    Attributes:
        port: the one listened on.

    Raises:
        InputError: when entered, if the port can't be had; when made, if prometheus_client is not installed.
    """

    def __init__(self, port: int) -> None:
        try:
            from prometheus_client import CollectorRegistry, start_http_server
        except ImportError:
            raise InputError(["--prometheus needs prometheus_client: pip install 'ombdriver[prometheus]'"]) from None
        self.port = port
        self._registry = CollectorRegistry()
        self._registry.register(self)
        self._start = start_http_server
        self._latest: tuple[Labels, Progress] | None = None

    def __repr__(self) -> str:
        return f"<Exposition {self.url}>"

    @property
    def url(self) -> str:
        """What a scraper asks for."""
        return f"http://{ADDRESS}:{self.port}/metrics"

    def __enter__(self) -> Self:
        try:
            self._server, self._thread = self._start(self.port, ADDRESS, self._registry)
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or error
            raise InputError([f"--prometheus {self.port}: {reason}; give a free port"]) from None
        self.port = self._server.server_port
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def put(self, labels: Labels, progress: Progress) -> None:
        """This is what is served from now on."""
        self._latest = labels, progress

    def collect(self) -> "Iterator[Metric]":
        """The samples, for prometheus_client's registry; nothing before the first `put`."""
        if self._latest is not None:
            yield from metrics(*self._latest)


class ExposedView(QuietView):
    """Shows nothing here: puts progress on an exposition."""

    def __init__(self, exposition: Exposition, labels: Labels) -> None:
        self._exposition, self._labels = exposition, labels

    def update(self, progress: Progress) -> None:
        """See `LiveView`."""
        self._exposition.put(self._labels, progress)


def metrics(labels: Labels, progress: Progress) -> "Iterator[Metric]":
    """Everything that `progress` tells; counters and histograms are of one phase, and begin anew with the next."""
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

    about = {"workload": labels.workload, "setup": labels.setup, "run": str(labels.run), "version": __version__}
    yield _gauge(GaugeMetricFamily("ombdriver_run_info", "What is being run", labels=list(about)), about.values(), 1)
    yield _gauge(
        GaugeMetricFamily("ombdriver_phase", "Phase that the run is in", labels=["phase"]), [progress.phase], 1
    )
    if progress.verdict is not None:
        verdict = GaugeMetricFamily("ombdriver_verdict", "What the verdict would be by now", labels=["status"])
        yield _gauge(verdict, [progress.verdict.status], 1)
    if progress.own_parts:
        text = "What part of a percentile may be the harness's own, where it is more than a third"
        parts = GaugeMetricFamily("ombdriver_own_part", text, labels=["figure"])
        for figure, part in progress.own_parts.items():
            parts.add_metric([figure], part)
        yield parts
    server = progress.server or ServerProgress()
    for name, text, value in (
        ("ombdriver_target_messages_per_second", "Rate that the schedule asks for", progress.target_rate or 0.0),
        ("ombdriver_server_cpu_cores", "Processor time of the server, in cores", server.cpu),
        ("ombdriver_server_memory_bytes", "Memory that the server uses", server.memory_bytes),
    ):
        if value is not None:
            yield GaugeMetricFamily(name, text, value=value)
    for name, text, values in (
        (
            "ombdriver_backlog_messages",
            "Messages acknowledged that the group has not received",
            _of(progress, "backlog"),
        ),
        (
            "ombdriver_lag_entries",
            "Entries that the server has not delivered to the group, by its own count",
            _of(progress, "lag"),
        ),
    ):
        gauge = GaugeMetricFamily(name, text, labels=["group"])
        for group, number in values.items():
            gauge.add_metric([group], number)
        yield gauge
    phase, totals = progress.totals.phase, progress.totals
    for kind, (name, text) in COUNTS.items():
        counts = {group: number for (counted, group), number in totals.counts.items() if counted == kind}
        counter = CounterMetricFamily(name, text, labels=_labels(counts))
        for each, number in counts.items():
            counter.add_metric(_values(phase, each), number)
        yield counter
    for family, (name, text) in FAMILIES.items():
        latencies = {group: samples for (taken, group), samples in totals.latencies.items() if taken == family}
        histogram = HistogramMetricFamily(name, text, labels=_labels(latencies))
        for each, samples in latencies.items():
            histogram.add_metric(_values(phase, each), buckets(samples), samples.sum_ns / 1e9)
        yield histogram


def buckets(samples: HistogramSource) -> list[tuple[str, float]]:
    """(upper bound in seconds, samples up to it) for each of `BOUNDS_NS`, and for infinity."""
    upto = zip(BOUNDS_NS, samples.upto(BOUNDS_NS), strict=True)
    return [*((f"{bound / 1e9:.10g}", float(count)) for bound, count in upto), ("+Inf", float(samples.count))]


def _of(progress: Progress, attribute: str) -> dict[str, float]:
    found = {name: getattr(group, attribute) for name, group in progress.groups.items()}
    return {name: number for name, number in found.items() if number is not None}


def _labels(held: Mapping[str | None, object]) -> Sequence[str]:
    return ["phase"] if None in held else ["phase", "group"]


def _values(phase: str, group: str | None) -> Sequence[str]:
    return [phase] if group is None else [phase, group]


def _gauge(family: "GaugeMetricFamily", values: Iterable[str], number: float) -> "GaugeMetricFamily":
    family.add_metric(list(values), number)
    return family
