"""Looks for the highest rate that a system sustains: probes of a run's course, one after the other.

Each probe is a phase of its own, judged after the time that it needs to settle; between two, everything is drained. A
rate that is far too high is given up early, before what it leaves behind fills the server.
"""

import logging
import statistics
from collections.abc import Callable
from dataclasses import replace

from ombdriver.bench.collector import Collector
from ombdriver.bench.look import ServerNow
from ombdriver.bench.plan import Plan
from ombdriver.bench.probing import Found, Growth, Observed, Probe, growth_of, is_unsure, judged
from ombdriver.bench.running_verdict import facts_so_far
from ombdriver.bench.search import Search
from ombdriver.bench.sofar import SoFar
from ombdriver.bench.stages import SECOND, Stage, Stages
from ombdriver.bench.targets import Phase
from ombdriver.bench.thresholds import Threshold
from ombdriver.bench.window import summarise
from ombdriver.bench.workload_fields import MAX_RATE
from ombdriver.errors import RunError

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


class Seeking:
    """The search of one run.

    Args:
        plan: the run; it has a search.
        stages: carries the probes out.
        collector: holds their figures.
        server_now: what the server told last.
    """

    def __init__(
        self, plan: Plan, stages: Stages, collector: Collector, server_now: Callable[[], ServerNow | None]
    ) -> None:
        assert plan.search is not None
        self._plan, self._how, self._stages, self._collector = plan, plan.search, stages, collector
        self._server_now = server_now
        self._slo = None if self._how.slo is None else Threshold.parse(self._how.slo)
        self.probes: list[Probe] = []

    def __repr__(self) -> str:
        return f"<Seeking {len(self.probes)} probes>"

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
        before = self._stages.missing()
        one = _OneProbe(self._plan, self._collector, self._server_now, self._slo)
        phase = self._stages.begin(f"probe {len(self.probes) + 1}", SETTLE_NS + LONGER * self._how.probe_ns, rate)
        if await self._stages.run(Stage.SEARCH, phase, one.look, STEP_NS):
            self._stages.halt()
        if self._stages.interrupted:
            return None
        observed = one.observed
        assert observed is not None
        await self._stages.settle(Stage.SEARCH)
        if self._stages.interrupted:
            return None
        missing = {name: count - before.get(name, 0) for name, count in self._stages.missing().items()}
        return judged(replace(observed, missing=missing), rate)


class _OneProbe:
    """Looks at one probe while it runs, until enough was seen."""

    def __init__(
        self, plan: Plan, collector: Collector, server_now: Callable[[], ServerNow | None], slo: Threshold | None
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
        facts = facts_so_far(sofar, self._plan, sofar.target_rate, self._before, self._collector.processes())
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
