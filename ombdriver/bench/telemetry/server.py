"""Looks at a server become what a result tells of it: series, events, peaks, commands of the measured window.

Pure: knows no clock, connection or file. Rates and growth are differences of two looks, whatever time lay between.
Of a long run the series are thinned; events, peaks, and what the window took come from all looks.

What happened at a server between two looks at it: forks, saves, evictions, restarts. Pure.

An event is known to have come between two looks, not when; it is told with the time of the later one.

Sums over the streams of a run, of which each look shows only some. Pure.

Each stream counts as it was last seen, so the sums cover all streams that have been seen at all, be it some looks ago.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from ombdriver.bench.drivers.sample import (
    COUNTERS,
    GAUGES,
    RATES,
    CommandSample,
    GroupSample,
    ServerSample,
    ServerStatus,
    StreamSample,
    TimedSample,
    TopicPartition,
)
from ombdriver.bench.telemetry.processes import MOST, Downsampled

Event = tuple[str, str]
"""(kind for programs, text for people)."""


def between(before: ServerSample, now: ServerSample, streaks: set[str]) -> Iterator[Event]:
    """The events from one look to the next.

    Args:
        before: the look before.
        now: the look now.
        streaks: what was going on at the look before and is told only when it begins; changed here.
    """
    if _restarted(before, now):
        yield "restarted", "the server was started anew, or another one answers"
        return
    forks = forked(before, now)
    if forks:
        micros = now.figures.get("lastForkMicros", 0)
        times = "once" if forks == 1 else f"{forks} times"
        yield "fork", f"the server forked {times}; the last fork held it up for {micros:,.0f} µs"
    yield from _written(before, now, "saving", "saves", "save", "saving the data set to disk (RDB)")
    yield from _written(before, now, "rewriting", "rewrites", "rewrite", "rewriting the append-only file (AOF)")
    delayed, evicted = (grown(before, now, name) or 0 for name in ("delayedFsyncs", "evictedKeys"))
    if _begins("delayedFsyncs", delayed > 0, streaks):
        yield "fsyncDelayed", f"writing waited for the disk: an fsync was delayed {delayed:.0f} times"
    if _begins("evictedKeys", evicted > 0, streaks):
        yield "evictionsBegan", f"the server began to evict keys, {evicted:.0f} of them so far"
    replicas, replicas_before = now.figures.get("replicas"), before.figures.get("replicas")
    if replicas is not None and replicas_before is not None and replicas != replicas_before:
        yield "replicasChanged", f"the number of connected replicas went from {replicas_before:.0f} to {replicas:.0f}"


def grown(before: ServerSample, now: ServerSample, name: str) -> float | None:
    """By how much a figure that only grows has grown; None when unknown, or when the server began anew meanwhile."""
    then, at = before.figures.get(name), now.figures.get(name)
    return None if then is None or at is None or at < then else at - then


def forked(before: ServerSample, now: ServerSample) -> int:
    """How often the server forked; servers before 6.2 do not count, there a new duration tells of one fork."""
    counted = grown(before, now, "forks")
    if counted is not None or "forks" in now.figures:
        return int(counted or 0)
    last, last_before = now.figures.get("lastForkMicros"), before.figures.get("lastForkMicros")
    return int(last is not None and last_before is not None and last != last_before)


def _restarted(before: ServerSample, now: ServerSample) -> bool:
    if before.server_id and now.server_id and before.server_id != now.server_id:
        return True
    return now.figures.get("uptimeSeconds", 0) < before.figures.get("uptimeSeconds", 0) and bool(now.figures)


def _written(before: ServerSample, now: ServerSample, flag: str, counter: str, kind: str, what: str) -> Iterator[Event]:
    """A file that a child process writes: its beginning, its end, or both when that fell between two looks."""
    if flag not in before.figures or flag not in now.figures:
        return
    was, is_now = bool(before.figures.get(flag)), bool(now.figures.get(flag))
    ended = grown(before, now, counter)
    if was and (not is_now or (ended or 0) > 0):
        yield f"{kind}Ended", f"{what} ended"
    elif not was and not is_now and (ended or 0) > 0:
        yield f"{kind}Ended", f"{what} began and ended between two looks"
    if is_now and (not was or (ended or 0) > 0):
        yield f"{kind}Began", f"{what} began"


def _begins(name: str, going_on: bool, streaks: set[str]) -> bool:
    begins = going_on and name not in streaks
    (streaks.add if going_on else streaks.discard)(name)
    return begins


MOST_PER_LOOK = 64
"""Streams that one look asks for; of more they take turns."""


@dataclass(frozen=True, slots=True)
class Sums:
    """All streams seen so far, together.

    Attributes:
        seen: how many that are.
        length: entries in them; None when that is not told for one of them.
        longest: entries in the longest one.
        groups: lag and pending entries by subscription, over all streams; a lag is None when that of a stream is.
    """

    seen: int = 0
    length: int | None = None
    longest: int | None = None
    groups: Mapping[str, GroupSample] = field(default_factory=dict)


class StreamTotals:
    """Takes looks, gives sums; a look costs as much as the streams in it, not as all there are."""

    def __init__(self) -> None:
        self._latest: dict[TopicPartition, StreamSample] = {}
        self._length = self._unknown_lengths = 0
        self._groups: dict[str, _Group] = {}

    def take(self, streams: Mapping[TopicPartition, StreamSample]) -> Sums:
        """The sums with what a look showed."""
        for stream, look in streams.items():
            if before := self._latest.get(stream):
                self._book(before, -1)
            self._book(look, 1)
            self._latest[stream] = look
        known = self._latest and not self._unknown_lengths
        return Sums(
            len(self._latest),
            self._length if known else None,
            max(each.length or 0 for each in self._latest.values()) if known else None,
            {
                name: GroupSample(None if each.unknown else each.lag, each.pending)
                for name, each in self._groups.items()
            },
        )

    def _book(self, look: StreamSample, sign: int) -> None:
        self._length += sign * (look.length or 0)
        self._unknown_lengths += sign * (look.length is None)
        for name, group in (look.groups or {}).items():
            held = self._groups.setdefault(name, _Group())
            held.lag += sign * (group.lag or 0)
            held.unknown += sign * (group.lag is None)
            held.pending += sign * group.pending


@dataclass(slots=True)
class _Group:
    lag: int = 0
    unknown: int = 0
    pending: int = 0


class Turns:
    """Which streams the next look asks for.

    Args:
        streams: all of them.
        most: how many of them at a time.
    """

    def __init__(self, streams: Sequence[TopicPartition], most: int = MOST_PER_LOOK) -> None:
        self._streams, self._most, self._next = streams, most, 0

    def take(self) -> Sequence[TopicPartition]:
        """The next ones; all, when they are not too many."""
        if len(self._streams) <= self._most:
            return self._streams
        first = self._next
        self._next = (first + self._most) % len(self._streams)
        return [self._streams[(first + at) % len(self._streams)] for at in range(self._most)]


CPU = ("cpuUserSeconds", "cpuSystemSeconds", "childrenCpuSeconds")
MOST_EVENTS = 1000
SECOND = 10**9


@dataclass(frozen=True, slots=True)
class _Kept:
    """What a series keeps of a look."""

    sample: ServerSample
    sums: Sums
    at_ns: int
    took_ns: int


class ServerSeries:
    """The looks of one run.

    Args:
        late_ns: a look that takes longer is told as an event.
        most: looks that the series keep.

    Attributes:
        now: what the last look showed; None before the first one.
    """

    def __init__(self, late_ns: int = SECOND, most: int = MOST) -> None:
        self._late_ns = late_ns
        self._kept: Downsampled[_Kept] = Downsampled(most)
        self._sums = StreamTotals()
        self._events: list[tuple[int, str, str]] = []
        self._left_out = 0
        self._streaks: set[str] = set()
        self._unseen: dict[str, None] = {}
        self._last: TimedSample | None = None
        self.now: ServerStatus | None = None
        self.looks = self.late = self.failed = self.commands_sent = self.total_ns = self.longest_ns = 0
        self.begin(0, 0)

    def __repr__(self) -> str:
        return f"<ServerSeries {self.looks} looks, {len(self._events)} events>"

    # -- the measured window ---------------------------------------------------------------------------------------

    def begin(self, start_ns: int, end_ns: int) -> None:
        """The window that counts; peaks begin anew."""
        self._start_ns, self._end_ns = start_ns, end_ns
        self._first: TimedSample | None = None
        self._final: TimedSample | None = None
        self._peak_cpu: float | None = None
        self._peak_memory: float | None = None
        self._forks, self._longest_fork_micros = 0, 0.0

    def prolong(self, end_ns: int) -> None:
        """The window ends there, later than thought; it has not ended."""
        self._end_ns = max(self._end_ns, end_ns)

    def end(self, end_ns: int) -> None:
        """The window ended there, sooner than thought."""
        self._end_ns = min(self._end_ns, end_ns)

    # -- looks -----------------------------------------------------------------------------------------------------

    def take(self, seen: TimedSample) -> None:
        """Adds a look; they come in order."""
        look, took_ns = seen.sample, seen.answered_ns - seen.asked_ns
        self.looks += 1
        self.commands_sent += look.commands_sent
        self.total_ns += took_ns
        self.longest_ns = max(self.longest_ns, took_ns)
        self._unseen |= dict.fromkeys(look.unseen)
        if took_ns > self._late_ns:
            self.late += 1
            self._note(seen.asked_ns, "lookLate", f"the server took {took_ns / SECOND:.1f} s to answer a look")
        sums = self._sums.take(look.streams)
        cpu = None if self._last is None else _cpu(self._last, seen)
        memory = _whole(look.figures.get("usedMemoryBytes"))
        self.now = ServerStatus(cpu, memory, {name: group.lag for name, group in sums.groups.items()})
        if self._last is not None:
            for kind, text in between(self._last.sample, look, self._streaks):
                self._note(seen.answered_ns, kind, text)
            self._peaks(self._last, seen)
        self._choose(seen)
        self._streaks.discard("failed")
        self._kept.take(_Kept(ServerSample(look.figures), sums, seen.answered_ns, took_ns))
        self._last = seen

    def fail(self, asked_ns: int, why: str) -> None:
        """A look failed; the first of a row of them is told."""
        self.failed += 1
        if "failed" not in self._streaks:
            self._note(asked_ns, "lookFailed", why)
        self._streaks.add("failed")

    def _note(self, at_ns: int, kind: str, text: str) -> None:
        if len(self._events) < MOST_EVENTS:
            self._events.append((at_ns, kind, text))
        else:
            self._left_out += 1

    def _choose(self, seen: TimedSample) -> None:
        """The looks nearest to the ends of the window stand for them."""
        if self._first is None or _apart(seen, self._start_ns) < _apart(self._first, self._start_ns):
            self._first = self._final = seen
        elif self._final is None or _apart(seen, self._end_ns) < _apart(self._final, self._end_ns):
            self._final = seen

    def _peaks(self, before: TimedSample, now: TimedSample) -> None:
        if not self._start_ns <= (before.answered_ns + now.answered_ns) // 2 <= self._end_ns:
            return
        cpu, memory = _cpu(before, now), now.sample.figures.get("usedMemoryBytes")
        self._peak_cpu = _larger(self._peak_cpu, cpu)
        self._peak_memory = _larger(self._peak_memory, memory)
        if forks := forked(before.sample, now.sample):
            self._forks += forks
            self._longest_fork_micros = max(self._longest_fork_micros, now.sample.figures.get("lastForkMicros", 0.0))

    # -- what is told ----------------------------------------------------------------------------------------------

    def summary(self) -> dict[str, Any]:
        """The server over the measured window, in a few numbers."""
        mean = _cpu(*self._window) if self._window else None
        return {
            "serverCpu": {"mean": _rounded(mean), "peak": _rounded(self._peak_cpu)},
            "usedMemoryPeakBytes": _whole(self._peak_memory),
            "evictedKeys": _whole(self._grown("evictedKeys")),
            "expiredKeys": _whole(self._grown("expiredKeys")),
            "delayedFsyncs": _whole(self._grown("delayedFsyncs")),
            "forks": self._forks if self.looks else None,
            "longestForkMs": _rounded(self._longest_fork_micros / 1000) if self._forks else None,
        }

    @property
    def _window(self) -> tuple[TimedSample, TimedSample] | None:
        """The looks nearest to the ends of the window, when there are two."""
        first, final = self._first, self._final
        return None if first is None or final is None or first is final else (first, final)

    def _grown(self, name: str) -> float | None:
        return grown(self._window[0].sample, self._window[1].sample, name) if self._window else None

    def told(self) -> dict[str, Any]:
        """Everything, as plain data for a result; times in seconds from the start of the window."""
        kept = self._kept.items
        return {
            "t": [self._at(each.at_ns) for each in kept],
            "lookMs": [_rounded(each.took_ns / 1e6) for each in kept],
            **{name: _or_null([_whole(each.sample.figures.get(name)) for each in kept]) for name in GAUGES},
            **{told: _or_null(self._differences(name, per_second=True)) for name, told in RATES.items()},
            **{told: _or_null(self._differences(name, per_second=False)) for name, told in COUNTERS.items()},
            "streams": {
                "seen": [each.sums.seen for each in kept],
                "length": _or_null([each.sums.length for each in kept]),
                "longest": _or_null([each.sums.longest for each in kept]),
                "groups": self._groups(),
            },
            "events": [
                {"t": self._at(at_ns), "kind": kind, "text": text} for at_ns, kind, text in sorted(self._events)
            ],
            "eventsLeftOut": self._left_out,
            "commands": self._commands(),
            "commandLatencyMicros": dict(self._final.sample.command_latency) if self._final else {},
            "unseen": list(self._unseen),
        }

    @property
    def stride(self) -> int:
        """Of so many looks, the series hold one."""
        return self._kept.stride

    def _at(self, at_ns: int) -> float:
        return round((at_ns - self._start_ns) / SECOND, 3)

    def _differences(self, name: str, *, per_second: bool) -> list[float | None]:
        found: list[float | None] = [None]
        kept = self._kept.items
        for before, now in pairwise(kept):
            more = grown(before.sample, now.sample, name)
            if more is not None and per_second:
                more = round(more * SECOND / max(1, now.at_ns - before.at_ns), 4 if name in CPU else 1)
            found.append(more if per_second else _whole(more))
        return found[: len(kept)]

    def _groups(self) -> dict[str, Any]:
        kept = self._kept.items
        names = kept[-1].sums.groups if kept else ()
        return {
            name: {
                "lag": _or_null([group.lag if (group := each.sums.groups.get(name)) else None for each in kept]),
                "pending": [group.pending if (group := each.sums.groups.get(name)) else None for each in kept],
            }
            for name in names
        }

    def _commands(self) -> dict[str, Any] | None:
        """What the server was asked between the two looks nearest to the ends of the window."""
        if self._window is None:
            return None
        first, final = self._window
        took = {}
        for name, now in sorted(final.sample.commands.items()):
            then = first.sample.commands.get(name, CommandSample(0, 0))
            calls, micros = now.calls - then.calls, now.micros - then.micros
            if calls > 0 <= micros:  # statistics that were reset meanwhile tell nothing
                took[name] = {"calls": calls, "micros": micros, "microsPerCall": _rounded(micros / calls)}
        return {"from": self._at(first.answered_ns), "to": self._at(final.answered_ns), "byName": took}


def _cpu(before: TimedSample, now: TimedSample) -> float | None:
    """Processor time per second, user and system, of the server without its children."""
    user, system = (grown(before.sample, now.sample, name) for name in ("cpuUserSeconds", "cpuSystemSeconds"))
    if user is None or system is None:
        return None
    return (user + system) * SECOND / max(1, now.answered_ns - before.answered_ns)


def _apart(seen: TimedSample, at_ns: int) -> int:
    return abs(seen.answered_ns - at_ns)


def _larger(one: float | None, other: float | None) -> float | None:
    known = [each for each in (one, other) if each is not None]
    return max(known, default=None)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _whole(value: float | None) -> int | None:
    return None if value is None else round(value)


def _or_null(series: list[Any]) -> list[Any] | None:
    """None in place of a series that has no value at all: the server never told it."""
    return None if all(each is None for each in series) else series
