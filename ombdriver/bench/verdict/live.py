"""The verdict while a run runs: the rules, on the figures so far. Pure.

What can't be told before the end is left to it: what is missing on the way to a subscription may yet arrive, and a
trend is one of the whole window.
"""

from collections.abc import Sequence

from ombdriver.bench.load.phase import Phase
from ombdriver.bench.metrics.collector import Collector
from ombdriver.bench.metrics.latency import LatencySummary
from ombdriver.bench.metrics.phase_view import LEAST_ELAPSED_NS, SoFar, next_look_ns
from ombdriver.bench.metrics.report import ProcessUsage
from ombdriver.bench.plan.plan import Plan
from ombdriver.bench.verdict.assess import achieved, worker_facts
from ombdriver.bench.verdict.facts import Facts, told_workers
from ombdriver.bench.verdict.model import Verdict
from ombdriver.bench.verdict.rules import judge


class RunningVerdict:
    """Judges the measured phase of one run as it goes on.

    Args:
        plan: the run.
        collector: holds its figures.

    Attributes:
        latest: what was judged last; None when it was too soon until now.
    """

    def __init__(self, plan: Plan, collector: Collector) -> None:
        self._plan, self._collector = plan, collector
        self._before: Sequence[ProcessUsage] = ()
        self._next_ns = LEAST_ELAPSED_NS
        self.latest: Verdict | None = None

    def __repr__(self) -> str:
        return f"<RunningVerdict {self.latest.status if self.latest else 'not yet'}>"

    def begin(self) -> None:
        """The measurement begins: what the workers took until now is not of it."""
        self._before = self._collector.processes()

    def look(self, phase: Phase, elapsed_ns: int) -> Verdict | None:
        """The verdict by what there is after `elapsed_ns` of `phase`; None when that is too little."""
        if elapsed_ns >= self._next_ns:
            self._next_ns = next_look_ns(elapsed_ns)
            sofar = SoFar(self._collector, phase, elapsed_ns)
            after = self._collector.processes()
            self.latest = judge(facts_so_far(sofar, self._plan, sofar.target_rate, self._before, after))
        return self.latest


def facts_so_far(
    sofar: SoFar,
    plan: Plan,
    target_rate: float,
    before: Sequence[ProcessUsage],
    after: Sequence[ProcessUsage],
) -> Facts:
    """What the rules of the verdict look at, as far as it is known while a phase runs.

    Args:
        sofar: its figures.
        plan: the run.
        target_rate: messages per second that were asked for.
        before: what the workers had taken at the beginning of the figures.
        after: at their end.
    """
    lag, response = (sofar.latency(name, None) for name in ("scheduleLag", "publishResponse"))
    workers = told_workers(plan.workers, before, after)
    published, failed = (sofar.latency(name, None).count for name in ("publish", "failed"))
    return Facts(
        window_ns=sofar.length_ns,
        schedule_lag_p99_ns=_p99(lag),
        publish_response_p99_ns=_p99(response),
        workers=[worker_facts(number, each) for number, each in enumerate(workers)],
        target_rate=target_rate,
        achieved=achieved(sofar, plan.reading, target_rate, sofar.intervals * sofar.interval_ns),
        due=published + failed,
        errors=failed,
        intervals=sofar.intervals,
    )


def _p99(latency: LatencySummary) -> int | None:
    return latency.p99 if latency.count else None
