"""The statistics of producers, consumers and runners for Prometheus; needs `pip install ombdriver[prometheus]`.

Only importer of `prometheus_client` in the library, and imported by programs only.
"""

import asyncio
import concurrent.futures
import dataclasses
from collections import Counter
from collections.abc import Iterable
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from ombdriver.messaging.topics.consumer.config import ConsumerStatistics
from ombdriver.messaging.topics.consumer.consumer import Consumer
from ombdriver.messaging.topics.producer.config import ProducerStatistics
from ombdriver.messaging.topics.producer.producer import Producer
from ombdriver.messaging.topics.runner.config import RunnerStatistics
from ombdriver.messaging.topics.runner.runner import Runner

Source = Producer[Any] | Consumer[Any] | Runner[Any]

KINDS = {"producer": ProducerStatistics, "consumer": ConsumerStatistics, "runner": RunnerStatistics}
GAUGES = {
    "producer": {"buffered_messages", "buffered_bytes", "in_flight", "waiting"},
    "consumer": {"buffered", "held", "unanswered"},
    "runner": {"running", "in_hand"},
}
"""Statistics that go up and down; all others only grow."""
LABELS = {"producer": ("topic",), "consumer": ("topic", "group"), "runner": ("topic", "group")}
SCRAPE_TIMEOUT_S = 5.0
"""How long a scrape waits for an event loop that is busy."""

_Series = tuple[str, str, tuple[str, ...]]
"""A kind, the name of one of its statistics, and the values of its labels."""


class PrometheusCollector(Collector):
    """Gives the `statistics()` of what it watches, at each scrape: `ombdriver_producer_sent_total{topic="orders"} 7`.

    Counters and gauges are named `ombdriver_producer_…`, `ombdriver_consumer_…` and `ombdriver_runner_…` after the
    fields of `ProducerStatistics`, `ConsumerStatistics` and `RunnerStatistics`, and bear the labels `topic` and, but
    for producers, `group`. Members with the same labels are summed. A runner gives the statistics of its consumer too.
    Made in the event loop of what it watches; a scrape may come from any thread, and asks in that loop.

    Raises:
        RuntimeError: if no event loop is running.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._sources: dict[int, Source] = {}
        self._past: Counter[_Series] = Counter()

    def watch(self, source: Source) -> None:
        """Exports the statistics of a producer, a consumer or a runner from now on; it is kept until `forget`.

        Raises:
            TypeError: if it is none of these.
        """
        if not isinstance(source, Producer | Consumer | Runner):
            raise TypeError(f"{source!r} is no producer, consumer or runner")
        self._sources[id(source)] = source

    def forget(self, source: Source) -> None:
        """Exports no more of it, when it is closed. What it has counted stays in the counters, which never go back."""
        if self._sources.pop(id(source), None) is not None:
            self._past.update({series: n for series, n in _samples(source) if not _is_gauge(series)})

    def collect(self) -> Iterable[Metric]:
        """The metrics of this moment.

        Raises:
            TimeoutError: if the event loop does not come to it for 5 s.
        """
        return _families(self._read_in_loop())

    def describe(self) -> Iterable[Metric]:
        """The names of all metrics, so that registering does not collect."""
        return _families(Counter())

    def _read_in_loop(self) -> Counter[_Series]:
        if not self._loop.is_running() or _running_loop() is self._loop:
            return self._read()
        answer: concurrent.futures.Future[Counter[_Series]] = concurrent.futures.Future()
        try:
            self._loop.call_soon_threadsafe(lambda: answer.set_result(self._read()))
            return answer.result(SCRAPE_TIMEOUT_S)
        except (RuntimeError, TimeoutError):
            if self._loop.is_running():
                raise
            return self._read()  # the loop ended meanwhile

    def _read(self) -> Counter[_Series]:
        found = self._past.copy()
        for source in self._sources.values():
            for series, number in _samples(source):
                found[series] += number
        return found


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _samples(source: Source) -> list[tuple[_Series, int]]:
    """Each of its statistics, with its series."""
    if isinstance(source, Producer):
        return _of("producer", source.statistics(), (source.topic.name,))
    labels = source.topic.name, source.group
    statistics = source.statistics()
    if isinstance(statistics, ConsumerStatistics):
        return _of("consumer", statistics, labels)
    return _of("runner", statistics, labels) + _of("consumer", statistics.consumer, labels)


def _of(kind: str, statistics: Any, labels: tuple[str, ...]) -> list[tuple[_Series, int]]:
    return [((kind, name, labels), getattr(statistics, name)) for name in _names(kind)]


def _names(kind: str) -> list[str]:
    return [field.name for field in dataclasses.fields(KINDS[kind]) if field.type is int]


def _is_gauge(series: _Series) -> bool:
    return series[1] in GAUGES[series[0]]


def _families(samples: Counter[_Series]) -> list[Metric]:
    families: dict[tuple[str, str], Metric] = {}
    for kind, of in KINDS.items():
        for name in _names(kind):
            family = GaugeMetricFamily if name in GAUGES[kind] else CounterMetricFamily
            documentation = f"{name} of ombdriver.messaging.{of.__name__}"
            families[kind, name] = family(f"ombdriver_{kind}_{name}", documentation, labels=LABELS[kind])
    for (kind, name, labels), number in sorted(samples.items()):
        families[kind, name].add_metric(labels, number)  # type: ignore[attr-defined]
    return list(families.values())
