"""The run while it runs: a display for a terminal, a line per interval for anything else, or nothing.

Knows Progress and rich; must not know where progress comes from, nor keep time: it draws when it is told something, so
that it takes nothing from the machine in between. A stream that can't be written to any more (`| head`) silences the
view; it never ends a run.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Literal, Protocol, Self, TextIO

from rich.console import Console
from rich.live import Live

from ombdriver.bench.report import units
from ombdriver.bench.report.live_display import display, plain_line
from ombdriver.bench.report.progress import Progress

Mode = Literal["auto", "plain", "quiet"]


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


class Views:
    """Several views as one; each is told everything."""

    def __init__(self, views: Sequence[LiveView]) -> None:
        self._views, self._entered = views, ExitStack()

    def update(self, progress: Progress) -> None:
        """See `LiveView`."""
        for view in self._views:
            view.update(progress)

    def __enter__(self) -> Self:
        for view in self._views:
            self._entered.enter_context(view)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._entered.__exit__(kind, error, trace)


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
