"""The measured window by the stretches of its profile: what was asked for and done, and how long it took. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from ombdriver.bench.measurements import LatencySummaryNs, Measurements
from ombdriver.bench.profile import Profile, Stretch
from ombdriver.bench.recorder import Histogram
from ombdriver.bench.window import summarise

MOST_STRETCHES = 50
"""Of more none is told: then it is a curve, which the series tell."""


class Samples(Protocol):
    """The window; `window.Window` is one."""

    @property
    def length_ns(self) -> int:
        """How long it is."""
        ...

    @property
    def interval_ns(self) -> int:
        """How long its sample intervals are; the last one may be shorter."""
        ...

    def histogram(self, family: str, group: str | None = None, interval: int | None = None) -> Histogram:
        """The samples of a family in one interval."""
        ...


@dataclass(frozen=True, slots=True)
class OfStretch:
    """The sample intervals that lie within one stretch.

    Attributes:
        stretch: which.
        begin_ns: of the first of these intervals, from the beginning of the window.
        end_ns: of the last one.
        target_rate: messages per second that were asked for.
        publish_rate: acknowledged.
        consume_rate: received, by all groups together.
        backlog: the highest, over all groups.
        publish: the publish latency from the intended send, of the messages that were due in it.
        end_to_end: likewise, the end-to-end latency.
    """

    stretch: Stretch
    begin_ns: int
    end_ns: int
    target_rate: float
    publish_rate: float
    consume_rate: float
    backlog: int
    publish: LatencySummaryNs
    end_to_end: LatencySummaryNs


def by_stretch(window: Samples, measured: Measurements, profile: Profile | None) -> list[OfStretch]:
    """Each stretch of `profile` that was measured and is long enough to hold a sample; none of one without a change."""
    if profile is None or not 1 < len(profile.stretches) <= MOST_STRETCHES:
        return []
    return list(_each(window, measured, profile))


def _each(window: Samples, measured: Measurements, profile: Profile) -> Iterator[OfStretch]:
    step, length, end = window.interval_ns, window.length_ns, 0
    for stretch in profile.stretches:
        begin, end = end, end + stretch.duration_ns
        first = -(-begin // step)
        last = len(measured.publish_rate) if end >= length else end // step
        if begin >= length or first >= last:
            continue
        every = range(first, last)
        lengths = [min((at + 1) * step, length) - at * step for at in every]
        yield OfStretch(
            stretch,
            first * step,
            min(last * step, length),
            _mean(measured.target_rates[first:last], lengths),
            _mean(measured.publish_rate[first:last], lengths),
            _mean(measured.consume_rate[first:last], lengths),
            max(measured.backlog[first:last]),
            *(
                summarise(Histogram.total(window.histogram(family, None, at) for at in every))
                for family in ("publishResponse", "endToEndResponse")
            ),
        )


def _mean(rates: Sequence[float], lengths: Sequence[int]) -> float:
    return sum(rate * length for rate, length in zip(rates, lengths, strict=True)) / sum(lengths)
