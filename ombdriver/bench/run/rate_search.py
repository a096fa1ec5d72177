"""Which rate to try next when the highest rate that a system sustains is looked for. Pure.

A rate is tried by probes, and is said to hold or not to hold by the majority of at most three. First rates are doubled
(or brought down to a tenth, while none holds) until one that holds and one that does not are known. Then the interval
between the two is halved on a logarithmic scale until it is narrow. What was found by single probes is then looked at
again: its lower end must hold in two of three probes, its upper end must fail in two of three, and so must a rate that
is a step higher. If one of these holds after all, then a probe had failed by chance, and the search goes on from there;
if the lower end does not, it goes on below. So a probe that was spoilt costs time, and does not move the result.

Looks for the highest rate that a system sustains: probes of a run's course, one after the other.

Each probe is a phase of its own, judged after the time that it needs to settle; between two, everything is drained. A
rate that is far too high is given up early, before what it leaves behind fills the server.
"""

import logging
import math
import statistics
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from ombdriver.bench.drivers.sample import ServerStatus
from ombdriver.bench.load.phase import Phase
from ombdriver.bench.metrics.collector import Collector
from ombdriver.bench.metrics.latency import summarise
from ombdriver.bench.metrics.phase_view import SoFar
from ombdriver.bench.plan.plan import Plan
from ombdriver.bench.run.phases import SECOND, Phases, RunState
from ombdriver.bench.spec.fields import MAX_RATE
from ombdriver.bench.spec.thresholds import Threshold
from ombdriver.bench.verdict.live import running_facts
from ombdriver.bench.verdict.probe import Found, Growth, Observed, Probe, growth_of, is_unsure, judged
from ombdriver.errors import RunError

NARROW = 1.03
"""The interval is narrow when its upper end is not more than that times its lower one."""
STEP = 1.1
"""So much above the rate that was found must fail."""
DOWN = 10
"""As long as no rate holds, the next one is that part of the last."""
MAJORITY = 2
"""Of three probes, so many decide."""
MOST_PROBES = 60
"""More than a search takes but of a system whose probes come out as they like."""


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
class Search:
    """A search; ask `rate` what to try, tell the outcome by `take`, until `rate` is None.

    Args:
        start: the rate to begin with, messages per second.
        least: rates below are not tried.
        most: nor are rates above.

    Attributes:
        probes: how many outcomes were taken.
        sustained: the highest rate that is said to hold; 0 when none does.
        failing: the lowest rate above it that is said not to hold; None when none is known.
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

    def __post_init__(self) -> None:
        self.start = min(max(self.start, self.least), self.most)
        self.rate = self.start

    def take(self, held: bool) -> None:
        """The probe at `rate` held, or did not."""
        assert self.rate is not None
        votes = self._votes.setdefault(self.rate, _Votes())
        votes.held, votes.failed = votes.held + held, votes.failed + (not held)
        self.probes += 1
        self._weigh()
        self.rate = None if self.probes >= MOST_PROBES else self._next()

    def _weigh(self) -> None:
        """The interval by all votes; where a rate surely holds, those below it hold as well."""
        floor = max((rate for rate, votes in self._votes.items() if votes.surely_held), default=0)
        failing = [rate for rate, votes in self._votes.items() if votes.failed > votes.held and rate > floor]
        self.failing = min(failing, default=None)
        holding = [rate for rate, votes in self._votes.items() if votes.held > votes.failed]
        self.sustained = max((rate for rate in holding if self.failing is None or rate < self.failing), default=0)

    def _next(self) -> int | None:
        for rate, votes in self._votes.items():
            if votes.held == votes.failed:
                return rate
        if self.failing is None:
            return None if self.sustained >= self.most else min(self.most, self.sustained * 2)
        if not self.sustained:
            return None if self.failing <= self.least else max(self.least, self.failing // DOWN)
        if self.failing > max(self.sustained * NARROW, self.sustained + 1):
            return max(self.sustained + 1, math.isqrt(self.sustained * self.failing))
        return self._doubtful()

    def _doubtful(self) -> int | None:
        """What has to be looked at again before the interval is believed."""
        assert self.failing is not None
        if not self._votes[self.sustained].surely_held:
            return self.sustained
        for rate in (self.failing, self.step):
            if not self._votes.get(rate, _Votes()).surely_failed:
                return rate
        return None

    @property
    def step(self) -> int:
        """The rate above what was found that has to fail."""
        return min(self.most, max(round(self.sustained * STEP), self.sustained + 1))


logger = logging.getLogger(__name__)

SETTLE_NS = 2 * SECOND
"""What comes before is left out of a probe."""
STEP_NS = SECOND // 10
"""Between two looks at the backlog."""
LONGER = 3
"""A probe of which it can't be said whether a backlog grows goes on for up to so many times its length."""
MOST_DEBT_S = 1.0
"""Seconds of the rate that may be unsent before a probe is given up."""
MOST_BEHIND = 8
"""A probe is given up when a subscription is behind by this part of what a stream keeps."""


class RateSearch:
    """The search of one run.

    Args:
        plan: the run; it has a search.
        stages: carries the probes out.
        collector: holds their figures.
        server_now: what the server told last.
    """

    def __init__(
        self, plan: Plan, phases: Phases, collector: Collector, server_now: Callable[[], ServerStatus | None]
    ) -> None:
        assert plan.search is not None
        self._plan, self._how, self._phases, self._collector = plan, plan.search, phases, collector
        self._server_now = server_now
        self._slo = None if self._how.slo is None else Threshold.parse(self._how.slo)
        self.probes: list[Probe] = []

    def __repr__(self) -> str:
        return f"<RateSearch {len(self.probes)} probes>"

    async def find(self) -> Found | None:
        """The rate; None when somebody asked to stop.

        Raises:
            RunError: if no rate is sustained.
        """
        found = await (self._try_each() if self._how.rates else self._search())
        if found is None or self._how.steps is None:
            return found
        for step in range(1, self._how.steps + 1):
            rate = max(1, found.sustained * step // self._how.steps)
            if all(probe.rate != rate for probe in self.probes) and await self._note(rate) is None:
                return None
        return replace(found, probes=tuple(self.probes))

    async def _search(self) -> Found | None:
        search = Search(self._how.start, most=MAX_RATE)
        while search.rate is not None:
            probe = await self._note(search.rate)
            if probe is None:
                return None
            search.take(probe.held)
        return self._found(search.sustained, search.failing)

    async def _try_each(self) -> Found | None:
        """The given rates, up to the first that is not sustained: beyond it latencies grow with the time alone."""
        sustained = 0
        for rate in self._how.rates:
            probe = await self._note(rate)
            if probe is None:
                return None
            if not probe.held:
                return self._found(sustained, rate)
            sustained = rate
        return self._found(sustained, None)

    def _found(self, sustained: int, failing: int | None) -> Found:
        if not sustained:
            raise RunError(f"no rate is sustained, not even {failing} msg/s: {self.probes[-1].reasons[0]}")
        return Found(tuple(self.probes), sustained, failing)

    async def _note(self, rate: int) -> Probe | None:
        probe = await self._probe(rate)
        if probe is not None:
            self.probes.append(probe)
            logger.info("%d msg/s %s: %s", rate, "holds" if probe.held else "fails", "; ".join(probe.reasons))
        return probe

    async def _probe(self, rate: int) -> Probe | None:
        before = self._phases.missing()
        one = _OneProbe(self._plan, self._collector, self._server_now, self._slo)
        phase = self._phases.begin(f"probe {len(self.probes) + 1}", SETTLE_NS + LONGER * self._how.probe_ns, rate)
        if await self._phases.run(RunState.SEARCH, phase, one.look, STEP_NS):
            self._phases.halt()
        if self._phases.interrupted:
            return None
        observed = one.observed
        assert observed is not None
        await self._phases.settle(RunState.SEARCH)
        if self._phases.interrupted:
            return None
        missing = {name: count - before.get(name, 0) for name, count in self._phases.missing().items()}
        return judged(replace(observed, missing=missing), rate)


class _OneProbe:
    """Looks at one probe while it runs, until enough was seen."""

    def __init__(
        self, plan: Plan, collector: Collector, server_now: Callable[[], ServerStatus | None], slo: Threshold | None
    ) -> None:
        assert plan.search is not None
        self._plan, self._collector, self._server_now, self._slo = plan, collector, server_now, slo
        self._length_ns = plan.search.probe_ns
        kept = plan.trimming.max_entries
        self._most_behind = None if kept is None else max(1, kept * plan.partitions // MOST_BEHIND)
        self._times_s: list[float] = []
        self._backlog: dict[str, list[int]] = {name: [] for name in plan.reading}
        self._cpu: list[float] = []
        self._before = collector.processes()
        self.observed: Observed | None = None

    def look(self, phase: Phase, elapsed_ns: int) -> bool:
        """Whether the probe is over; what it showed is in `observed` then."""
        overrun = self._overrun(phase, elapsed_ns)
        if elapsed_ns < SETTLE_NS and overrun is None:
            self._before = self._collector.processes()
            return False
        if overrun is None:
            self._note(elapsed_ns)
        seen_ns = elapsed_ns - SETTLE_NS
        last = elapsed_ns >= phase.duration_ns - STEP_NS
        if seen_ns >= self._length_ns or last or overrun is not None:
            self.observed = self._observe(phase, elapsed_ns, overrun)
            if overrun is None and not last and is_unsure(self.observed, phase.rate):
                self._length_ns += self._length_ns // 2
                return False
            return True
        return False

    def _note(self, elapsed_ns: int) -> None:
        self._times_s.append(elapsed_ns / SECOND)
        backlog = self._collector.backlog()
        for name, held in self._backlog.items():
            held.append(backlog[name])
        now = self._server_now()
        if now is not None and now.cpu is not None:
            self._cpu.append(now.cpu)

    def _overrun(self, phase: Phase, elapsed_ns: int) -> str | None:
        overdue = self._collector.overdue
        if overdue > MOST_DEBT_S * phase.rate:
            return f"{overdue:,} messages were due and not sent, {MOST_DEBT_S:g} s of the rate"
        behind = max(self._collector.backlog().values(), default=0)
        if self._most_behind is not None and behind > self._most_behind:
            return f"a subscription was {behind:,} messages behind, and more than that is not kept for it"
        return None

    def _observe(self, phase: Phase, elapsed_ns: int, overrun: str | None) -> Observed:
        since = SETTLE_NS // self._collector.interval_ns
        if elapsed_ns < SETTLE_NS + self._collector.interval_ns:
            since = 0  # given up before it had settled
        sofar = SoFar(self._collector, phase, elapsed_ns, since)
        facts = running_facts(sofar, self._plan, self._before, self._collector.processes())
        growth: dict[str, Growth] = {}
        for name, held in self._backlog.items():
            if (found := growth_of(self._times_s, held)) is not None:
                growth[name] = found
        return Observed(
            facts=facts,
            growth=growth,
            publish=summarise(sofar.histogram("publishResponse")),
            end_to_end=summarise(sofar.histogram("endToEndResponse")),
            slo=None if self._slo is None else self._slo.check(sofar),
            server_cpu=statistics.median(self._cpu) if self._cpu else None,
            overrun=overrun,
        )
