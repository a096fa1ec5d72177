"""The run while it runs: a display for a terminal, a line per interval for anything else, or nothing.

Knows `Progress` and rich; must not know where progress comes from, nor keep time: a view draws when there is something
new, so that it takes nothing from the machine in between. A stream that can't be written to any more (`| head`)
silences the view; it never ends a run.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from types import TracebackType
from typing import Literal, Protocol, Self, TextIO

from rich.console import Console, Group, RenderableType
from rich.constrain import Constrain
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from ombdriver.bench.metrics.figures import Figure
from ombdriver.bench.metrics.latency import HEADLINE, LatencySummary
from ombdriver.bench.report import units
from ombdriver.bench.report.marks import OWN_PART, marked
from ombdriver.bench.report.progress import GroupProgress, Progress, SeriesProgress, ServerProgress
from ombdriver.bench.verdict.model import VALID

Mode = Literal["auto", "plain", "quiet"]


class LiveView(Protocol):
    """Shows a run. A context manager: leaving it, be it by an exception, ends it."""

    def update(self, progress: Progress) -> None:
        """Shows how far the run is."""
        ...

    def end(self) -> None:
        """Nothing is to be shown any more: gives the terminal back as it was. May be called again."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def make_view(mode: Mode, stream: TextIO) -> LiveView:
    """The view for `stream`: `auto` is the display on a terminal, else `plain`."""
    if mode == "quiet":
        return QuietView()
    if mode == "auto":
        console = _Console(file=stream, highlight=False, markup=False, emoji=False)
        if console.is_terminal and not console.is_dumb_terminal and console.encoding.startswith("utf"):
            return DisplayView(console)
    return PlainView(stream)


class Views:
    """Several views as one; each shows everything."""

    def __init__(self, views: Sequence[LiveView]) -> None:
        self._views, self._entered = views, ExitStack()

    def update(self, progress: Progress) -> None:
        """See `LiveView`."""
        for view in self._views:
            view.update(progress)

    def end(self) -> None:
        """See `LiveView`."""
        for view in self._views:
            view.end()

    def __enter__(self) -> Self:
        for view in self._views:
            self._entered.enter_context(view)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._entered.__exit__(kind, error, trace)


class SeriesView:
    """Adds to what another view shows how far the runs of the command are."""

    def __init__(self, view: LiveView, timer: "SeriesTimer") -> None:
        self._view, self._timer = view, timer

    def update(self, progress: Progress) -> None:
        """See `LiveView`."""
        self._view.update(replace(progress, series=self._timer.progress()))

    def end(self) -> None:
        """See `LiveView`."""
        self._view.end()

    def __enter__(self) -> Self:
        self._view.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._view.__exit__(kind, error, trace)


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Rich would end the process here, and its standard output."""
        raise BrokenPipeError


class _View:
    """Goes silent when its stream is gone."""

    _silent = False

    def update(self, progress: Progress) -> None:
        """See `LiveView`."""
        if not self._silent:
            try:
                self._show(progress)
            except OSError:
                self._silent = True

    def _show(self, progress: Progress) -> None:
        raise NotImplementedError

    def end(self) -> None:
        """See `LiveView`."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()


class QuietView(_View):
    """Shows nothing."""

    def _show(self, progress: Progress) -> None:
        return None


class PlainView(_View):
    """One line for each update."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def _show(self, progress: Progress) -> None:
        self._stream.write(units.fit_for(self._stream, plain_line(progress) + "\n"))
        self._stream.flush()


class DisplayView(_View):
    """A display that is redrawn in its place, and removed at the end."""

    def __init__(self, console: Console) -> None:
        # No refresh of its own: no thread, and no drawing while nothing is new.
        self._live = Live(console=console, auto_refresh=False, transient=True, vertical_overflow="crop")

    def _show(self, progress: Progress) -> None:
        self._live.update(display(progress), refresh=True)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def end(self) -> None:
        """See `LiveView`."""
        try:
            self._live.stop()
        except OSError:
            self._silent = True


# -- progress as text --------------------------------------------------------------------------------------------------
# What matters most stands first: a terminal that is too low loses lines at the end. No line is longer than `WIDEST`, so
# that a window can be made narrower, down to that, without a trace.

WIDEST = 80
MOST_GROUPS = 8
"""More groups than that are drawn by those with the largest backlog."""
MEGABYTE = 1e6
_LABEL, _NAME = 10, 18
_COLUMNS = (*HEADLINE, "rate", "backlog", "lag")
_FIGURE = min(8, (WIDEST - _NAME) // len(_COLUMNS) - 1)
"""The least width of a column of figures: with one more of them they stand closer, and are still whole."""
_INTENDED = "from intended send"


def plain_line(progress: Progress) -> str:
    """`progress` in one line; latencies are p50/p99/p99.9 from the intended send."""
    parts = [f"{progress.phase:<9}{_time(progress):>12}"]
    if progress.message:
        parts.append(progress.message)
    if progress.target_rate is not None:
        parts.append(f"published {units.rate(progress.publish_rate)} of {units.rate(progress.target_rate)}")
    if progress.publish_error_rate:
        parts.append(f"ERRORS {units.rate(progress.publish_error_rate)}")
    if progress.groups:
        if progress.target_rate is not None or any(group.rate for group in progress.groups.values()):
            parts.append(f"received {_span(progress.groups)}")
        parts.append(f"backlog {units.count(sum(group.backlog for group in progress.groups.values()))}")
    for family, figures in (("publishResponse", progress.publish), ("endToEndResponse", progress.end_to_end)):
        if figures:
            parts.append(f"{units.RESPONSES[family]} {'/'.join(_figures(figures, progress, family))}")
    if progress.server and progress.server.cpu is not None:
        parts.append(f"server {_server(progress.server)}")
    if progress.verdict is not None and progress.verdict.status != VALID:
        parts.append(f"so far {progress.verdict.status} ({progress.verdict.reasons[0].rule})")
    return "  ".join(parts)


def display(progress: Progress) -> RenderableType:
    """`progress` as a block of some lines, none of them longer than `WIDEST`."""
    lines: list[RenderableType] = []
    if progress.series is not None:
        lines.append(_series(progress.series))
    lines.append(_head(progress))
    if progress.verdict is not None:
        lines.append(_verdict(progress))
    if progress.target_rate is not None:
        lines.append(_rates(progress, progress.target_rate))
    if progress.server is not None:
        lines.append(Text.assemble((f"{'server':<{_LABEL}} ", "dim"), _server(progress.server)))
    if progress.groups:
        lines.append(_table(progress))
        if (left_out := len(progress.groups) - MOST_GROUPS) > 0:
            lines.append(Text(f"and {units.many(left_out, 'group')} with less backlog", style="dim"))
    return Constrain(Group(*lines), WIDEST)


def _series(series: SeriesProgress) -> RenderableType:
    row = Table.grid(padding=(0, 1))
    left = f"run {series.run} of {series.runs}, about {units.duration(series.left_s)} left"
    row.add_row(Text(f"{'all runs':<{_LABEL}}", style="bold"), ProgressBar(1.0, series.done, width=28), Text(left))
    return row


def _head(progress: Progress) -> RenderableType:
    row = Table.grid(padding=(0, 1))
    label = Text(f"{progress.phase:<{_LABEL}}", style="bold")
    if progress.phase_total_s is None:
        row.add_row(label, Text(f"{_time(progress)}, {progress.message}" if progress.message else _time(progress)))
        return row
    text = _time(progress)
    if progress.left_s is not None:
        text += f", {units.duration(max(0.0, progress.left_s))} left"
    if progress.message:
        text += f", {progress.message}"
    width = 14 if progress.message else 28
    bar = ProgressBar(progress.phase_total_s, min(progress.elapsed_s, progress.phase_total_s), width=width)
    row.add_row(label, bar, Text(text))
    return row


def _verdict(progress: Progress) -> Text:
    assert progress.verdict is not None
    status, reasons = progress.verdict.status, progress.verdict.reasons
    line = Text.assemble((f"{'so far':<{_LABEL}} ", "dim"), (status, "green" if status == VALID else "bold red"))
    if reasons:
        more = f" (and {units.many(len(reasons) - 1, 'reason')} more)" if len(reasons) > 1 else ""
        line.append(f"{more}: {reasons[0].message}")
    return _cut(line)


def _rates(progress: Progress, target_rate: float) -> Text:
    errors = progress.publish_error_rate
    return Text.assemble(
        (f"{'published':<{_LABEL}} ", "dim"),
        f"{units.rate(progress.publish_rate)} of {units.rate(target_rate)}, ",
        (f"errors {units.rate(errors)}", "bold red" if errors else ""),
    )


def _table(progress: Progress) -> RenderableType:
    table = Table.grid(padding=(0, 1))
    table.add_column(no_wrap=True, overflow="ellipsis", min_width=_NAME, max_width=_NAME)
    for _ in _COLUMNS:
        table.add_column(justify="right", no_wrap=True, min_width=_FIGURE)
    if progress.target_rate is not None:
        table.add_row(_INTENDED, *_COLUMNS, style="dim")
        figures = _figures(progress.publish, progress, "publishResponse")
        table.add_row("publish", *figures, f"{units.short(progress.publish_rate)}/s", "", "")
    else:  # between phases nothing is sent
        table.add_row("", *_COLUMNS, style="dim")
    drawn = sorted(progress.groups, key=lambda name: -progress.groups[name].backlog)[:MOST_GROUPS]
    for name, group in progress.groups.items():
        if name in drawn:
            lag = units.NOTHING if group.lag is None else units.short(group.lag)
            has_rate = progress.target_rate is not None or group.rate
            rate = f"{units.short(group.rate)}/s" if has_rate else units.NOTHING
            figures = _figures(group.end_to_end, progress, "endToEndResponse", name)
            table.add_row(Text(name), *figures, rate, units.short(group.backlog), lag)
    return table


def _cut(line: Text) -> Text:
    line.truncate(WIDEST, overflow="ellipsis")
    line.no_wrap = True
    line.overflow = "ellipsis"
    return line


def _figures(
    figures: LatencySummary | None, progress: Progress, family: str, group: str | None = None
) -> tuple[str, ...]:
    """With the marks of those that are the harness's own in good part, by the phase so far."""
    if figures is None or not figures.count:
        return (units.NOTHING,) * len(HEADLINE)
    signs = [OWN_PART if str(Figure(family, each, group)) in progress.own_parts else "" for each in HEADLINE]
    return tuple(marked(units.latency(figures.ms(each)), sign) for each, sign in zip(HEADLINE, signs, strict=True))


def _server(server: ServerProgress) -> str:
    cpu = units.NOTHING if server.cpu is None else f"{server.cpu:.2f}"
    memory = units.NOTHING if server.memory_bytes is None else f"{server.memory_bytes / MEGABYTE:,.1f} MB"
    return f"{cpu} cores, {memory}"


def _time(progress: Progress) -> str:
    if progress.phase_total_s is None:
        return f"{progress.elapsed_s:.0f} s"
    digits = 1 if progress.phase_total_s < 10 else 0  # short phases have short intervals
    return f"{progress.elapsed_s:.{digits}f} of {progress.phase_total_s:.{digits}f} s"


def _span(groups: Mapping[str, GroupProgress]) -> str:
    """One group's rate, or how many groups and their least and greatest rate."""
    rates = [group.rate for group in groups.values()]
    least, greatest = units.rate(min(rates)), units.rate(max(rates))
    span = least if least == greatest else f"{least}..{greatest}"
    return span if len(rates) == 1 else f"{len(rates)} x {span}"


# -- all runs of a command ---------------------------------------------------------------------------------------------

FIRST_OVERHEAD_S = 3.0
"""What a run takes besides its warm-up and its measurement, as long as none has ended: servers, probes, drain."""


class SeriesTimer:
    """How far the runs of one command are, and how long the rest may take.

    Args:
        lengths_s: of each run: seconds in which messages are due.
        clock: seconds that only grow.
    """

    def __init__(self, lengths_s: Sequence[float], clock: Callable[[], float]) -> None:
        self._lengths_s, self._clock = list(lengths_s), clock
        self._overheads_s: list[float] = []
        self._begun_s = self._run_begun_s = clock()
        self._at = 0

    def __repr__(self) -> str:
        return f"<SeriesTimer: run {self._at + 1} of {len(self._lengths_s)}>"

    def insert(self, at: int, length_s: float) -> None:
        """One more run is to come, at that place."""
        self._lengths_s.insert(at, length_s)

    def begin(self, at: int) -> None:
        """The run of that place, from 0, begins; the one before it is over."""
        now_s = self._clock()
        if at:
            self._overheads_s.append(max(0.0, now_s - self._run_begun_s - self._lengths_s[self._at]))
        self._at, self._run_begun_s = at, now_s

    def progress(self) -> SeriesProgress:
        """Now. Runs to come take their length, and what the earlier ones took besides on average."""
        now_s, known = self._clock(), self._overheads_s
        overhead_s = sum(known) / len(known) if known else FIRST_OVERHEAD_S
        this_s, *later_s = (length + overhead_s for length in self._lengths_s[self._at :])
        left_s = max(0.0, this_s - (now_s - self._run_begun_s)) + sum(later_s)
        passed_s = now_s - self._begun_s
        return SeriesProgress(self._at + 1, len(self._lengths_s), passed_s / max(passed_s + left_s, 1e-9), left_s)
