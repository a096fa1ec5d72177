"""The verdict while a run goes on: the rules, on the figures so far. Pure.

What is known at the end only is not judged here: what is missing on the way to a subscription may yet arrive, and a
trend is one of the whole window.
"""

from collections.abc import Callable, Mapping, Sequence

from ombdriver.bench.metrics.phase_view import LEAST_ELAPSED_NS, PhaseView, next_check_ns
from ombdriver.bench.metrics.report import ProcessUsage
from ombdriver.bench.plan.plan import Plan
from ombdriver.bench.verdict.facts import Facts, phase_facts, worker_facts
from ombdriver.bench.verdict.model import Verdict
from ombdriver.bench.verdict.own_parts import own_parts
from ombdriver.bench.verdict.rules import judge


class RunningVerdict:
    """Judges the measured phase of one run as it goes on.

    Args:
        plan: the run.
        processes: what each worker last reported of its process.
        debt_growth: how what was due and is not answered usually grew in this phase (`Facts.debt_growth`).

    Attributes:
        latest: what was judged last; None when it was too soon until now.
        own_parts: the harness's own share of percentiles, by what was judged last (`own_parts`).
    """

    def __init__(
        self,
        plan: Plan,
        processes: Callable[[], Sequence[ProcessUsage]],
        debt_growth: Callable[[], Mapping[str, float]],
    ) -> None:
        self._plan, self._processes, self._debt_growth = plan, processes, debt_growth
        self._before: Sequence[ProcessUsage] = ()
        self._next_ns = LEAST_ELAPSED_NS
        self.latest: Verdict | None = None
        self.own_parts: Mapping[str, float] = {}

    def __repr__(self) -> str:
        return f"<RunningVerdict {self.latest.status if self.latest else 'not yet'}>"

    def begin(self) -> None:
        """The measurement begins: what the workers took until now is not of it."""
        self._before = self._processes()

    def update(self, view: PhaseView) -> Verdict | None:
        """The verdict by `view`, which is of the measured phase so far; None when that is too little.

        With faults there is none before the end, which alone tells what of it was ordered.
        """
        if self._plan.faults:
            return None
        if view.length_ns >= self._next_ns:
            self._next_ns = next_check_ns(view.length_ns)
            facts = running_facts(view, self._plan, self._before, self._processes(), self._debt_growth())
            self.latest = judge(facts)
            self.own_parts = own_parts(view, self._plan.reading, facts.workers)
        return self.latest


def running_facts(
    view: PhaseView,
    plan: Plan,
    before: Sequence[ProcessUsage],
    after: Sequence[ProcessUsage],
    debt_growth: Mapping[str, float],
) -> Facts:
    """The facts for the rules of the verdict, as far as it is known while a phase runs.

    Args:
        view: of the phase.
        plan: the run.
        before: what the workers had taken at the beginning of the view.
        after: at its end.
        debt_growth: in it, of what was due and not answered.
    """
    return phase_facts(
        Facts(workers=worker_facts(plan.workers, before, after), debt_growth=debt_growth),
        view,
        plan.reading,
        window_ns=view.length_ns,
        intervals=len(view.intervals),
        target_rate=view.target_rate,
    )
