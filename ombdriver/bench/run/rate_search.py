"""Looks for the highest rate that a system sustains: which rates are probed, and the probes themselves.

A rate is probed by a phase of its own, which is judged after the time that it needs to settle; between two, everything
is drained. A rate that is far too high is given up early, before what it leaves behind fills the server. A probe that
this machine has spoilt says nothing of the system, and is made again. Which rate comes next is decided by `Bisection`,
which knows no phase.
"""

import logging
import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from ombdriver.bench.drivers.sample import ServerStatus
from ombdriver.bench.load.phase import Phase
from ombdriver.bench.metrics.phase_view import PhaseView
from ombdriver.bench.plan.plan import Plan
from ombdriver.bench.run.events import RunState
from ombdriver.bench.run.measurement import Measurement
from ombdriver.bench.run.phases import Phases
from ombdriver.bench.spec.fields import MAX_RATE
from ombdriver.bench.spec.thresholds import Threshold
from ombdriver.bench.units import SECOND
from ombdriver.bench.verdict.facts import with_latencies
from ombdriver.bench.verdict.live import running_facts
from ombdriver.bench.verdict.own_parts import own_parts
from ombdriver.bench.verdict.probe import Limit, Probe, ProbeObservation, SearchResult, is_inconclusive, judge_probe
from ombdriver.errors import RunError

logger = logging.getLogger(__name__)

# -- which rate comes next ---------------------------------------------------------------------------------------------

NARROW = 1.02
"""The interval is narrow when its upper end is not more than that times its lower one."""
STEP = 1.1
"""So much above the rate that was found must fail."""
DOWN = 10
"""As long as no rate holds, the next one is that part of the last."""
MAJORITY = 2
"""Of three probes, so many decide."""
MOST_PROBES = 60
"""A system whose probes come out at random would be probed for ever."""
MOST_UNJUDGED = 3
"""Rates that this machine keeps from being judged before the search ends, when none has been found to hold: a tenth of
the rate, and a tenth of that, would have been a load for any machine that had its time to itself."""


@dataclass(slots=True)
class _Votes:
    held: int = 0
    failed: int = 0

    @property
    def surely_held(self) -> bool:
        return self.held >= MAJORITY and self.held > self.failed

    @property
    def surely_failed(self) -> bool:
        return self.failed >= MAJORITY and self.failed > self.held


@dataclass(slots=True)
class Bisection:
    """Finds the highest rate that holds: `rate` is to be probed, `add` takes the outcome, until `rate` is None. Pure.

    A rate holds or does not by the majority of at most three probes. First rates are doubled (or brought down to a
    tenth, while none holds) until one that holds and one that does not are known. Then the interval between the two is
    halved on a logarithmic scale until it is narrow. What was found by single probes is then probed again: its lower
    end must hold in two of three probes, its upper end must fail in two of three, and so must a rate that is a step
    higher. If one of these holds after all, then a probe had failed by chance, and the search goes on from there; if
    the lower end does not, it goes on below. So a probe that was spoilt costs time, and does not move the result.

    A rate that can't be judged (`pass_over`) has no vote: what is known of it stays, and it is tried no more. One of
    which nothing is known is an upper end like one that does not hold, until a rate above it holds.

    Args:
        start: the rate to begin with, messages per second.
        least: rates below are not tried.
        most: nor are rates above.

    Attributes:
        probes: how many outcomes there are.
        sustained: the highest rate that is said to hold; 0 when none does.
        failing: the lowest rate above it that is said not to hold, or could not be judged; None when none is known.
        rate: what is to be tried next; None when the search is over.
    """

    start: int
    least: int = 1
    most: int = 10_000_000
    probes: int = 0
    sustained: int = 0
    failing: int | None = None
    rate: int | None = None
    _votes: dict[int, _Votes] = field(default_factory=dict)
    _unjudged: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.start = min(max(self.start, self.least), self.most)
        self.rate = self.start

    def add(self, held: bool) -> None:
        """The probe at `rate` held, or did not."""
        assert self.rate is not None
        votes = self._votes.setdefault(self.rate, _Votes())
        votes.held, votes.failed = votes.held + held, votes.failed + (not held)
        self._go_on()

    def pass_over(self) -> None:
        """What probes at `rate` showed says nothing of the system."""
        assert self.rate is not None
        self._votes.setdefault(self.rate, _Votes())
        self._unjudged.add(self.rate)
        self._go_on()

    def _go_on(self) -> None:
        self.probes += 1
        self._count_votes()
        self.rate = None if self.probes >= MOST_PROBES else self._next()

    def _count_votes(self) -> None:
        """The interval by all votes; where a rate surely holds, those below it hold as well."""
        floor = max((rate for rate, votes in self._votes.items() if votes.surely_held), default=0)
        failing = [rate for rate, votes in self._votes.items() if votes.failed > votes.held and rate > floor]
        lowest = min(failing, default=None)
        holding = [rate for rate, votes in self._votes.items() if votes.held > votes.failed]
        self.sustained = max((rate for rate in holding if lowest is None or rate < lowest), default=0)
        unjudged = [rate for rate in self._unjudged if self._is_open(rate) and rate > self.sustained]
        self.failing = min([*failing, *unjudged], default=None)

    def _is_open(self, rate: int) -> bool:
        """Whether as many probes held as did not: none, most often."""
        votes = self._votes[rate]
        return votes.held == votes.failed

    def _next(self) -> int | None:
        for rate in self._votes:
            if self._is_open(rate) and rate not in self._unjudged:
                return rate
        if self.failing is None:
            return None if self.sustained >= self.most else min(self.most, self.sustained * 2)
        if not self.sustained:
            if self.failing <= self.least or len(self._unjudged) >= MOST_UNJUDGED:
                return None
            return max(self.least, self.failing // DOWN)
        if self.failing > max(self.sustained * NARROW, self.sustained + 1):
            return max(self.sustained + 1, math.isqrt(self.sustained * self.failing))
        return self._unconfirmed()

    def _unconfirmed(self) -> int | None:
        """What has to be probed again before the interval is believed."""
        assert self.failing is not None
        if not self._votes[self.sustained].surely_held and self.sustained not in self._unjudged:
            return self.sustained
        for rate in (self.failing, self.step):
            if not self._votes.get(rate, _Votes()).surely_failed and rate not in self._unjudged:
                return rate
        return None

    @property
    def step(self) -> int:
        """The rate above what was found that has to fail."""
        return min(self.most, max(round(self.sustained * STEP), self.sustained + 1))


# -- the probes --------------------------------------------------------------------------------------------------------

SETTLE_NS = 2 * SECOND
"""What comes before is left out of a probe."""
STEP_NS = SECOND // 10
"""Between two looks at the backlog."""
LONGEST = 3
"""A probe of which it can't be said whether a debt grows goes on for up to so many times its length."""
MOST_OVERDUE_S = 1.0
"""Seconds of the rate that may be overdue before a probe is given up."""
MOST_TRIES = 3
"""Of a probe that this machine spoils; it may be others that were there for a moment."""
MOST_SPOILT = 20
"""Probes that are made again in a search; a rate whose probe is spoilt after that is not judged."""
MOST_BACKLOG = 8
"""A probe is given up when the backlog of a subscription is above this part of what the streams keep."""


class RateSearch:
    """The search of one run.

    Args:
        plan: the run; it has a search.
        phases: carries the probes out.
        measurement: of the run.
        server_now: the server as it was sampled last.

    Attributes:
        probes: so far.
    """

    def __init__(
        self, plan: Plan, phases: Phases, measurement: Measurement, server_now: Callable[[], ServerStatus | None]
    ) -> None:
        assert plan.search is not None
        self._plan, self._search, self._phases, self._measurement = plan, plan.search, phases, measurement
        self._server_now = server_now
        self._slo = None if self._search.slo is None else Threshold.parse(self._search.slo)
        self.probes: list[Probe] = []

    def __repr__(self) -> str:
        return f"<RateSearch {len(self.probes)} probes>"

    async def find(self) -> SearchResult | None:
        """The rate; None when somebody asked to stop.

        Raises:
            RunError: if no rate is sustained, and it is not this machine that kept one from being judged.
        """
        found = await (self._try_each() if self._search.rates else self._bisect())
        if found is None or found.sustained is None or self._search.steps is None:
            return found
        for step in range(1, self._search.steps + 1):
            rate = max(1, found.sustained * step // self._search.steps)
            if all(probe.rate != rate for probe in self.probes) and await self._try(rate) is None:
                return None
        return replace(found, probes=tuple(self.probes))

    async def _bisect(self) -> SearchResult | None:
        bisection = Bisection(self._search.start, most=MAX_RATE)
        while bisection.rate is not None:
            probe = await self._try(bisection.rate)
            if probe is None:
                return None
            if probe.is_spoilt:
                bisection.pass_over()
            else:
                bisection.add(probe.held)
        return self._found(bisection.sustained, bisection.failing)

    async def _try_each(self) -> SearchResult | None:
        """The given rates, up to the first that is not sustained: beyond it latencies grow with the time alone.

        A rate that can't be judged is passed over, up to so many in a row.
        """
        sustained, failing, unjudged = 0, None, 0
        for rate in self._search.rates:
            probe = await self._try(rate)
            if probe is None:
                return None
            if probe.held:
                sustained, failing, unjudged = rate, None, 0
                continue
            failing = failing or rate
            unjudged += 1
            if not probe.is_spoilt or unjudged >= MOST_UNJUDGED:
                break
        return self._found(sustained, failing)

    def _found(self, sustained: int, failing: int | None) -> SearchResult:
        if sustained:
            return SearchResult(tuple(self.probes), sustained, failing)
        if (unknown := _why_unknown(self.probes)) is None:
            raise RunError(_nothing_held(self.probes))
        return SearchResult(tuple(self.probes), None, failing, unknown)

    async def _try(self, rate: int) -> Probe | None:
        """A probe, again and again while this machine spoils it; the last one of them."""
        while True:
            probe = await self._probe(rate)
            if probe is None:
                return None
            self.probes.append(probe)
            how = "holds" if probe.held else "could not be judged" if probe.is_spoilt else "fails"
            logger.info("%d messages/s %s: %s", rate, how, "; ".join(probe.reasons))
            spoilt = [each.rate for each in self.probes if each.is_spoilt]
            if not probe.is_spoilt or spoilt.count(rate) >= MOST_TRIES or len(spoilt) > MOST_SPOILT:
                return probe

    async def _probe(self, rate: int) -> Probe | None:
        before = self._measurement.backlog()
        watcher = _ProbeWatcher(self._plan, self._measurement, self._server_now, self._slo, self._phases.settled)
        duration_ns = SETTLE_NS + LONGEST * self._search.probe_ns
        phase = self._phases.begin(f"probe {len(self.probes) + 1}", duration_ns, rate)
        if await self._phases.run(RunState.SEARCH, phase, watcher.enough, STEP_NS):
            self._phases.stop_sending()
        if self._phases.interrupted:
            return None
        shortage = self._phases.shortage
        if shortage is not None:
            watcher.end(PhaseView(self._measurement.collector, phase, self._phases.polled_ns - phase.start_ns))
        await self._phases.settle(RunState.SEARCH)
        if self._phases.interrupted:
            return None
        observed = watcher.drained(phase, self._phases.polled_ns)
        left = self._measurement.backlog()
        missing = {name: max(0, count - before.get(name, 0)) for name, count in left.items()}
        return judge_probe(replace(observed, shortage=shortage, missing=missing), rate)


def _nothing_held(probes: Sequence[Probe]) -> str:
    """Why a search has found no rate, when the system is the cause."""
    lowest = min(probes, key=lambda each: each.rate)
    return f"no rate is sustained, not even {lowest.rate:,} messages/s: {'; '.join(lowest.reasons)}"


def _why_unknown(probes: Sequence[Probe]) -> str | None:
    """Why this machine keeps a search from knowing any rate, and what it knows all the same; None when it does not."""
    judged = {each.rate: each for each in probes if each.limit is not Limit.GENERATOR}
    unjudged = {each.rate: each for each in probes if each.rate not in judged}
    if not unjudged:
        return None
    spoilt = sum(each.limit is Limit.GENERATOR for each in probes)
    known = [f"{min(judged):,} messages/s is not sustained"] if judged else []
    if kept_up := [each.rate for each in probes if each.kept_up]:
        known.append(f"at {max(kept_up):,} messages/s the system kept up all the same")
    lowest, rates = unjudged[min(unjudged)], ", ".join(f"{rate:,}" for rate in sorted(unjudged))
    return (
        f"this machine, not the system, was the cause in {spoilt} of {len(probes)} probes, so no rate is known to be"
        f" sustained: {rates} messages/s could not be judged{''.join(f'; {each}' for each in known)}; at"
        f" {lowest.rate:,} messages/s: {'; '.join(lowest.reasons)}"
    )


class _ProbeWatcher:
    """Watches one probe while it runs, until enough was seen."""

    def __init__(
        self,
        plan: Plan,
        measurement: Measurement,
        server_now: Callable[[], ServerStatus | None],
        slo: Threshold | None,
        on_settled: Callable[[], None],
    ) -> None:
        assert plan.search is not None
        self._plan, self._measurement, self._collector = plan, measurement, measurement.collector
        self._server_now, self._slo, self._on_settled = server_now, slo, on_settled
        self._length_ns = plan.search.probe_ns
        kept = plan.trimming.max_entries
        self._most_backlog = None if kept is None else max(1, kept * plan.partitions // MOST_BACKLOG)
        self._cpu: list[float] = []
        self._has_settled = False
        self._before = self._collector.processes()
        self._observed: ProbeObservation | None = None
        self._length_seen_ns = 0

    def enough(self, view: PhaseView) -> bool:
        """Whether the probe is over; `drained` has what it showed, once what is on its way has come."""
        elapsed_ns = view.length_ns
        overrun = self._overrun(view.phase.rate)
        if elapsed_ns < SETTLE_NS and overrun is None:
            return False
        if not self._has_settled and elapsed_ns >= SETTLE_NS:
            self._has_settled, self._before = True, self._collector.processes()
            self._on_settled()
        now = self._server_now()
        if now is not None and now.cpu is not None:
            self._cpu.append(now.cpu)
        last = elapsed_ns >= view.phase.duration_ns - STEP_NS
        if elapsed_ns - SETTLE_NS >= self._length_ns or last or overrun is not None:
            self._observed, self._length_seen_ns = self._observe(view, overrun), elapsed_ns
            if overrun is None and not last and is_inconclusive(self._observed, view.phase.rate):
                self._length_ns += self._length_ns // 2
                return False
            return True
        return False

    def end(self, view: PhaseView) -> None:
        """The probe was ended before enough was seen."""
        if self._observed is None:
            self._observed, self._length_seen_ns = self._observe(view, None), view.length_ns

    def _overrun(self, rate: int) -> str | None:
        overdue = self._collector.overdue
        if overdue > MOST_OVERDUE_S * rate:
            return f"{overdue:,} messages were due and not sent, {MOST_OVERDUE_S:g} s of the rate"
        backlog = max(self._measurement.backlog().values(), default=0)
        if self._most_backlog is not None and backlog > self._most_backlog:
            return f"a group was {backlog:,} messages behind, and more than that is not kept for it"
        return None

    def drained(self, phase: Phase, ended_ns: int) -> ProbeObservation:
        """What the probe showed, with the latencies of all that was due in it.

        Of one that was given up nothing may have been answered that was due after it had settled; by now it has.

        Args:
            phase: the probe's.
            ended_ns: when nothing was waited for any longer, on the monotonic clock.
        """
        assert self._observed is not None
        settled = _settled(PhaseView(self._collector, phase, self._length_seen_ns, ended_ns))
        return replace(
            self._observed,
            facts=with_latencies(self._observed.facts, settled),
            publish=settled.latency("publishResponse"),
            end_to_end=settled.latency("endToEndResponse"),
            own_parts=own_parts(settled, (), self._observed.facts.workers),
            slo=None if self._slo is None else self._slo.check(settled),
        )

    def _observe(self, view: PhaseView, overrun: str | None) -> ProbeObservation:
        settled = _settled(view)
        debts = self._measurement.debts
        usual = debts.usual_growth(SETTLE_NS / SECOND)
        return ProbeObservation(
            facts=running_facts(settled, self._plan, self._before, self._collector.processes(), usual),
            growth=debts.growth(SETTLE_NS / SECOND),
            publish=settled.latency("publishResponse"),
            end_to_end=settled.latency("endToEndResponse"),
            slo=None if self._slo is None else self._slo.check(settled),
            server_cpu=statistics.median(self._cpu) if self._cpu else None,
            overrun=overrun,
        )


def _settled(view: PhaseView) -> PhaseView:
    """What is looked at of a probe: from when it had settled on; all of one that was given up before."""
    given_up = view.length_ns < SETTLE_NS + view.interval_ns
    return view if given_up else view.since(SETTLE_NS // view.interval_ns)
