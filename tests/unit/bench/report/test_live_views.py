"""What people see while a run runs: a display, lines, or nothing; texts are held against golden ones."""

import io
import os
import re
from collections.abc import Callable
from dataclasses import replace
from html import unescape
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from sample_result import figures
from terminals import Tty

from ombdriver.bench.metrics.latency import HEADLINE
from ombdriver.bench.report import live, units
from ombdriver.bench.report import live as live_display
from ombdriver.bench.report.live import SeriesTimer, SeriesView
from ombdriver.bench.report.progress import GroupProgress, Progress, SeriesProgress, ServerProgress
from ombdriver.bench.verdict.model import Reason, Verdict

Golden = Callable[[str, str], None]

OVERLOADED = Verdict(
    "OVERLOADED",
    (
        Reason(
            "achieved", "OVERLOADED", "published: 9,000 of 10,000 messages/s, 90.0% of the target, under 99%: lower"
        ),
        Reason("errors", "OVERLOADED", "1,000 of 10,000 messages met an error"),
    ),
)


def group(number: int) -> GroupProgress:
    """A subscription in the twelfth second."""
    return GroupProgress(2000.0 + number, number % 5, None if number == 3 else number, figures(212_000 + number))


def progress(groups: int, **changed: object) -> Progress:
    """A look at a run in its twelfth second."""
    values: dict[str, object] = {
        "phase": "measure",
        "elapsed_s": 12.1,
        "phase_total_s": 30.0,
        "left_s": 17.9,
        "target_rate": 2000.0,
        "publish_rate": 1999.6,
        "publish": figures(95_000),
        "end_to_end": figures(212_000),
        "groups": {f"group-{number}": group(number) for number in range(1, groups + 1)},
        "server": ServerProgress(0.234, 12_345_678),
        "verdict": Verdict("VALID"),
    }
    return Progress(**(values | changed))  # type: ignore[arg-type]


def drawn(told: Progress, width: int = 80) -> str:
    """The display as text without colour."""
    stream = io.StringIO()
    Console(file=stream, width=width, highlight=False, markup=False, emoji=False).print(live_display.display(told))
    return "\n".join(line.rstrip() for line in stream.getvalue().splitlines()) + "\n"


# -- the display -------------------------------------------------------------------------------------------------------


def test_the_display(golden: Golden) -> None:
    """Phase, bar and time left, the verdict so far, rates, server, and a line for publishing and for each group."""
    golden("live-display.txt", drawn(progress(3)))


def test_the_picture_in_the_documentation_is_the_display() -> None:
    """By its text; GOLDEN=write draws it anew."""
    path = Path(__file__).parents[4] / "docs" / "display.svg"
    if os.environ.get("GOLDEN") == "write":
        console = Console(file=io.StringIO(), width=80, record=True, force_terminal=True, color_system="truecolor")
        console.print(live_display.display(progress(3)))
        drawing = console.export_svg(title="ombdriver run 1kb-3groups", unique_id="display")
        # A font from elsewhere would be fetched.
        path.write_text(re.sub(r"@font-face \{.*?\}\s*", "", drawing, flags=re.DOTALL), encoding="utf-8")
    lines: dict[str, str] = {}
    for row, text in re.findall(
        r'<text class="display-r\d+" x="[^"]*" y="([^"]*)"[^>]*>(.*?)</text>', path.read_text("utf-8")
    ):
        lines[row] = lines.get(row, "") + unescape(text).replace("\xa0", " ")

    def words(text: str) -> str:
        return " ".join(re.sub("[━╸╺]", " ", text).split())  # in colour the bar is drawn to its end

    assert words(drawn(progress(3))) in words(" ".join(lines.values()))


def test_the_display_of_many_groups_shows_those_furthest_behind(golden: Golden) -> None:
    """In the plan's order, so that lines do not jump about."""
    golden("live-display-12-groups.txt", drawn(progress(12, publish_error_rate=3.0)))


def test_the_display_tells_what_is_wrong_so_far(golden: Golden) -> None:
    """The gravest reason, cut at the width, and how many there are besides."""
    golden("live-display-overloaded.txt", drawn(progress(1, verdict=OVERLOADED)))


def test_the_display_of_several_runs_has_a_bar_over_the_whole(golden: Golden) -> None:
    """Which run it is, and how long the rest may take."""
    golden("live-display-whole.txt", drawn(progress(2, series=SeriesProgress(3, 18, 0.14, 432.0))))


def test_the_display_before_anything_has_happened(golden: Golden) -> None:
    """A phase without a known end, and no figures yet."""
    golden("live-display-ready.txt", drawn(Progress("ready", 0.4, message="waiting for 3 of 6 probes")))


def test_the_display_of_a_backlog_tells_how_far_it_is_drained() -> None:
    """Behind the time that is left, also where that is long."""
    long = progress(1, phase="catch-up", phase_total_s=36_000.0, left_s=35_940.0, message="45% drained")

    assert drawn(long).splitlines()[0].endswith("12 of 36000 s, 9 h 59 min left, 45% drained")


def test_the_display_of_a_drain_tells_what_is_on_its_way(golden: Golden) -> None:
    """Backlog and lag of each group, without rates and latencies."""
    waiting = {"group-1": GroupProgress(backlog=1203, lag=1200), "group-2": GroupProgress()}
    told = Progress("drain", 2.0, message="until everything sent has been received", groups=waiting)

    golden("live-display-drain.txt", drawn(told))


@given(
    st.integers(0, 20),
    st.sampled_from(["g", "a-group-with-a-very-long-name-that-nobody-types", "群組-" * 9]),
    st.floats(0, 1e9),
    st.integers(0, 10**12),
    st.integers(40, 200),
)
def test_no_line_of_the_display_is_wider_than_the_terminal_or_80(
    groups: int, name: str, rate: float, number: int, width: int
) -> None:
    """Whatever the figures are."""
    held = {f"{at}{name}": GroupProgress(rate, number, number, figures(number)) for at in range(groups)}
    series = SeriesProgress(1, 2, 0.5, rate)
    told = replace(progress(0), groups=held, publish_rate=rate, target_rate=rate, verdict=OVERLOADED, series=series)
    stream = io.StringIO()
    console = Console(file=stream, width=width, highlight=False, markup=False, emoji=False)
    console.print(live_display.display(told))

    widths = [console.measure(line).maximum for line in stream.getvalue().splitlines()]
    assert max(widths) <= min(width, live_display.WIDEST)


@given(st.sampled_from([1, 9, 99, 999]), st.sampled_from([1, 10**3, 10**6, 10**9, 10**12]))
def test_no_figure_of_the_display_is_cut_at_80_columns(number: int, unit: int) -> None:
    """However many columns there are, with latencies of up to 99 s at the median: who adds one has or makes room."""
    latencies = figures(min(number * unit, 99 * 10**9))
    held = {"group-1": GroupProgress(number * unit, number * unit, number, latencies)}
    told = replace(progress(0), groups=held)
    (*_, head, publish, group) = drawn(told).splitlines()

    assert "…" not in head + publish + group
    assert head.split()[-len(live._COLUMNS) :] == list(live._COLUMNS)
    for figure in HEADLINE:
        assert units.latency(latencies.ms(figure)) in group
    assert units.short(number * unit) in group


# -- lines and silence -------------------------------------------------------------------------------------------------


def test_plain_lines(golden: Golden) -> None:
    """One line for each update; short phases have tenths of seconds."""
    stream = io.StringIO()
    with live.make_view("auto", stream) as view:
        view.update(Progress("ready", 0.4, message="waiting for 3 of 6 probes"))
        view.update(progress(1))
        view.update(progress(3, publish_error_rate=12.0, verdict=OVERLOADED))
        view.update(Progress("drain", 0.2, 0.5))
        view.update(Progress("drain", 1.0, groups={"group-1": GroupProgress(backlog=12)}))

    golden("live-plain.txt", stream.getvalue())


def test_quiet_says_nothing() -> None:
    """No progress."""
    stream = io.StringIO()
    with live.make_view("quiet", stream) as view:
        view.update(progress(1))

    assert stream.getvalue() == ""


def test_plain_holds_on_a_terminal_too() -> None:
    """When it was asked for."""
    assert isinstance(live.make_view("plain", Tty()), live.PlainView)


def test_the_display_is_for_terminals_that_can_draw(monkeypatch: pytest.MonkeyPatch) -> None:
    """A dumb one gets lines."""
    monkeypatch.setenv("TERM", "xterm")
    assert isinstance(live.make_view("auto", Tty()), live.DisplayView)
    monkeypatch.setenv("TERM", "dumb")
    assert isinstance(live.make_view("auto", Tty()), live.PlainView)


def test_an_exception_gives_the_terminal_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """The cursor is shown again, and the exception goes on."""
    monkeypatch.setenv("TERM", "xterm")
    stream = Tty()

    def crash() -> None:
        with live.make_view("auto", stream) as view:
            view.update(progress(3))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        crash()

    assert stream.getvalue().rindex("\x1b[?25h") > stream.getvalue().rindex("\x1b[?25l")


def test_a_run_that_only_reads_tells_what_it_receives() -> None:
    """Nothing is sent, so no target and no rate of publishing is told."""
    told = progress(1, target_rate=None, publish_rate=0.0, publish=None, end_to_end=None)

    assert "received 2,001/s" in live_display.plain_line(told)
    assert "published" not in live_display.plain_line(told)
    assert "2,001/s" in drawn(told)


@pytest.mark.parametrize("mode", ["auto", "plain"])
def test_a_stream_that_is_gone_silences_the_view(mode: live.Mode, monkeypatch: pytest.MonkeyPatch) -> None:
    """`| head` must not end a run."""
    monkeypatch.setenv("TERM", "xterm")
    stream = Tty()

    def broken(_: str) -> int:
        raise BrokenPipeError

    with live.make_view(mode, stream) as view:
        view.update(progress(1))
        monkeypatch.setattr(stream, "write", broken)
        view.update(progress(1))


class Listening(live.QuietView):
    """Notes what it is told."""

    def __init__(self) -> None:
        self.told: list[object] = []

    def update(self, progress: Progress) -> None:
        """See `LiveView`."""
        self.told.append(progress)

    def end(self) -> None:
        """See `LiveView`."""
        self.told.append("end")


@pytest.mark.parametrize("mode", ["auto", "plain", "quiet"])
def test_several_views_are_told_the_same(mode: live.Mode) -> None:
    """And each of them ends when all do, and again when they are left."""
    listening = Listening()
    with live.Views((live.make_view(mode, io.StringIO()), listening)) as views:
        views.update(progress(1))
        views.end()

    assert listening.told == [progress(1), "end", "end"]


def test_the_terminal_is_given_back_at_the_end_of_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """The display is gone by then, so that a table can take its place; leaving it later writes nothing more."""
    monkeypatch.setenv("TERM", "xterm")
    stream = Tty()
    timer = SeriesTimer([1.0, 1.0], Clock())
    with SeriesView(live.make_view("auto", stream), timer) as view:
        view.update(progress(3))
        view.end()
        written = stream.getvalue()
        stream.write("the table")

    assert written.rindex("\x1b[?25h") > written.rindex("\x1b[?25l")
    assert stream.getvalue() == written + "the table"


# -- several runs ------------------------------------------------------------------------------------------------------


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        """Now."""
        return self.now_s


def test_runs_to_come_are_thought_to_take_what_earlier_ones_took_besides() -> None:
    """Three runs of 10 s; the first takes 14 s in all."""
    clock = Clock()
    timer = SeriesTimer([10.0, 10.0, 10.0], clock)
    timer.begin(0)
    assert timer.progress() == SeriesProgress(1, 3, 0.0, 39.0)
    clock.now_s += 14.0
    timer.begin(1)
    assert timer.progress() == SeriesProgress(2, 3, 14 / 42, 28.0)
    clock.now_s += 7.0
    assert timer.progress() == SeriesProgress(2, 3, 21 / 42, 21.0)


def test_a_run_that_takes_longer_than_thought_has_no_time_left() -> None:
    """Not less than none."""
    clock = Clock()
    timer = SeriesTimer([1.0], clock)
    timer.begin(0)
    clock.now_s += 100.0

    assert timer.progress() == SeriesProgress(1, 1, 1.0, 0.0)


def test_a_view_of_one_run_is_told_of_all() -> None:
    """With every update."""
    listening = Listening()
    timer = SeriesTimer([1.0, 1.0], Clock())
    timer.begin(1)
    with SeriesView(listening, timer) as view:
        view.update(Progress("ready", 0.0))

    first, *_ = listening.told
    assert isinstance(first, Progress)
    assert first.series is not None
    assert first.series.run == 2
