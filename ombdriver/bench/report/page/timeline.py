"""What happened in a run over time: series in panels on one axis, phases, and annotations. Pure.

Times are seconds from the beginning of the measured window. Long series are downsampled to what a screen can show: of
neighbours a rate is their mean, everything else the highest, so that no peak is lost. A page with twenty results of an
hour would else be tens of megabytes.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from ombdriver.bench.metrics.latency import HEADLINE
from ombdriver.bench.report.backlog import describe_drain
from ombdriver.bench.report.fault_words import sentence, shown_of
from ombdriver.bench.results.omb_keys import ENDINGS
from ombdriver.bench.results.result import Result
from ombdriver.bench.verdict.model import Caveat

MOST_ANNOTATIONS = 40
"""Of more the first are drawn: they could not be distinguished."""

_AT_BEGIN = frozenset({"carriedIn"})
_AT_END = frozenset({"undelivered", "unanswered", "auditIncomplete"})


@dataclass(frozen=True, slots=True)
class TimelinePhase:
    """A part of a run, and its times in seconds from the window's beginning.

    The name is `warm-up`, `building of the backlog`, `measurement` or `drain`.
    """

    name: str
    begin_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class FaultBand:
    """The time of one fault, from its injection until it was healed and all was as before, in seconds as above.

    Attributes:
        begin_s: of the injection.
        end_s: when it was healed; the same where there is nothing to heal.
        felt_s: until when its effect was felt.
    """

    begin_s: float
    end_s: float
    felt_s: float


@dataclass(frozen=True, slots=True)
class Annotation:
    """Something at one time, in seconds from the window's beginning.

    Attributes:
        time_s: when.
        kind: of the server's event or the caveat; `fault` of what was broken on cue.
        text: what it was.
        caveat: True for a caveat of the result.
    """

    time_s: float
    kind: str
    text: str
    caveat: bool


def phases(result: Result) -> tuple[TimelinePhase, ...]:
    """The parts of the time that telemetry covers; without it the measurement alone."""
    end_s = result.window_s
    times = _times(result)
    found = [TimelinePhase("measurement", 0.0, end_s)]
    built_s = 0.0 if result.backlog_drain is None else -result.backlog_drain["buildSeconds"]
    if built_s:
        found.insert(0, TimelinePhase("building of the backlog", built_s, 0.0))
    if times and times[0] < built_s:
        found.insert(0, TimelinePhase("warm-up", times[0], built_s))
    if times and times[-1] > end_s + 0.5:
        found.append(TimelinePhase("drain", end_s, times[-1]))
    return tuple(found)


def annotations(result: Result) -> tuple[Annotation, ...]:
    """Events of the server, caveats whose time is known, and faults, in the order of time."""
    server = (result.telemetry or {}).get("server") or {}
    found = [Annotation(each["t"], each["kind"], each["text"], False) for each in server.get("events") or []]
    for caveat in result.caveats:
        time_s = _time(result, caveat)
        if time_s is not None:
            found.append(Annotation(time_s, caveat.kind, caveat.message, True))
    if result.backlog_drain is not None and result.backlog_drain["caughtUp"]:
        text = f"all groups have caught up: {describe_drain(result.backlog_drain)}"
        found.append(Annotation(result.backlog_drain["drainSeconds"], "caughtUp", text, False))
    faults = shown_of(injections(result))
    found += [Annotation(each["injectedSeconds"], "fault", sentence(each), False) for each in faults]
    found.sort(key=lambda each: (each.time_s, each.kind))
    return tuple(found[:MOST_ANNOTATIONS])


def fault_bands(result: Result) -> tuple[FaultBand, ...]:
    """Of all injections, in their order."""
    found = []
    for each in injections(result):
        begin_s = each["injectedSeconds"]
        end_s = begin_s if each["healedSeconds"] is None else max(begin_s, each["healedSeconds"])
        found.append(FaultBand(begin_s, end_s, max(end_s, each["endSeconds"]) if each["hadEffect"] else end_s))
    return tuple(found)


def injections(result: Result) -> Sequence[Mapping[str, Any]]:
    """Of a result's faults; none without faults."""
    found: Sequence[Mapping[str, Any]] = result.faults["injections"] if result.faults else ()
    return found


def _time(result: Result, caveat: Caveat) -> float | None:
    if caveat.kind in _AT_BEGIN:
        return 0.0
    if caveat.kind in _AT_END:
        return result.window_s
    if caveat.kind == "stalls":
        return _worst_stall(result, caveat.message)
    if caveat.kind == "publishErrors":
        return _first(result, result.rates["publishErrorRate"])
    return None


def _worst_stall(result: Result, message: str) -> float | None:
    """The end of the second of the window in which the worker of the caveat was held up most."""
    processes = (result.telemetry or {}).get("processes") or {}
    times: Sequence[float] = processes.get("t") or []
    workers: Sequence[Mapping[str, Any]] = processes.get("workers") or []
    for number, worker in enumerate(workers):
        if message.startswith(f"worker {number} "):
            stalled = zip(times, worker.get("stalledMs") or [], strict=False)
            inside = [(held or 0.0, time_s) for time_s, held in stalled if 0 < time_s <= result.window_s + 0.5]
            held, time_s = max(inside, default=(0.0, 0.0))
            return time_s if held else None
    return None


def _first(result: Result, values: Sequence[float]) -> float | None:
    at = next((at for at, value in enumerate(values) if value), None)
    return None if at is None else at * result.sample_interval_seconds


def _times(result: Result) -> Sequence[float]:
    telemetry = result.telemetry or {}
    for part in ("server", "processes"):
        times: Sequence[float] = (telemetry.get(part) or {}).get("t") or []
        if times:
            return times
    return ()


Values = Sequence[float | None]

_DIGITS = 4


def stride(length: int, most: int) -> int:
    """How many neighbours make one point, so that there are `most` points or fewer; 1 or more."""
    return max(1, -(-length // most))


def maxima(values: Values, by: int) -> list[float | None]:
    """The highest of every `by` neighbours, so that no peak is lost; None where none of them has a value."""
    return _each(values, by, max)


def means(values: Values, by: int) -> list[float | None]:
    """The mean of every `by` neighbours, for rates; None where none of them has a value."""
    return _each(values, by, lambda some: sum(some) / len(some))


def firsts(values: Sequence[float], by: int) -> list[float]:
    """The first of every `by` neighbours, for times."""
    return [_rounded(value) for value in values[::by]]


def _each(values: Values, by: int, fold: Callable[[list[float]], float]) -> list[float | None]:
    folded: list[float | None] = []
    for start in range(0, len(values), by):
        some = [value for value in values[start : start + by] if value is not None]
        folded.append(_rounded(fold(some)) if some else None)
    return folded


def _rounded(value: float) -> float:
    """To four digits, and whole numbers without a decimal point: that is a third of the text."""
    short = float(f"{value:.{_DIGITS}g}") if abs(value) < 10**_DIGITS else float(round(value))
    return int(short) if short.is_integer() else short


MOST_GROUPS = 6
"""Of more groups the lag is that of all together."""

_SHORTEST_S = 0.2
"""Between two samples, for a rate between them to mean something."""


@dataclass(frozen=True, slots=True)
class Line:
    """One series: its name, and for each point the time in seconds and the value; None where there is none."""

    name: str
    times_s: Sequence[float]
    values: Values


@dataclass(frozen=True, slots=True)
class Panel:
    """Series of one unit, which share an axis.

    Attributes:
        title: what they are.
        unit: of the values.
        lines: one or more.
        log: True where values differ by orders of magnitude.
    """

    title: str
    unit: str
    lines: tuple[Line, ...]
    log: bool = False


@dataclass(frozen=True, slots=True)
class Timeline:
    """One run over time.

    Attributes:
        panels: those that have a series, the client's first, the server's and the processes' under them.
        phases: what of the time was what.
        faults: what was broken when.
        annotations: what happened at one time.
        note: how the series were downsampled; empty when they were not.
    """

    panels: tuple[Panel, ...]
    phases: tuple[TimelinePhase, ...]
    faults: tuple[FaultBand, ...]
    annotations: tuple[Annotation, ...]
    note: str


def timeline(result: Result, most_points: int) -> Timeline:
    """Of `result`, with no more than `most_points` points in a series."""
    by = stride(len(result.rates["publishRate"]), most_points)
    panels = [panel for panel in (*_measured(result, by, most_points), *_observed(result, most_points)) if panel.lines]
    seconds = by * result.sample_interval_seconds
    note = f"One point stands for {seconds:g} s: rates are means, the rest is the highest." if by > 1 else ""
    return Timeline(tuple(panels), phases(result), fault_bands(result), annotations(result), note)


def _measured(result: Result, by: int, most_points: int) -> Iterator[Panel]:
    step, lengths = result.sample_interval_seconds, result.interval_lengths_s()
    times = firsts([round(at * step + length / 2, 3) for at, length in enumerate(lengths)], by)
    rates = result.rates

    def rate(name: str, key: str) -> Line:
        return Line(name, times, means(rates[key], by))

    lines = [rate("published", "publishRate"), rate("received, all groups", "consumeRate")]
    lines += [Line("target", times, means(result.target_rates, by))] if result.target_rates else []
    lines += [rate("publish errors", "publishErrorRate")] if any(rates["publishErrorRate"]) else []
    yield Panel("Rates", "messages/s", tuple(lines) if times else ())
    for family, title in (("endToEndResponse", "End-to-end response"), ("publishResponse", "Publish response")):
        some = {
            statistic: result.series[f"{family}Latency{ending}"]
            for ending, statistic in reversed(ENDINGS.items())
            if statistic in (*HEADLINE, "max")
        }
        yield Panel(title, "ms", tuple(_lines(times, some, by)), log=True)
    backlog = _lines(times, {"backlog": rates["backlog"]}, by)
    yield Panel("Backlog and lag", "messages", (*backlog, *_lag(result, most_points)))


def _lag(result: Result, most_points: int) -> Iterator[Line]:
    """What the server says that groups have not been given yet."""
    server = (result.telemetry or {}).get("server") or {}
    groups = (server.get("streams") or {}).get("groups") or {}
    lags = {f"lag of {name}": each.get("lag") for name, each in groups.items()}
    known = {name: values for name, values in lags.items() if values}
    if len(known) > MOST_GROUPS:
        known = {"lag, all groups": [_sum(values) for values in zip(*known.values(), strict=True)]}
    times = server.get("t") or []
    by = stride(len(times), most_points)
    yield from _lines(firsts(times, by), known, by)


def _observed(result: Result, most_points: int) -> Iterator[Panel]:
    telemetry = result.telemetry or {}
    server, processes = telemetry.get("server") or {}, telemetry.get("processes") or {}
    server_times, process_times = server.get("t") or [], processes.get("t") or []
    by, per = stride(len(server_times), most_points), stride(len(process_times), most_points)
    times, others = firsts(server_times, by), firsts(process_times, per)
    workers = {_worker(at, each): each for at, each in enumerate(processes.get("workers") or [])}
    parent = {"parent": processes.get("parent") or {}}
    both = zip(server.get("cpuUser") or [], server.get("cpuSystem") or [], strict=False)
    own = _without_short_steps(server_times, [_sum(each) for each in both])
    children = _without_short_steps(server_times, server.get("cpuChildren"))
    cpu = {"server": own, "server's children": children if any(children or ()) else None}
    cores = (*_lines(times, cpu, by), *_lines(others, _of(workers | parent, "cpu"), per))
    yield Panel("Processor time", "cores", cores)
    memory = {"used": server.get("usedMemoryBytes"), "resident": server.get("memoryRssBytes")}
    mebibytes = {name: _scaled(values, 2**20) for name, values in memory.items()}
    yield Panel("Memory of the server", "MiB", tuple(_lines(times, mebibytes, by)))
    commands = {"commands": _without_short_steps(server_times, server.get("commandsPerSecond"))}
    yield Panel("Commands of all clients", "per s", tuple(_lines(times, commands, by)))
    yield Panel("Event loops held up", "ms/s", tuple(_lines(others, _of(workers | parent, "stalledMs"), per)))


def _lines(times: Sequence[float], series: Mapping[str, Values | None], by: int) -> Iterator[Line]:
    """The series that have a value."""
    for name, values in series.items():
        if values and any(value is not None for value in values):
            yield Line(name, times, maxima(values, by))


def _without_short_steps(times: Sequence[float], values: Values | None) -> Values | None:
    """Rates without those of a moment, which say nothing: the sample at the window's end comes right after another."""
    if not values:
        return None
    steps = [_SHORTEST_S, *(later - earlier for earlier, later in pairwise(times))]
    return [value if step >= _SHORTEST_S else None for value, step in zip(values, steps, strict=False)]


def _worker(number: int, worker: Mapping[str, Any]) -> str:
    return f"worker {number} ({worker.get('role', '?')})"


def _of(processes: Mapping[str, Mapping[str, Any]], key: str) -> dict[str, Values | None]:
    return {name: each.get(key) for name, each in processes.items()}


def _sum(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _scaled(values: Values | None, by: float) -> Values | None:
    return values and [None if value is None else value / by for value in values]
