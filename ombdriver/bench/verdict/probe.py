"""Does a system sustain a rate? What one probe of a rate search showed -> sustained or not, why not, what limit. Pure.

A rate is sustained when at least 99 % of it is achieved, by the publishers and by each subscription; when this machine
was not the bottleneck, and no more than 0.1 % of the messages met an error (the rules of the verdict); when no
subscription's backlog grows: the upper end of what its growth may be is under 0.5 % of the rate; when nothing is
missing after the drain; and when the SLO is met, if there is one.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

import numpy as np

from ombdriver.bench.metrics.latency import LatencySummary
from ombdriver.bench.spec.thresholds import Check
from ombdriver.bench.verdict.facts import Facts
from ombdriver.bench.verdict.rules import judge
from ombdriver.bench.verdict.trend import inflation

MOST_GROWTH = 0.005
"""Of the rate: a backlog that grows by more is not sustained."""
CONFIDENCE = 1.645
"""Standard errors: the growth is below its upper end with 95 %."""
FEWEST = 8
"""Samples of a backlog that tell its growth."""
BUSY_CORE = 0.9
"""A server that takes more of a core has no more to give."""


class Limit(Enum):
    """What kept a rate from being sustained."""

    GENERATOR = "generator"
    SERVER_CPU = "serverCpu"
    PUBLISHING = "publishing"
    CONSUMERS = "consumers"
    SLO = "slo"


@dataclass(frozen=True, slots=True)
class Growth:
    """How a backlog grows, in messages per second: the slope, and its standard error."""

    slope: float
    error: float

    @property
    def upper(self) -> float:
        """What it is below, with 95 %."""
        return self.slope + CONFIDENCE * self.error

    @property
    def lower(self) -> float:
        """What it is above, with 95 %."""
        return self.slope - CONFIDENCE * self.error


@dataclass(frozen=True, slots=True)
class ProbeObservation:
    """What one probe showed.

    Attributes:
        facts: for the rules of the verdict.
        growth: of the backlog of each subscription; one with too few samples is left out.
        publish, end_to_end: response times.
        slo: what became of it; None when there is none.
        server_cpu: cores that the server took; None when it was not sampled.
        overrun: why the probe was ended early; None when it was not.
        missing: acknowledged messages that a subscription had not got when everything was drained, by its name.
    """

    facts: Facts
    growth: Mapping[str, Growth]
    publish: LatencySummary
    end_to_end: LatencySummary
    slo: Check | None = None
    server_cpu: float | None = None
    overrun: str | None = None
    missing: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Probe:
    """What came of one rate.

    Attributes:
        rate: messages per second that were asked for.
        seconds: how long it was observed, without the time to settle.
        achieved: messages per second that were `published`, and received by each subscription by its name.
        growth: messages per second by which the backlog of each subscription grew, at most; by its name.
        publish, end_to_end: response times.
        server_cpu: cores that the server took; None when it was not sampled.
        held: whether the rate is sustained.
        reasons: why not.
        limit: what kept it from being; None when it is.
    """

    rate: int
    seconds: float
    achieved: Mapping[str, float]
    growth: Mapping[str, float]
    publish: LatencySummary
    end_to_end: LatencySummary
    server_cpu: float | None
    held: bool
    reasons: Sequence[str] = ()
    limit: Limit | None = None


@dataclass(frozen=True, slots=True)
class SearchResult:
    """What a rate search found.

    Attributes:
        probes: all of them, in order.
        sustained: the highest rate that is sustained, in messages per second.
        failing: the lowest rate above it that is not; None when none was found.
    """

    probes: Sequence[Probe]
    sustained: int
    failing: int | None


def backlog_growth(times_s: Sequence[float], backlog: Sequence[int]) -> Growth | None:
    """The slope of a line through samples of a backlog; None when there are too few.

    Neighbouring samples resemble each other, so the error is widened by their correlation.

    Args:
        times_s: when each sample was taken.
        backlog: messages at each.
    """
    if len(times_s) < FEWEST:
        return None
    at, messages = np.array(times_s, np.float64), np.array(backlog, np.float64)
    at -= at.mean()
    spread = float((at * at).sum())
    slope = float((at * messages).sum()) / spread
    residuals = messages - messages.mean() - slope * at
    variance = float((residuals * residuals).sum()) / (len(at) - 2) * inflation(residuals)
    return Growth(slope, math.sqrt(variance / spread))


def is_inconclusive(observed: ProbeObservation, rate: int) -> bool:
    """Whether a longer probe may tell: all is well but for a backlog of which it can't be said whether it grows."""
    most = MOST_GROWTH * rate
    return not _failures(observed) and any(each.lower < most <= each.upper for each in observed.growth.values())


def judge_probe(observed: ProbeObservation, rate: int) -> Probe:
    """The outcome of a probe at `rate`."""
    failures = _failures(observed)
    growing = {name: each.upper for name, each in observed.growth.items() if each.upper >= MOST_GROWTH * rate}
    failures += [
        (
            Limit.CONSUMERS,
            f"the backlog of {name} grows by up to {upper:,.0f} messages/s, above {MOST_GROWTH:.1%} of the rate",
        )
        for name, upper in growing.items()
    ]
    return Probe(
        rate=rate,
        seconds=observed.facts.window_ns / 1e9,
        achieved=observed.facts.achieved,
        growth={name: each.upper for name, each in observed.growth.items()},
        publish=observed.publish,
        end_to_end=observed.end_to_end,
        server_cpu=observed.server_cpu,
        held=not failures,
        reasons=tuple(reason for _, reason in failures),
        limit=_limit([limit for limit, _ in failures], observed.server_cpu),
    )


def _failures(observed: ProbeObservation) -> list[tuple[Limit, str]]:
    """Why the rate is not sustained, but for the growth of backlogs."""
    found: list[tuple[Limit, str]] = []
    for reason in judge(observed.facts).reasons:
        limit = Limit.GENERATOR if reason.status == "INVALID" else Limit.PUBLISHING
        if reason.rule == "achieved" and not reason.message.startswith("published"):
            limit = Limit.CONSUMERS
        found.append((limit, reason.message))
    if observed.overrun is not None:
        found.append((Limit.PUBLISHING, observed.overrun))
    found += [
        (Limit.CONSUMERS, f"{name} did not get {count:,} messages that were acknowledged")
        for name, count in observed.missing.items()
        if count
    ]
    if observed.slo is not None and not observed.slo.passed:
        value = "no sample" if observed.slo.value is None else f"{observed.slo.value:.4g} {observed.slo.unit}".strip()
        found.append((Limit.SLO, f"{observed.slo.expression} is not met: {value}"))
    return found


def _limit(limits: Sequence[Limit], server_cpu: float | None) -> Limit | None:
    """The one that is the cause of the others: a server without a core left slows down all that ask it."""
    if not limits:
        return None
    if Limit.GENERATOR in limits:
        return Limit.GENERATOR
    if server_cpu is not None and server_cpu >= BUSY_CORE:
        return Limit.SERVER_CPU
    return next(limit for limit in (Limit.PUBLISHING, Limit.CONSUMERS, Limit.SLO) if limit in limits)
