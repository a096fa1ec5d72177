"""Does a system sustain a rate? What one probe of a rate search showed -> sustained or not, why not, what limit. Pure.

A rate is sustained when what was due and is not published, or not received by a subscription, does not grow: usually
by no more than 0.1 % of the rate, or else surely by less than 0.5 % and not surely by more than 0.1 %; when this
machine was not the bottleneck, no more than 0.1 % of the messages met an error, and what else the rules of the verdict
say; when nothing is missing after the drain; and when the SLO is met, if there is one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from ombdriver.bench.metrics.latency import LatencySummary
from ombdriver.bench.spec.thresholds import Check
from ombdriver.bench.verdict.debt import Growth
from ombdriver.bench.verdict.facts import Facts
from ombdriver.bench.verdict.model import INVALID
from ombdriver.bench.verdict.rules import judge

MOST_GROWTH = 0.005
"""Of the rate: a debt that may grow by more is not sustained."""
SURE_GROWTH = 0.001
"""Of the rate: nor is one that surely grows by more; a steady system is told apart from its limit that finely."""
BUSY_CORE = 0.9
"""A server that takes more of a core has no more to give."""


OWN_LIMITS = frozenset({"coreBusy", "collections"})
"""Rules by which this machine was the bottleneck, and will be the next time: the harness itself takes so much."""


class Limit(Enum):
    """What kept a rate from being sustained."""

    GENERATOR = "generator"
    SERVER_MEMORY = "serverMemory"
    SERVER_CPU = "serverCpu"
    PUBLISHING = "publishing"
    CONSUMERS = "consumers"
    SLO = "slo"


@dataclass(frozen=True, slots=True)
class ProbeObservation:
    """What one probe showed.

    Attributes:
        facts: for the rules of the verdict.
        growth: of what was due and not `published`, or not received by a subscription; without those of too few looks.
        publish, end_to_end: response times.
        own_parts: the harness's own share of each percentile of which it is more than a third (`own_parts`).
        slo: what became of it; None when there is none.
        server_cpu: cores that the server took; None when it was not sampled.
        overrun: why the probe was ended early; None when it was not.
        shortage: what memory was short, so that the probe was ended early; None when none was.
        missing: acknowledged messages that a subscription had not got when everything was drained, by its name.
    """

    facts: Facts
    growth: Mapping[str, Growth]
    publish: LatencySummary
    end_to_end: LatencySummary
    own_parts: Mapping[str, float] = field(default_factory=dict)
    slo: Check | None = None
    server_cpu: float | None = None
    overrun: str | None = None
    shortage: str | None = None
    missing: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Probe:
    """What came of one rate.

    Attributes:
        rate: messages per second that were asked for.
        seconds: how long it was observed, without the time to settle.
        achieved: messages per second that were `published`, and received by each subscription by its name.
        growth: messages per second by which what was due and not `published`, or not received by a subscription,
            grew at most.
        publish, end_to_end: response times.
        own_parts: of these, as in a result.
        server_cpu: cores that the server took; None when it was not sampled.
        held: whether the rate is sustained.
        reasons: why not.
        limit: what kept it from being; None when it is.
        is_spoilt: whether this machine was the cause, by what need not come again: such a probe says nothing against
            the system, and is worth repeating.
        kept_up: whether nothing but this machine speaks against the rate.
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
    is_spoilt: bool = False
    kept_up: bool = False
    own_parts: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SearchResult:
    """What a rate search found.

    Attributes:
        probes: all of them, in order.
        sustained: the highest rate that is sustained, in messages per second; None when none is known to be, since
            this machine was the cause.
        failing: the lowest rate above it that is not, or that could not be judged on this machine; None when none was
            found.
        unknown: why no rate is known to be sustained; None when one is.
    """

    probes: Sequence[Probe]
    sustained: int | None
    failing: int | None
    unknown: str | None = None

    @property
    def measured(self) -> int:
        """The rate that is measured after the search, in messages per second.

        Where none is known to be sustained, it is the highest at which the system kept up all the same, or else the
        lowest that could not be judged.
        """
        if self.sustained is not None:
            return self.sustained
        unjudged = [each for each in self.probes if each.limit is Limit.GENERATOR]
        return max((each.rate for each in unjudged if each.kept_up), default=min(each.rate for each in unjudged))


def is_inconclusive(observed: ProbeObservation, rate: int) -> bool:
    """Whether a longer probe may tell: all is well but for a debt of which it can't be said whether it grows."""
    most, sure = _bounds(observed, rate)
    doubtful = any(each.lower <= sure and each.upper >= most for each in observed.growth.values())
    return doubtful and not _failures(observed)


def judge_probe(observed: ProbeObservation, rate: int) -> Probe:
    """The outcome of a probe at `rate`.

    A debt that usually does not grow is taken for steady, however much pauses leave in doubt.
    """
    failures = _failures(observed)
    most, sure = _bounds(observed, rate)
    for name, each in observed.growth.items():
        if each.usual <= sure or (each.lower <= sure and each.upper < most):
            continue
        limit, what = (Limit.PUBLISHING, name) if name == "published" else (Limit.CONSUMERS, f"received by {name}")
        sure_of_it = f"grows by {each.slope:,.1f} messages/s, above {SURE_GROWTH:.1%} of the rate"
        in_doubt = f"may grow by up to {each.upper:,.1f} messages/s, above {MOST_GROWTH:.1%} of the rate"
        reason = f"what is due and not {what} {sure_of_it if each.lower > sure else in_doubt}"
        failures.append(_Failure(limit, reason))
    rules = {each.rule for each in failures if each.limit is Limit.GENERATOR}
    return Probe(
        rate=rate,
        seconds=observed.facts.window_ns / 1e9,
        achieved=observed.facts.achieved,
        growth={name: each.upper for name, each in observed.growth.items()},
        publish=observed.publish,
        end_to_end=observed.end_to_end,
        server_cpu=observed.server_cpu,
        held=not failures,
        reasons=tuple(each.reason for each in failures),
        limit=_limit([each.limit for each in failures], observed.server_cpu),
        is_spoilt=bool(rules) and not rules & OWN_LIMITS and observed.shortage is None,
        own_parts=observed.own_parts,
        kept_up=all(each.limit is Limit.GENERATOR for each in failures),
    )


class _Failure(NamedTuple):
    """Something that speaks against a rate; `rule` is that of the verdict, if there is one."""

    limit: Limit
    reason: str
    rule: str = ""


def _bounds(observed: ProbeObservation, rate: int) -> tuple[float, float]:
    """The growth that a debt must not have, and that it must not surely have; one message in the probe is none."""
    one = 1e9 / max(observed.facts.window_ns, 1)
    return max(MOST_GROWTH * rate, one), max(SURE_GROWTH * rate, one)


def _failures(observed: ProbeObservation) -> list[_Failure]:
    """Why the rate is not sustained, but for the growth of backlogs."""
    found: list[_Failure] = []
    for reason in judge(observed.facts).reasons:
        limit = Limit.GENERATOR if reason.status == INVALID else Limit.PUBLISHING
        if reason.rule == "achieved" and not reason.message.startswith("published"):
            limit = Limit.CONSUMERS
        found.append(_Failure(limit, reason.message, reason.rule))
    if observed.overrun is not None:
        found.append(_Failure(Limit.PUBLISHING, observed.overrun))
    if observed.shortage is not None:
        found.append(_Failure(Limit.SERVER_MEMORY, observed.shortage))
    found += [
        _Failure(Limit.CONSUMERS, f"{name} did not get {count:,} messages that were acknowledged")
        for name, count in observed.missing.items()
        if count
    ]
    if observed.slo is not None and not observed.slo.passed:
        value = "no sample" if observed.slo.value is None else f"{observed.slo.value:.4g} {observed.slo.unit}".strip()
        found.append(_Failure(Limit.SLO, f"{observed.slo.expression} is not met: {value}"))
    return found


def _limit(limits: Sequence[Limit], server_cpu: float | None) -> Limit | None:
    """The one that is the cause of the others: a server without a core left slows down all that ask it."""
    if not limits:
        return None
    if Limit.SERVER_MEMORY in limits:
        return Limit.SERVER_MEMORY
    if Limit.GENERATOR in limits:
        return Limit.GENERATOR
    if server_cpu is not None and server_cpu >= BUSY_CORE:
        return Limit.SERVER_CPU
    return next(limit for limit in (Limit.PUBLISHING, Limit.CONSUMERS, Limit.SLO) if limit in limits)
