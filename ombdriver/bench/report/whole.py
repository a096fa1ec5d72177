"""How far the runs of one command are, and how long the rest may take. Pure but for the clock that it is given."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Self

from ombdriver.bench.report.live import LiveView
from ombdriver.bench.report.progress import Progress, WholeProgress

FIRST_OVERHEAD_S = 3.0
"""What a run takes besides its warm-up and its measurement, as long as none has ended: servers, probes, drain."""


class Whole:
    """The runs of one command.

    Args:
        lengths_s: of each run: seconds in which messages are due.
        clock: seconds that only grow.
    """

    def __init__(self, lengths_s: Sequence[float], clock: Callable[[], float]) -> None:
        self._lengths_s, self._clock = lengths_s, clock
        self._overheads_s: list[float] = []
        self._begun_s = self._run_begun_s = clock()
        self._at = 0

    def __repr__(self) -> str:
        return f"<Whole: run {self._at + 1} of {len(self._lengths_s)}>"

    def begin(self, at: int) -> None:
        """The run of that place, from 0, begins; the one before it is over."""
        now_s = self._clock()
        if at:
            self._overheads_s.append(max(0.0, now_s - self._run_begun_s - self._lengths_s[self._at]))
        self._at, self._run_begun_s = at, now_s

    def progress(self) -> WholeProgress:
        """How things stand now. Runs to come take their length, and what the earlier ones took besides on average."""
        now_s, known = self._clock(), self._overheads_s
        overhead_s = sum(known) / len(known) if known else FIRST_OVERHEAD_S
        this_s, *later_s = (length + overhead_s for length in self._lengths_s[self._at :])
        left_s = max(0.0, this_s - (now_s - self._run_begun_s)) + sum(later_s)
        passed_s = now_s - self._begun_s
        return WholeProgress(self._at + 1, len(self._lengths_s), passed_s / max(passed_s + left_s, 1e-9), left_s)


class WholeView:
    """A `LiveView` that tells another one how far the whole is, with all that it is told itself."""

    def __init__(self, view: LiveView, whole: Whole) -> None:
        self._view, self._whole = view, whole

    def update(self, progress: Progress) -> None:
        """See `LiveView`."""
        self._view.update(replace(progress, whole=self._whole.progress()))

    def __enter__(self) -> Self:
        self._view.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._view.__exit__(kind, error, trace)
