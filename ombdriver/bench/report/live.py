"""The run while it runs: a display for a terminal, a line per interval for anything else, or nothing.

Knows Progress and rich; must not know where progress comes from, nor keep time: it draws when it is told something, so
that it takes nothing from the machine in between. A stream that can't be written to any more (`| head`) silences the
view; it never ends a run.
"""

from collections.abc import Mapping
from types import TracebackType
from typing import Literal, Protocol, Self, TextIO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from ombdriver.bench.measurements import LatencySummaryNs
from ombdriver.bench.report import units
from ombdriver.bench.report.progress import Progress

Mode = Literal["auto", "plain", "quiet"]

MOST_GROUPS = 8
"""More groups than that are drawn by those with the largest backlog."""


class LiveView(Protocol):
    """Shows a run. A context manager: leaving it, be it by an exception, gives the terminal back as it was."""

    def update(self, progress: Progress) -> None:
        """Shows how far the run is."""
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


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Rich would end the process here, and its standard output."""
        raise BrokenPipeError


class _View:
    """What views have in common: they go silent when their stream is gone."""

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

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None


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
    """A display that is drawn anew in its place, and gone at the end."""

    def __init__(self, console: Console) -> None:
        # No refresh of its own: no thread, and no drawing while nothing is new.
        self._live = Live(console=console, auto_refresh=False, transient=True, vertical_overflow="crop")

    def _show(self, progress: Progress) -> None:
        self._live.update(display(progress), refresh=True)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._live.stop()
        except OSError:
            self._silent = True


def plain_line(progress: Progress) -> str:
    """`progress` in one line; latencies are p50/p99/p99.9 from the intended send."""
    parts = [f"{progress.phase:<9}{_time(progress):>12}"]
    if progress.message:
        parts.append(progress.message)
    if progress.target_rate:
        parts.append(f"published {units.rate(progress.publish_rate)} of {units.rate(progress.target_rate)}")
    if progress.publish_error_rate:
        parts.append(f"ERRORS {units.rate(progress.publish_error_rate)}")
    if progress.consume_rates:
        parts.append(f"received {_span(progress.consume_rates)}")
        parts.append(f"backlog {units.count(sum(progress.backlog.values()))}")
    for name, figures in (("publish", progress.publish), ("end-to-end", progress.end_to_end)):
        if figures:
            parts.append(f"{name} {'/'.join(_figures(figures))}")
    return "  ".join(parts)


def display(progress: Progress) -> RenderableType:
    """`progress` as a block of some lines."""
    head = Table.grid(padding=(0, 1))
    total = progress.phase_total_s
    bar = ProgressBar(total=total or 1.0, completed=min(progress.elapsed_s, total or 0.0), width=30)
    head.add_row(Text(f"{progress.phase:<9}", style="bold"), bar, _time(progress), Text(progress.message or ""))
    rates = Table.grid(padding=(0, 2))
    for justify in ("left", "right", "right", "right"):
        rates.add_column(justify=justify, no_wrap=True)
    errors = Text(
        f"errors {units.rate(progress.publish_error_rate)}", style="red" if progress.publish_error_rate else ""
    )
    rates.add_row("published", units.rate(progress.publish_rate), f"of {units.rate(progress.target_rate)}", errors)
    drawn = sorted(progress.consume_rates, key=lambda name: -progress.backlog.get(name, 0))[:MOST_GROUPS]
    for name, rate in progress.consume_rates.items():
        if name in drawn:
            backlog = f"backlog {units.count(progress.backlog.get(name, 0))}"
            rates.add_row(Text(name), units.rate(rate), f"of {units.rate(progress.target_rate)}", backlog)
    left_out = len(progress.consume_rates) - len(drawn)
    more = [Text(f"and {left_out} groups with less backlog")] if left_out else []
    latencies = Table.grid(padding=(0, 2))
    for column in range(4):
        latencies.add_column(justify="right" if column else "left", no_wrap=True, min_width=9)
    latencies.add_row("from the intended send", "p50", "p99", "p99.9", style="dim")
    latencies.add_row("publish", *_figures(progress.publish))
    latencies.add_row("end-to-end", *_figures(progress.end_to_end))
    return Group(head, rates, *more, latencies)


def _figures(figures: LatencySummaryNs | None) -> tuple[str, str, str]:
    if figures is None or not figures.count:
        return (units.NOTHING,) * 3
    p50, p99, p999 = (units.latency(ns / 1e6) for ns in (figures.p50, figures.p99, figures.p999))
    return p50, p99, p999


def _time(progress: Progress) -> str:
    if progress.phase_total_s is None:
        return f"{progress.elapsed_s:.0f} s"
    digits = 1 if progress.phase_total_s < 10 else 0  # short phases have short intervals
    return f"{progress.elapsed_s:.{digits}f} of {progress.phase_total_s:.{digits}f} s"


def _span(rates: Mapping[str, float]) -> str:
    """One group's rate, or how many groups and their least and greatest rate."""
    least, greatest = units.rate(min(rates.values())), units.rate(max(rates.values()))
    told = least if least == greatest else f"{least}..{greatest}"
    return told if len(rates) == 1 else f"{len(rates)} x {told}"
