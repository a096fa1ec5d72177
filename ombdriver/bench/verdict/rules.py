"""The rules of the verdict, as one table: facts of a run -> a status and all its reasons. Pure.

Each rule is a function from `Facts` to its messages, or to why it can't be applied; it knows neither a result nor where
the facts come from. docs/verdict.md has the same table and says why the bounds are as they are.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ombdriver.bench.metrics.figures import Figure
from ombdriver.bench.metrics.summary import DrainMetrics
from ombdriver.bench.verdict.facts import LEAST_LAG_NS, SHORT_NS, Facts, NotApplicable, RuleResult, WorkerFacts
from ombdriver.bench.verdict.model import (
    INTERRUPTED,
    RUN_FAILED,
    SERVER_MEMORY,
    STATUSES,
    THRESHOLD_FAILED,
    VALID,
    WORKER_DIED,
    NotJudged,
    Reason,
    Verdict,
)
from ombdriver.bench.verdict.trend import FEWEST_INTERVALS


@dataclass(frozen=True, slots=True)
class Rule:
    """One row of a table of rules.

    Attributes:
        name: as in the result.
        status: what the rule says of a run when it has a message; `CAVEAT` for what leaves the verdict as it is.
        when: in which case it has one, as in the documents.
        find: gives the messages.
    """

    name: str
    status: str
    when: str
    find: Callable[[Facts], RuleResult]


def judge(facts: Facts) -> Verdict:
    """The verdict: the gravest status that any rule gives, with the reasons of all rules."""
    reasons: list[Reason] = []
    not_judged: list[NotJudged] = []
    for rule in RULES:
        found = rule.find(facts)
        if isinstance(found, NotApplicable):
            not_judged.append(NotJudged(rule.name, found.why))
        else:
            reasons += [Reason(rule.name, rule.status, message) for message in found]
    reasons.sort(key=lambda reason: STATUSES.index(reason.status))
    return Verdict(reasons[0].status if reasons else VALID, tuple(reasons), tuple(not_judged))


def milliseconds(ns: float) -> str:
    """`ns` with three digits."""
    return f"{ns / 1e6:.3g} ms"


# -- PARTIAL, LOSS -----------------------------------------------------------------------------------------------------


def _ended_by(kind: str, advice: str) -> Callable[[Facts], RuleResult]:
    def find(facts: Facts) -> RuleResult:
        ending = facts.ending
        return [f"{ending.reason}; {advice}"] if ending is not None and ending.kind == kind else []

    return find


def _fault_failed(facts: Facts) -> RuleResult:
    """What was asked of the run was not done, or only in part."""
    return [
        f"fault {each.number} ({each.text}) at {each.asked_ns / 1e9:g} s was not carried out as asked: {each.error};"
        " mend that, and run it again"
        for each in facts.faults
        if each.error is not None
    ]


def _missing(of: Callable[[Facts], Mapping[str, int] | None], what: str) -> Callable[[Facts], RuleResult]:
    def find(facts: Facts) -> RuleResult:
        counts = of(facts)
        if counts is None:
            return NotApplicable("nothing was kept of which messages were delivered")
        return [f"{name}: {count:,} {what}" for name, count in counts.items() if count > 0]

    return find


# -- CORRUPT -----------------------------------------------------------------------------------------------------------


def _corrupt(facts: Facts) -> RuleResult:
    if facts.corrupt is None:
        return NotApplicable("messages had no checksums (checksum: true)")
    return [
        f"{name}: {count:,} messages were not as they were sent, by their checksum; see the server and what is between"
        for name, count in facts.corrupt.items()
        if count > 0
    ]


def _duplicated(facts: Facts) -> RuleResult:
    """A fault makes repetition right for a system that delivers at least once; then it is a caveat."""
    if facts.duplicated is None:
        return NotApplicable("nothing was kept of which messages were delivered")
    if facts.explains_repetition:
        return []
    return [
        f"{name}: {count:,} times a message came again, though no connection, server or send had failed; see who else"
        " writes to the streams, or sets groups back"
        for name, count in facts.duplicated.items()
        if count > 0
    ]


# -- INVALID: this machine was the bottleneck --------------------------------------------------------------------------
# What a pause or a wait does to the figures depends on how many messages it touched. A single one of some milliseconds
# happens in every run on every machine and does not move a p99; so those that count here make up 1 % of the window at
# least, and shorter ones are a caveat.

BOUND = "the larger of 2 ms and half of the p99 of `publishResponse`"
"""`Facts.bound_ns` in words."""
WORKERS_BOUND = (
    "the larger of 2 ms and half of the p99 of what the worker delays (producers `publishResponse`, consumers"
    " `endToEndResponse`)"
)
"""`Facts.bound_of` in words."""
WAITING_SHARE = 0.05
"""A worker that waited for a core for less of the window than that is never INVALID."""
BUSY_SHARE = 0.9
STARVED_SHARE = 0.95
"""A worker that ran or waited for a core for more of the window than that had none to spare."""
MOST_BELOW_ZERO = 0.001
"""Of the messages; latencies below 0. Single ones may be a processor's clock that is some nanoseconds off."""
PAUSED_SHARE = 0.01
"""Pauses that make up more of the window than that reach the p99; so does throttling."""

_LESS_LOAD = "lower the rate, or give the harness more cores (--workers)"


def _schedule_lag(facts: Facts) -> RuleResult:
    """Workers woke late for messages that were due."""
    lag = facts.schedule_lag_p99_ns
    if lag is None:
        return NotApplicable("no message was sent")
    if lag <= facts.bound_ns:
        return []
    return [
        f"the p99 of the schedule lag was {milliseconds(lag)}, above {milliseconds(facts.bound_ns)}: messages were"
        f" sent late by {_latest_machine(facts)}, not by the server; {_LESS_LOAD}"
    ]


def _latest_machine(facts: Facts) -> str:
    """This machine, or of several hosts that whose event loops came latest to what was due."""
    sending = [each for each in facts.workers if each.host and each.role != "consume" and each.lateness.count]
    if not sending:
        return "this machine" if not facts.is_elsewhere else "the hosts"
    worst = max(sending, key=lambda each: each.lateness.p99)
    return f"the hosts, by host {worst.host} most of all"


def _run_delay(facts: Facts) -> RuleResult:
    """A worker was ready to run and had no core, for longer than it had one."""
    known = [worker for worker in facts.workers if worker.run_delay_ns]
    if not known:
        return NotApplicable("this system does not tell how long a process waited for a core")
    return [
        f"{worker.name} waited for a core for {worker.run_delay_ns / facts.window_ns:.0%} of the window, longer than it"
        f" ran ({worker.cpu_ns / facts.window_ns:.0%}); end what else runs here, or {_LESS_LOAD}"
        for worker in known
        if worker.run_delay_ns > WAITING_SHARE * facts.window_ns and worker.run_delay_ns > worker.cpu_ns
    ]


def _starved(facts: Facts) -> RuleResult:
    """A worker had no time left: it ran, or waited for a core, nearly all the time."""
    known = [worker for worker in facts.workers if worker.run_delay_ns]
    if not known:
        return NotApplicable("this system does not tell how long a process waited for a core")
    return [
        f"{worker.name} ran for {worker.cpu_ns / facts.window_ns:.0%} of the window and waited for a core for"
        f" {worker.run_delay_ns / facts.window_ns:.0%}, together above {STARVED_SHARE:.0%}"
        f"{'' if worker.role == 'consume' else ', and messages were sent late'}: it had no time to spare; end what else"
        f" runs here, or {_LESS_LOAD}"
        for worker in known
        if _had_no_time(worker, facts.window_ns) and (facts.is_late or worker.role == "consume")
    ]


def _had_no_time(worker: WorkerFacts, window_ns: int) -> bool:
    """One that spins runs all the time, so that only what it did not get says anything."""
    if worker.spins:
        return worker.run_delay_ns > WAITING_SHARE * window_ns
    return worker.cpu_ns + worker.run_delay_ns > STARVED_SHARE * window_ns


def _server_starved(facts: Facts) -> RuleResult:
    """As `_run_delay`, of the servers that the run started."""
    telemetry = facts.telemetry
    waited = telemetry.server_process_waiting.mean if telemetry else None
    ran = telemetry.server_process_cpu.mean if telemetry else None
    if waited is None or ran is None:
        return NotApplicable("nobody saw how long a server waited for a core: the run started none, or looked too late")
    if waited <= WAITING_SHARE or waited <= ran:
        return []
    where = next((f" on host {each.name}" for each in facts.hosts if each.servers), "")
    way_out = "let them have a host of their own" if where else "use a server on another machine (--url)"
    return [
        f"the servers of this run{where} waited for a core for {waited:.0%} of the window, longer than they ran"
        f" ({ran:.0%}); end what else runs {'there' if where else 'here'}, lower the rate, or {way_out}"
    ]


def _steal(facts: Facts) -> RuleResult:
    """Who runs the machine of a worker ran others on its processors, and messages were sent late."""
    shares = facts.stolen_shares
    if not shares:
        return NotApplicable("this system does not tell what its host took of its processors")
    return [
        f"a processor of {machine} was taken away by its host (steal) for {share:.1%} of the window, above"
        f" {PAUSED_SHARE:.0%}, and messages were sent late; use a machine whose processors are its own, or lower the"
        " rate"
        for machine, share in shares.items()
        if share > PAUSED_SHARE and facts.is_late
    ]


def _throttled(facts: Facts) -> RuleResult:
    """A container's limit held a worker up."""
    known = [(worker, worker.throttled_ns) for worker in facts.workers if worker.throttled_ns is not None]
    if not known:
        return NotApplicable("no limit of a cgroup is known")
    return [
        f"{worker.name} was throttled by its cgroup for {throttled / facts.window_ns:.1%} of the window, above"
        f" {PAUSED_SHARE:.0%}; raise the container's CPU limit, or lower the rate"
        for worker, throttled in known
        if throttled > PAUSED_SHARE * facts.window_ns
    ]


def _core_busy(facts: Facts) -> RuleResult:
    """A worker had hardly anything of its core left."""
    return [
        f"{worker.name} took {worker.cpu_ns / facts.window_ns:.0%} of a core, above {BUSY_SHARE:.0%}; {_LESS_LOAD}"
        for worker in facts.workers
        if worker.cpu_ns > BUSY_SHARE * facts.window_ns and not worker.spins
    ]


def _collections(facts: Facts) -> RuleResult:
    """The garbage collector held a worker up for long enough to reach the p99."""
    return [
        f"{worker.name} was held up by the garbage collector for {worker.collections_ns / facts.window_ns:.1%} of the"
        f" window, above {PAUSED_SHARE:.0%}, and for {milliseconds(worker.longest_collection_ns)} at once, above"
        f" {milliseconds(bound_ns)}; {_LESS_LOAD}"
        for worker, bound_ns in ((each, facts.bound_of(each)) for each in facts.workers)
        if worker.longest_collection_ns > bound_ns and worker.collections_ns > PAUSED_SHARE * facts.window_ns
    ]


def _stalls(facts: Facts) -> RuleResult:
    """Event loops were held up, by whatever it was, for long enough or so often that the p99 is theirs."""
    found = []
    for worker in facts.workers:
        if worker.planned_name in facts.paused_workers:
            continue
        bound_ns, late = facts.bound_of(worker), worker.lateness
        if worker.longest_stall_ns > bound_ns and worker.stalls_ns > PAUSED_SHARE * facts.window_ns:
            what = (
                f"was held up for {worker.stalls_ns / facts.window_ns:.1%} of the window, above {PAUSED_SHARE:.0%}, and"
                f" for {milliseconds(worker.longest_stall_ns)} at once, above {milliseconds(bound_ns)}"
            )
        elif late.count and late.p99 > bound_ns:
            what = f"came late by {milliseconds(late.p99)} (p99), above {milliseconds(bound_ns)}"
        elif late.count and late.p95 > LEAST_LAG_NS:
            what = f"came late by more than {milliseconds(LEAST_LAG_NS)} for more than 5 % of the window"
        else:
            continue
        found.append(f"the event loop of {worker.name} {what}; end what else runs here, or {_LESS_LOAD}")
    return found


def _clock(facts: Facts) -> RuleResult:
    """Arrivals came before their sends: the clock of this machine can't tell latencies."""
    if 0 < facts.clock_error_ns < facts.most_negative_ns:
        return [
            f"an end-to-end latency was {milliseconds(facts.most_negative_ns)} below 0, more than the"
            f" {milliseconds(facts.clock_error_ns)} that the clocks of the hosts may be wrong by: this bound does not"
            " hold, so no latency between hosts can be trusted; look for what steps their clocks, and run again"
        ]
    if facts.clock_error_ns or facts.negative <= MOST_BELOW_ZERO * facts.due:
        return []  # between hosts, what is within the bound is not resolved: marks and `clocksOfHosts` tell that
    return [
        f"{facts.negative:,} latencies were below 0, more than {MOST_BELOW_ZERO:.1%} of the {facts.due:,} messages: a"
        " clock went backwards, and no latency can be trusted; run on one host, with a steady clock source"
    ]


def _rate_unknown(facts: Facts) -> RuleResult:
    """The rate of the window is not what the search was to find, whatever the window itself was like."""
    if facts.rate_unknown is None:
        return []
    return [
        f"{facts.rate_unknown}; run it when nothing else runs here, try lower rates, or give the harness more cores"
        " (--workers)"
    ]


# -- OVERLOADED, UNSTEADY ----------------------------------------------------------------------------------------------

LEAST_ACHIEVED = 0.99
MOST_ERRORS = 0.001
ERRORS_EXPLAIN = 0.5
"""Errors of more than that share of what is missing are why a rate was not achieved."""
TREND_EFFECT = 0.1
TREND_LEVEL = 0.01
"""How likely any trend at all may be found where there is none; the series that are judged share it."""
LATENCY_TRENDS = {
    f"{family}Latency{percentile}pct": Figure(family, f"p{percentile}")
    for family in ("publishResponse", "endToEndResponse")
    for percentile in (50, 99)
}
"""The series of latencies whose trends are judged, and the figure of each interval that it is made of."""


def _achieved(facts: Facts) -> RuleResult:
    if not facts.target_rate or not facts.achieved:
        return NotApplicable("nothing was due")
    if facts.ending is not None and facts.window_ns < SHORT_NS:
        return NotApplicable("the run was cut short, too soon to tell what the system would have caught up with")
    return [
        f"{name}: {rate:,.0f} of {facts.target_rate:,.0f} messages/s, {rate / facts.target_rate:.1%} of the target,"
        f" under {LEAST_ACHIEVED:.0%}: {_why_short(facts, rate)}"
        for name, rate in facts.achieved.items()
        if rate < LEAST_ACHIEVED * facts.target_rate and not keeps_up(facts, name)
    ]


def errors_explain(facts: Facts, rate: float) -> bool:
    """Whether messages that met an error are most of what a rate lacks."""
    missing = (facts.target_rate - rate) * facts.window_ns / 1e9
    return facts.errors > ERRORS_EXPLAIN * missing


def _why_short(facts: Facts, rate: float) -> str:
    """What kept the rate below its target: messages that met an error, or that the system was too slow."""
    if errors_explain(facts, rate):
        return f"{facts.errors:,} messages met an error; the caveats tell which, and what to do about it"
    return "the system could not; lower the rate, or give the server more"


def keeps_up(facts: Facts, name: str) -> bool:
    """Whether the debt does not grow: what is missing was due too shortly before the end to be answered, and was later.

    That is the usual time of an answer, or of a pause, whether it is in the middle of the window or at its end.
    """
    growth = facts.debt_growth.get(name, facts.target_rate)
    never = 0 if facts.faults else facts.unsent + facts.unanswered
    return growth <= (1 - LEAST_ACHIEVED) * facts.target_rate and never <= (1 - LEAST_ACHIEVED) * facts.due


def _errors(facts: Facts) -> RuleResult:
    if not facts.due:
        return NotApplicable("nothing was due")
    if facts.errors <= MOST_ERRORS * facts.due:
        return []
    return [
        f"{facts.errors:,} of {facts.due:,} messages met an error, {facts.errors / facts.due:.2%}, above"
        f" {MOST_ERRORS:.1%}; the caveats tell which error it was, and what to do about it"
    ]


def _undelivered(facts: Facts) -> RuleResult:
    if facts.ending is not None:
        return NotApplicable("the run was cut short, and the drain with it")
    return [
        f"{name} had not received {count:,} of {facts.due:,} messages when the drain ended, {count / facts.due:.2%},"
        f" above {MOST_ERRORS:.1%}; add consumers, lower the rate, or give a longer drainTimeout"
        for name, count in (facts.beyond_faults(facts.undelivered, "undelivered") or {}).items()
        if facts.due and count > MOST_ERRORS * facts.due
    ]


def _unanswered(facts: Facts) -> RuleResult:
    if facts.ending is not None:
        return NotApplicable("the run was cut short, and the drain with it")
    if facts.faults:
        return NotApplicable("faults were injected, and what had no answer may be theirs")
    if facts.unanswered <= MOST_ERRORS * facts.due:
        return []
    return [
        f"{facts.unanswered:,} of {facts.due:,} messages had no reply when the drain ended,"
        f" {facts.unanswered / facts.due:.2%}, above {MOST_ERRORS:.1%}; lower the rate, or give a longer drainTimeout"
    ]


def _backlog_drained(facts: Facts) -> RuleResult:
    if facts.ending is not None and not all(each.caught_up for each in facts.drains.values()):
        return NotApplicable("the run was cut short while a backlog was drained")
    return [
        f"{name} did not drain its backlog: {each.left:,} of {each.messages:,} messages were left after"
        f" {each.drain_ns / 1e9:.1f} s, {_change(each)}; add consumers, lower the rate, or give a longer drainTimeout"
        for name, each in facts.drains.items()
        if not each.caught_up
    ]


def _change(drain: DrainMetrics) -> str:
    rate = drain.drain_rate
    return (
        f"{rate:,.0f} fewer a second" if rate > 0 else f"{-rate:,.0f} more a second, as they are slower than producers"
    )


def _trend_of(names: Sequence[str], advice: str) -> Callable[[Facts], RuleResult]:
    def find(facts: Facts) -> RuleResult:
        if facts.faults:
            return NotApplicable("faults were injected, and what they changed is told of each")
        if facts.rate_changes:
            return NotApplicable("the rate changes by its rateProfile, and so does what depends on it")
        trends = {name: each for name, each in facts.trends.items() if name in names}
        if not trends:
            return NotApplicable(
                f"a trend is judged from {FEWEST_INTERVALS} intervals with samples on, of {facts.intervals} here"
                f"{' after the drain' if facts.drains else ''}"
            )
        return [
            f"{name} {'rose' if each.change > 0 else 'fell'} by {abs(each.change):.0%} over the window, above"
            f" {TREND_EFFECT:.0%}; {advice}"
            for name, each in trends.items()
            if abs(each.change) > TREND_EFFECT and each.p_value < TREND_LEVEL / len(facts.trends)
        ]

    return find


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
    Rule("faultFailed", "PARTIAL", "a fault could not be injected, or not be healed", _fault_failed),
    Rule(
        "lost",
        "LOSS",
        "lost > 0; what a fault lost counts only where the setup promises that such a fault loses nothing",
        _missing(
            lambda facts: facts.beyond_faults(facts.lost, "lost"),
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
    Rule("corrupt", "CORRUPT", "corrupt > 0: the checksum of a message did not fit", _corrupt),
    Rule(
        "duplicated",
        "CORRUPT",
        "messages came twice (`duplicated`, `redelivered`, `repeated`), and no lost connection, ended server, failed or"
        " unanswered send explains it",
        _duplicated,
    ),
    Rule("scheduleLag", "INVALID", f"p99 of `scheduleLag` above {BOUND}", _schedule_lag),
    Rule(
        "runDelay",
        "INVALID",
        "a worker waited for a core longer than it ran, and for more than 5 % of the window",
        _run_delay,
    ),
    Rule(
        "starved",
        "INVALID",
        "a worker ran or waited for a core for more than 95 % of the window, one that spins waited for more than 5 %."
        f" A producer only where the p99 of `publishDelay` was above {BOUND} as well",
        _starved,
    ),
    Rule(
        "serverStarved",
        "INVALID",
        "servers that the run started waited for a core longer than they ran, and for more than 5 % of the window",
        _server_starved,
    ),
    Rule(
        "steal",
        "INVALID",
        "the host of a machine with workers took one of its processors away for more than 1 % of the window, and the"
        f" p99 of `publishDelay` was above {BOUND}",
        _steal,
    ),
    Rule("throttled", "INVALID", "a worker throttled by its cgroup for more than 1 % of the window", _throttled),
    Rule("coreBusy", "INVALID", "a worker took more than 90 % of a core, and does not spin", _core_busy),
    Rule(
        "collections",
        "INVALID",
        f"a collection longer than {WORKERS_BOUND}, and all of a worker's collections more than 1 % of the window",
        _collections,
    ),
    Rule(
        "stalls",
        "INVALID",
        f"a worker's event loop came late: its p99 above {WORKERS_BOUND}; or by more than 2 ms for more than 5 % of the"
        " window; or a stall longer than that bound, and all of its stalls more than 1 % of the window",
        _stalls,
    ),
    Rule(
        "clock",
        "INVALID",
        "latencies below 0, more than 0.1 % of the messages: a clock went backwards; on several hosts, one that is"
        " further below 0 than their clocks may be wrong by",
        _clock,
    ),
    Rule(
        "rateUnknown",
        "INVALID",
        "a rate was looked for, none held, and at one of them or more this machine was the cause",
        _rate_unknown,
    ),
    Rule(
        SERVER_MEMORY,
        "OVERLOADED",
        "a phase was ended since hardly any memory was left to a server, or to its machine",
        _ended_by(SERVER_MEMORY, "more came in than was read and trimmed; lower the rate, or give it more memory"),
    ),
    Rule(
        "achieved",
        "OVERLOADED",
        "published, or received by a group, under 99 % of the target rate, and what was due and not answered usually"
        " grew by more than 1 % of it (or more than 1 % was never answered)",
        _achieved,
    ),
    Rule("errors", "OVERLOADED", "more than 0.1 % of the messages met an error", _errors),
    Rule("undelivered", "OVERLOADED", "a group had not received more than 0.1 % when the drain ended", _undelivered),
    Rule("unanswered", "OVERLOADED", "more than 0.1 % had no reply when the drain ended", _unanswered),
    Rule("backlogDrained", "OVERLOADED", "a group did not drain the backlog that was built", _backlog_drained),
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
        _trend_of(tuple(LATENCY_TRENDS), "give a longer warm-up, run longer, or lower the rate"),
    ),
    Rule(
        "backlogTrend",
        "UNSTEADY",
        f"`backlog` changed: {_TREND}; of what one interval brings, if that is more",
        _trend_of(("backlog",), "consumers do not keep up, or caught up: lower the rate, or add consumers"),
    ),
)
"""In the order of docs/verdict.md; a test compares the two."""
