"""The rules of the verdict: facts of a run -> a status and all its reasons. Pure; docs/verdict.md has the same table.

Each rule is a function from `Facts` to the messages that it has to tell, or to why it can't judge. It knows numbers
only: not where they come from, and neither a result nor a file.

The rules of INVALID: was this machine the bottleneck? Each tells what, by how much, and what to do. Pure.

What a pause or a wait does to the figures depends on how many messages it touched. A single one of some milliseconds
happens in every run on every machine and does not move a p99; so those that are counted here make up 1 % of the window
at least, and shorter ones are a caveat. See docs/verdict.md.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ombdriver.bench.verdict.facts import SHORT_NS, DrainFacts, Facts, Found, Unjudged
from ombdriver.bench.verdict.model import (
    INTERRUPTED,
    RUN_FAILED,
    STATUSES,
    THRESHOLD_FAILED,
    VALID,
    WORKER_DIED,
    NotJudged,
    Reason,
    Verdict,
)

WAITING_SHARE = 0.05
"""A worker that waited for a core for less of the window than that is not looked at any closer."""
BUSY_SHARE = 0.9
PAUSED_SHARE = 0.01
"""Pauses that make up more of the window than that reach the p99; so does throttling."""

_LESS_LOAD = "lower the rate, or give the harness more cores (--workers)"


def schedule_lag(facts: Facts) -> Found:
    """Messages were looked at late."""
    lag = facts.schedule_lag_p99_ns
    if lag is None:
        return Unjudged("no message was sent")
    if lag <= facts.bound_ns:
        return []
    return [
        f"the p99 of the schedule lag was {milliseconds(lag)}, above {milliseconds(facts.bound_ns)}: messages were"
        f" sent late by this machine, not by the server; {_LESS_LOAD}"
    ]


def waiting(facts: Facts) -> Found:
    """A worker was ready to run and had no core, for longer than it had one."""
    known = [(worker, worker.run_delay_ns) for worker in facts.workers if worker.run_delay_ns is not None]
    if not known:
        return Unjudged("this system does not tell how long a process waited for a core")
    return [
        f"{worker.name} waited for a core for {delay / facts.window_ns:.0%} of the window, longer than it ran"
        f" ({worker.cpu_ns / facts.window_ns:.0%}); end what else runs here, or {_LESS_LOAD}"
        for worker, delay in known
        if delay > WAITING_SHARE * facts.window_ns and delay > worker.cpu_ns
    ]


def throttled(facts: Facts) -> Found:
    """A container's limit held a worker up."""
    known = [(worker, worker.throttled_ns) for worker in facts.workers if worker.throttled_ns is not None]
    if not known:
        return Unjudged("no limit of a cgroup is known")
    return [
        f"{worker.name} was throttled by its cgroup for {throttled / facts.window_ns:.1%} of the window, above"
        f" {PAUSED_SHARE:.0%}; raise the container's CPU limit, or lower the rate"
        for worker, throttled in known
        if throttled > PAUSED_SHARE * facts.window_ns
    ]


def busy(facts: Facts) -> Found:
    """A worker had hardly anything of its core left."""
    return [
        f"{worker.name} took {worker.cpu_ns / facts.window_ns:.0%} of a core, above {BUSY_SHARE:.0%}; {_LESS_LOAD}"
        for worker in facts.workers
        if worker.cpu_ns > BUSY_SHARE * facts.window_ns
    ]


def collections(facts: Facts) -> Found:
    """The garbage collector held a worker up for long enough to reach the p99."""
    return [
        f"{worker.name} was held up by the garbage collector for {worker.collections_ns / facts.window_ns:.1%} of the"
        f" window, above {PAUSED_SHARE:.0%}, and for {milliseconds(longest)} at once, above"
        f" {milliseconds(facts.bound_ns)}; {_LESS_LOAD}"
        for worker in facts.workers
        if (longest := worker.longest_collection_ns) > facts.bound_ns
        and worker.collections_ns > PAUSED_SHARE * facts.window_ns
    ]


def stalls(facts: Facts) -> Found:
    """Event loops were held up, by whatever it was, for long enough to reach the p99."""
    known = [(worker, worker.stalls_ns) for worker in facts.workers if worker.stalls_ns is not None]
    if not known:
        return Unjudged("nothing was kept of how long event loops were held up")
    return [
        f"the event loop of {worker.name} was held up for {stalled / facts.window_ns:.1%} of the window, above"
        f" {PAUSED_SHARE:.0%}, and for {milliseconds(longest)} at once, above {milliseconds(facts.bound_ns)};"
        f" end what else runs here, or {_LESS_LOAD}"
        for worker, stalled in known
        if (longest := worker.longest_stall_ns or 0) > facts.bound_ns and stalled > PAUSED_SHARE * facts.window_ns
    ]


def milliseconds(ns: float) -> str:
    """`ns` with three digits."""
    return f"{ns / 1e6:.3g} ms"


LEAST_ACHIEVED = 0.99
MOST_ERRORS = 0.001
FEWEST_INTERVALS = 30
TREND_EFFECT = 0.1
TREND_LEVEL = 0.01
"""How likely any trend at all may be told where there is none; the series that are judged share it."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One row of the table.

    Attributes:
        name: as in the result.
        status: what the rule says of a run when it has something to tell.
        threshold: when that is, as in docs/verdict.md.
        judge: does it.
    """

    name: str
    status: str
    threshold: str
    judge: Callable[[Facts], Found]


def judge(facts: Facts) -> Verdict:
    """The verdict: the gravest status that any rule tells, with the reasons of all rules."""
    reasons: list[Reason] = []
    unjudged: list[NotJudged] = []
    for rule in RULES:
        found = rule.judge(facts)
        if isinstance(found, Unjudged):
            unjudged.append(NotJudged(rule.name, found.why))
        else:
            reasons += [Reason(rule.name, rule.status, message) for message in found]
    reasons.sort(key=lambda reason: STATUSES.index(reason.status))
    return Verdict(reasons[0].status if reasons else VALID, tuple(reasons), tuple(unjudged))


# -- PARTIAL, LOSS -----------------------------------------------------------------------------------------------------


def _ended_by(kind: str, way_out: str) -> Callable[[Facts], Found]:
    def judged(facts: Facts) -> Found:
        ended = facts.ending is not None and facts.ending.kind == kind
        return [f"{facts.ending.reason}; {way_out}"] if ended and facts.ending else []

    return judged


def _missing(of: Callable[[Facts], Mapping[str, int] | None], what: str) -> Callable[[Facts], Found]:
    def judged(facts: Facts) -> Found:
        counts = of(facts)
        if counts is None:
            return Unjudged("nothing was kept of which messages were delivered")
        return [f"{name}: {count:,} {what}" for name, count in counts.items() if count > 0]

    return judged


# -- OVERLOADED, UNSTEADY ----------------------------------------------------------------------------------------------


def _achieved(facts: Facts) -> Found:
    if not facts.target_rate or not facts.achieved:
        return Unjudged("nothing was due")
    if facts.ending is not None and facts.window_ns < SHORT_NS:
        return Unjudged("the run was cut short, too soon to tell what the system would have caught up with")
    return [
        f"{name}: {rate:,.0f} of {facts.target_rate:,.0f} messages/s, {rate / facts.target_rate:.1%} of the target,"
        f" under {LEAST_ACHIEVED:.0%}: the system could not; lower the rate, or give the server more"
        for name, rate in facts.achieved.items()
        if rate < LEAST_ACHIEVED * facts.target_rate
    ]


def _errors(facts: Facts) -> Found:
    if not facts.due:
        return Unjudged("nothing was due")
    if facts.errors <= MOST_ERRORS * facts.due:
        return []
    return [
        f"{facts.errors:,} of {facts.due:,} messages met an error, {facts.errors / facts.due:.2%}, above"
        f" {MOST_ERRORS:.1%}; the caveats tell which error it was"
    ]


def _drained(facts: Facts) -> Found:
    if facts.ending is not None and not all(each.caught_up for each in facts.drains):
        return Unjudged("the run was cut short while a backlog was drained")
    return [
        f"{each.subscription} did not drain its backlog: {each.left:,} of {each.messages:,} messages were left after"
        f" {each.drain_ns / 1e9:.1f} s, {_change_told(each)}; add consumers, lower the rate, or give a longer"
        " drainTimeout"
        for each in facts.drains
        if not each.caught_up
    ]


def _change_told(drain: DrainFacts) -> str:
    rate = (drain.messages - drain.left) * 1e9 / max(drain.drain_ns, 1)
    return (
        f"{rate:,.0f} fewer a second" if rate > 0 else f"{-rate:,.0f} more a second, as they are slower than producers"
    )


def _trend_of(names: Sequence[str], way_out: str) -> Callable[[Facts], Found]:
    def judged(facts: Facts) -> Found:
        if facts.rate_changes:
            return Unjudged("the rate changes by its rateProfile, and so does what depends on it")
        judged_ones = [each for each in facts.trends if each.series in names]
        if not judged_ones:
            return Unjudged(
                f"a trend is judged from {FEWEST_INTERVALS} intervals with samples on, of {facts.intervals} here"
                f"{' after the drain' if facts.drains else ''}"
            )
        return [
            f"{each.series} {'rose' if each.change > 0 else 'fell'} by {abs(each.change):.0%} over the window, above"
            f" {TREND_EFFECT:.0%}; {way_out}"
            for each in judged_ones
            if abs(each.change) > TREND_EFFECT and each.p_value < TREND_LEVEL / len(facts.trends)
        ]

    return judged


LATENCY_SERIES = (
    "publishResponseLatency50pct",
    "publishResponseLatency99pct",
    "endToEndResponseLatency50pct",
    "endToEndResponseLatency99pct",
)

_BOUND = "the larger of 2 ms and half of the p99 of `publishResponse`"
_TREND = "above 10 % over the window, at a level of 1 %, from 30 intervals on"
_WHOLE = "run it again for whole figures"

RULES = (
    Rule("interrupted", "PARTIAL", "the run was interrupted", _ended_by(INTERRUPTED, _WHOLE)),
    Rule("workerDied", "PARTIAL", "a worker died, or did not answer", _ended_by(WORKER_DIED, _WHOLE)),
    Rule("runFailed", "PARTIAL", "the server died, or another error ended the run", _ended_by(RUN_FAILED, _WHOLE)),
    Rule(
        "thresholdFailed",
        "PARTIAL",
        "`abortOnFail` ended the run",
        _ended_by(THRESHOLD_FAILED, "leave out --abort-on-fail (abortOnFail) for whole figures"),
    ),
    Rule(
        "lost",
        "LOSS",
        "lost > 0",
        _missing(
            lambda facts: facts.lost,
            "acknowledged messages are lost: gone though never trimmed, or passed over; see `delivery` in the result"
            " and the server's log",
        ),
    ),
    Rule(
        "trimmed",
        "LOSS",
        "trimmed > 0",
        _missing(
            lambda facts: facts.trimmed,
            "acknowledged messages were trimmed before they were read; set a larger retention in the setup",
        ),
    ),
    Rule("scheduleLag", "INVALID", f"p99 of `scheduleLag` above {_BOUND}", schedule_lag),
    Rule(
        "runDelay",
        "INVALID",
        "a worker waited for a core longer than it ran, and for more than 5 % of the window",
        waiting,
    ),
    Rule("throttled", "INVALID", "a worker throttled by its cgroup for more than 1 % of the window", throttled),
    Rule("coreBusy", "INVALID", "a worker took more than 90 % of a core", busy),
    Rule(
        "collections",
        "INVALID",
        f"a collection longer than {_BOUND}, and all of a worker's collections more than 1 % of the window",
        collections,
    ),
    Rule(
        "stalls",
        "INVALID",
        f"a stall of a worker's event loop longer than {_BOUND}, and all of its stalls more than 1 % of the window",
        stalls,
    ),
    Rule("achieved", "OVERLOADED", "published, or received by a group, under 99 % of the target rate", _achieved),
    Rule("errors", "OVERLOADED", "more than 0.1 % of the messages met an error", _errors),
    Rule("backlogDrained", "OVERLOADED", "a subscription did not drain the backlog that was built", _drained),
    Rule(
        "rateTrend",
        "UNSTEADY",
        f"`publishRate` changed: {_TREND}",
        _trend_of(("publishRate",), "run longer, and look at `publishRate` in the result"),
    ),
    Rule(
        "latencyTrend",
        "UNSTEADY",
        f"the p50 or p99 of `publishResponse` or `endToEndResponse` changed: {_TREND}; of 0.5 ms, if that is more",
        _trend_of(LATENCY_SERIES, "give a longer warm-up, run longer, or lower the rate"),
    ),
    Rule(
        "backlogTrend",
        "UNSTEADY",
        f"`backlog` changed: {_TREND}; of what one interval brings, if that is more",
        _trend_of(("backlog",), "consumers do not keep up, or caught up: lower the rate, or add consumers"),
    ),
)
"""In the order of docs/verdict.md; a test holds the two together."""
