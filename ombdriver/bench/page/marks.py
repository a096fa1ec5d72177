"""What is marked on the time axis of a run: its phases, the server's events, and the caveats that have a time. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ombdriver.bench.judgement import Caveat
from ombdriver.bench.report.drain_words import sentence
from ombdriver.bench.result import Result

MOST_MARKS = 40
"""More than that would be a wall; the first are drawn."""

_AT_BEGIN = frozenset({"carriedIn"})
_AT_END = frozenset({"undelivered", "unanswered", "auditIncomplete"})


@dataclass(frozen=True, slots=True)
class Phase:
    """A part of a run, and its times in seconds from the window's beginning.

    The name is `warm-up`, `building of the backlog`, `measurement` or `drain`.
    """

    name: str
    begin_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Mark:
    """Something at one time, in seconds from the window's beginning.

    Attributes:
        time_s: when.
        kind: of the server's event or the caveat.
        text: what it was.
        caveat: True for a caveat of the result.
    """

    time_s: float
    kind: str
    text: str
    caveat: bool


def phases(result: Result) -> tuple[Phase, ...]:
    """The parts of the time in which somebody looked; without telemetry the measurement alone."""
    end_s = result.window_s
    times = _times(result)
    found = [Phase("measurement", 0.0, end_s)]
    built_s = 0.0 if result.backlog_drain is None else -result.backlog_drain["buildSeconds"]
    if built_s:
        found.insert(0, Phase("building of the backlog", built_s, 0.0))
    if times and times[0] < built_s:
        found.insert(0, Phase("warm-up", times[0], built_s))
    if times and times[-1] > end_s + 0.5:
        found.append(Phase("drain", end_s, times[-1]))
    return tuple(found)


def marks(result: Result) -> tuple[Mark, ...]:
    """Events of the server, and caveats whose time can be told from the result, in the order of time."""
    server = (result.telemetry or {}).get("server") or {}
    found = [Mark(each["t"], each["kind"], each["text"], False) for each in server.get("events") or []]
    for caveat in result.caveats:
        time_s = _time(result, caveat)
        if time_s is not None:
            found.append(Mark(time_s, caveat.kind, caveat.message, True))
    if result.backlog_drain is not None and result.backlog_drain["caughtUp"]:
        text = f"all groups have caught up: {sentence(result.backlog_drain)}"
        found.append(Mark(result.backlog_drain["drainSeconds"], "caughtUp", text, False))
    found.sort(key=lambda mark: (mark.time_s, mark.kind))
    return tuple(found[:MOST_MARKS])


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
