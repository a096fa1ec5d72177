"""The drain of a backlog -> `BacklogMeasurements`: of what was due in the build, and later up to its end. Pure."""

from collections.abc import Sequence

from ombdriver.bench.backlog_plan import BacklogPlan
from ombdriver.bench.catching_up import CatchingUp, CaughtUp
from ombdriver.bench.collector import Collector
from ombdriver.bench.measurements import (
    GROUP_FAMILIES,
    BacklogDelivery,
    BacklogMeasurements,
    DrainMeasurements,
    LatencySummaryNs,
)
from ombdriver.bench.recorder import Histogram
from ombdriver.bench.targets import Phase
from ombdriver.bench.window import Window, summarise

PUBLISHED = ("publish", "publishResponse")


class DrainFigures:
    """The figures of one drain.

    Args:
        window: what was measured; it begins with the resume.
        collector: holds the figures.
        built: the phase in which the backlog was built.
        catching_up: how it was drained.
    """

    def __init__(self, window: Window, collector: Collector, built: Phase, catching_up: CatchingUp) -> None:
        self._window, self._collector, self._built, self._catching_up = window, collector, built, catching_up

    def __repr__(self) -> str:
        return f"<DrainFigures {self._catching_up}>"

    def measurements(
        self, plan: BacklogPlan, message_size: int, build_ns: int, delivery: Sequence[BacklogDelivery]
    ) -> BacklogMeasurements:
        """Everything.

        Args:
            plan: what was asked for.
            message_size: bytes, on average.
            build_ns: how long it took to build it.
            delivery: the account of its messages.
        """
        drained, total = self._catching_up, self._catching_up.total
        until, end = self._intervals(total), self._window.intervals
        return BacklogMeasurements(
            asked_bytes=plan.size_bytes,
            asked_messages=plan.messages,
            level=plan.level,
            message_size=message_size,
            build_ns=build_ns,
            subscriptions={
                name: self._drain(name, each, drained.begin[name]) for name, each in drained.subscriptions.items()
            },
            total=self._drain(None, total, sum(drained.begin.values())),
            publish_during={family: self._summary(family, None, 0, until) for family in PUBLISHED},
            publish_after={family: self._summary(family, None, until, end) for family in PUBLISHED},
            delivery=delivery,
            settled_interval=until if drained.done else None,
        )

    def _intervals(self, each: CaughtUp) -> int:
        """Sample intervals, from the first, in which it was drained."""
        return min(self._window.intervals, -(-each.elapsed_ns // self._window.interval_ns))

    def _drain(self, name: str | None, each: CaughtUp, begin: int) -> DrainMeasurements:
        until = self._intervals(each)
        return DrainMeasurements(
            messages=begin,
            left=each.left,
            drain_ns=each.elapsed_ns,
            caught_up=each.done,
            received=each.received,
            backlog_latency={
                family: summarise(self._collector.histogram(self._built, family, name)) for family in GROUP_FAMILIES
            },
            fresh_latency={family: self._summary(family, name, 0, until) for family in GROUP_FAMILIES},
        )

    def _summary(self, family: str, name: str | None, first: int, end: int) -> LatencySummaryNs:
        """Of what was due in the intervals from `first` on, up to before `end`."""
        return summarise(Histogram.total(self._window.histogram(family, name, at) for at in range(first, end)))
