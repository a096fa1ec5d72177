"""Samples of a server become series, events, peaks, and the commands of the measured window. Pure.

Rates and increases are differences of two samples, whatever time lay between. Of a long run the series are
downsampled; events, peaks, and what the window took come from all samples. An event is known to have come between two
samples, not when; it has the time of the later one. Knows no clock, connection or file.
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
from ombdriver.bench.telemetry.summary import CpuShare, TelemetrySummary, rounded
from ombdriver.bench.telemetry.window import MOST_SAMPLES, Downsampled, Window, WindowEnds
from ombdriver.bench.units import SECOND

CPU = ("cpuUserSeconds", "cpuSystemSeconds", "childrenCpuSeconds")
MOST_EVENTS = 1000
EVENTS = {
    "fork": "the server forked; it stands still meanwhile",
    "saveBegan": "a child process writes the data set (RDB)",
    "saveEnded": "it has written it",
    "rewriteBegan": "a child process writes the append-only file (AOF) anew",
    "rewriteEnded": "it has written it",
    "fsyncDelayed": "writing waited for the disk, and had not at the look before",
    "evictionsBegan": "keys were evicted, and none at the look before",
    "replicasChanged": "the number of connected replicas",
    "restarted": "the server was started anew, or another one answers",
    "lookLate": "a look took longer than a second; its time is when it was asked for",
    "lookFailed": "a look failed, and the one before had not",
}
"""Every kind of event, and when there is one."""


@dataclass(frozen=True, slots=True)
class _Point:
    """What a series keeps of a sample."""

    figures: ServerSample
    streams: "StreamTotals"
    at_ns: int
    took_ns: int


class ServerSeries:
    """The server of one run over time.

    Args:
        late_ns: a sample that takes longer is an event.
        most: samples that the series keep.

    Attributes:
        now: what the last sample showed; None before the first one.
        samples, late, failed: how many there were.
        commands_sent: what they took; so do the next two.
        total_ns: their time together.
        longest_ns: the longest of them.
    """

    def __init__(self, late_ns: int = SECOND, most: int = MOST_SAMPLES) -> None:
        self._late_ns = late_ns
        self._kept: Downsampled[_Point] = Downsampled(most)
        self._ends: WindowEnds[TimedSample] = WindowEnds()
        self._streams = StreamSums()
        self._events: list[tuple[int, str, str]] = []
        self._events_left_out = 0
        self._going_on: set[str] = set()
        self._unseen: dict[str, None] = {}
        self._last: TimedSample | None = None
        self.now: ServerStatus | None = None
        self.samples = self.late = self.failed = self.commands_sent = self.total_ns = self.longest_ns = 0
        self.begin(Window())

    def __repr__(self) -> str:
        return f"<ServerSeries {self.samples} samples, {len(self._events)} events>"

    def begin(self, window: Window) -> None:
        """That window counts; peaks begin anew."""
        self._ends.begin(window)
        self._peak_cpu: float | None = None
        self._peak_memory: float | None = None
        self._forks, self._longest_fork_micros = 0, 0.0

    # -- samples ---------------------------------------------------------------------------------------------------

    def add(self, timed: TimedSample) -> None:
        """Adds a sample; they come in order."""
        sample, took_ns = timed.sample, timed.answered_ns - timed.asked_ns
        self.samples += 1
        self.commands_sent += sample.commands_sent
        self.total_ns += took_ns
        self.longest_ns = max(self.longest_ns, took_ns)
        self._unseen |= dict.fromkeys(sample.unseen)
        if took_ns > self._late_ns:
            self.late += 1
            self._note(timed.asked_ns, "lookLate", f"the server took {took_ns / SECOND:.1f} s to answer a look")
        streams = self._streams.add(sample.streams)
        last, self._last = self._last, timed
        cpu = None if last is None else _cpu(last, timed)
        memory = _whole(sample.figures.get("usedMemoryBytes"))
        self.now = ServerStatus(cpu, memory, {name: group.lag for name, group in streams.groups.items()})
        if last is not None:
            for kind, text in events_between(last.sample, sample, self._going_on):
                self._note(timed.answered_ns, kind, text)
        if (before := self._ends.add(timed)) is not None:
            self._peaks(before, timed)
        self._going_on.discard("failed")
        self._kept.add(_Point(ServerSample(sample.figures), streams, timed.answered_ns, took_ns))

    def fail(self, asked_ns: int, why: str) -> None:
        """A sample failed; the first of a row of them is an event."""
        self.failed += 1
        if _begins("failed", True, self._going_on):
            self._note(asked_ns, "lookFailed", why)

    def _note(self, at_ns: int, kind: str, text: str) -> None:
        if len(self._events) < MOST_EVENTS:
            self._events.append((at_ns, kind, text))
        else:
            self._events_left_out += 1

    def _peaks(self, before: TimedSample, now: TimedSample) -> None:
        self._peak_cpu = _larger(self._peak_cpu, _cpu(before, now))
        self._peak_memory = _larger(self._peak_memory, now.sample.figures.get("usedMemoryBytes"))
        if forks := forks_between(before.sample, now.sample):
            self._forks += forks
            self._longest_fork_micros = max(self._longest_fork_micros, now.sample.figures.get("lastForkMicros", 0.0))

    # -- the window and the series ---------------------------------------------------------------------------------

    def summary(self) -> TelemetrySummary:
        """The server over the measured window; nothing of the processes."""
        return TelemetrySummary(
            server_cpu=CpuShare(_cpu(*self._ends.both) if self._ends.both else None, self._peak_cpu),
            used_memory_peak_bytes=_whole(self._peak_memory),
            evicted_keys=self._increase("evictedKeys"),
            expired_keys=self._increase("expiredKeys"),
            delayed_fsyncs=self._increase("delayedFsyncs"),
            forks=self._forks if self._tells_forks else None,
            longest_fork_ns=round(self._longest_fork_micros * 1000) if self._forks else None,
        )

    @property
    def _tells_forks(self) -> bool:
        """Whether the server tells of forks at all."""
        return self._last is not None and bool({"forks", "lastForkMicros"} & self._last.sample.figures.keys())

    def _increase(self, name: str) -> int | None:
        """By how much a figure grew in the window."""
        if self._ends.both is None:
            return None
        first, final = self._ends.both
        return _whole(increase(first.sample, final.sample, name))

    def to_json(self) -> dict[str, Any]:
        """Everything, as plain data for a result; times in seconds from the start of the window."""
        kept, last = self._kept.items, self._ends.final or self._last
        return {
            "t": [self._seconds(each.at_ns) for each in kept],
            "lookMs": [rounded(each.took_ns / 1e6) for each in kept],
            **{name: _or_null([_whole(each.figures.figures.get(name)) for each in kept]) for name in GAUGES},
            **{key: _or_null(self._increases(name, per_second=True)) for name, key in RATES.items()},
            **{key: _or_null(self._increases(name, per_second=False)) for name, key in COUNTERS.items()},
            "streams": {
                "seen": [each.streams.seen for each in kept],
                "length": _or_null([each.streams.length for each in kept]),
                "longest": _or_null([each.streams.longest for each in kept]),
                "groups": self._groups(),
            },
            "events": [
                {"t": self._seconds(at_ns), "kind": kind, "text": text} for at_ns, kind, text in sorted(self._events)
            ],
            "eventsLeftOut": self._events_left_out,
            "commands": self._commands(),
            "commandLatencyMicros": dict(last.sample.command_latency) if last else {},
            "unseen": list(self._unseen),
        }

    @property
    def stride(self) -> int:
        """Of so many samples, the series hold one."""
        return self._kept.stride

    def _seconds(self, at_ns: int) -> float:
        return self._ends.window.seconds(at_ns)

    def _increases(self, name: str, *, per_second: bool) -> list[float | None]:
        found: list[float | None] = [None]
        kept = self._kept.items
        for before, now in pairwise(kept):
            more = increase(before.figures, now.figures, name)
            if more is not None and per_second:
                more = round(more * SECOND / max(1, now.at_ns - before.at_ns), 4 if name in CPU else 1)
            found.append(more if per_second else _whole(more))
        return found[: len(kept)]

    def _groups(self) -> dict[str, Any]:
        kept = self._kept.items
        names = kept[-1].streams.groups if kept else ()
        return {
            name: {
                "lag": _or_null([group.lag if (group := each.streams.groups.get(name)) else None for each in kept]),
                "pending": [group.pending if (group := each.streams.groups.get(name)) else None for each in kept],
            }
            for name in names
        }

    def _commands(self) -> dict[str, Any] | None:
        """What the server was asked in the window."""
        if self._ends.both is None:
            return None
        first, final = self._ends.both
        by_name = {}
        for name, now in sorted(final.sample.commands.items()):
            then = first.sample.commands.get(name, CommandSample(0, 0))
            calls, micros = now.calls - then.calls, now.micros - then.micros
            if calls > 0 <= micros:  # statistics that were reset meanwhile say nothing
                by_name[name] = {"calls": calls, "micros": micros, "microsPerCall": rounded(micros / calls)}
        return {"from": self._seconds(first.at_ns), "to": self._seconds(final.at_ns), "byName": by_name}


def _cpu(before: TimedSample, now: TimedSample) -> float | None:
    """Processor time per second, user and system, of the server without its children."""
    user, system = (increase(before.sample, now.sample, name) for name in ("cpuUserSeconds", "cpuSystemSeconds"))
    if user is None or system is None:
        return None
    return (user + system) * SECOND / max(1, now.answered_ns - before.answered_ns)


def _larger(one: float | None, other: float | None) -> float | None:
    known = [each for each in (one, other) if each is not None]
    return max(known, default=None)


def _whole(value: float | None) -> int | None:
    return None if value is None else round(value)


def _or_null(series: list[Any]) -> list[Any] | None:
    """None in place of a series that has no value at all: the server never said it."""
    return None if all(each is None for each in series) else series


# -- what happened between two samples ---------------------------------------------------------------------------------

Event = tuple[str, str]
"""(kind for programs, text for people)."""


def events_between(before: ServerSample, now: ServerSample, going_on: set[str]) -> Iterator[Event]:
    """The events from one sample to the next: forks, saves, evictions, restarts.

    Args:
        before: the sample before.
        now: the sample now.
        going_on: what went on at the sample before, and is an event only when it begins; changed here.
    """
    if _restarted(before, now):
        yield "restarted", "the server was started anew, or another one answers"
        return
    forks = forks_between(before, now)
    if forks:
        micros = now.figures.get("lastForkMicros", 0)
        times = "once" if forks == 1 else f"{forks} times"
        yield "fork", f"the server forked {times}; the last fork held it up for {micros:,.0f} µs"
    yield from _file_events(before, now, "saving", "saves", "save", "saving the data set to disk (RDB)")
    yield from _file_events(before, now, "rewriting", "rewrites", "rewrite", "rewriting the append-only file (AOF)")
    delayed, evicted = (increase(before, now, name) or 0 for name in ("delayedFsyncs", "evictedKeys"))
    if _begins("delayedFsyncs", delayed > 0, going_on):
        yield "fsyncDelayed", f"writing waited for the disk: an fsync was delayed {delayed:.0f} times"
    if _begins("evictedKeys", evicted > 0, going_on):
        yield "evictionsBegan", f"the server began to evict keys, {evicted:.0f} of them so far"
    replicas, replicas_before = now.figures.get("replicas"), before.figures.get("replicas")
    if replicas is not None and replicas_before is not None and replicas != replicas_before:
        yield "replicasChanged", f"the number of connected replicas went from {replicas_before:.0f} to {replicas:.0f}"


def increase(before: ServerSample, now: ServerSample, name: str) -> float | None:
    """By how much a figure that only grows has grown; None when unknown, or when the server began anew meanwhile."""
    then, at = before.figures.get(name), now.figures.get(name)
    return None if then is None or at is None or at < then else at - then


def forks_between(before: ServerSample, now: ServerSample) -> int:
    """How often the server forked; servers before 6.2 do not count, there a new duration means one fork."""
    counted = increase(before, now, "forks")
    if counted is not None or "forks" in now.figures:
        return int(counted or 0)
    last, last_before = now.figures.get("lastForkMicros"), before.figures.get("lastForkMicros")
    return int(last is not None and last_before is not None and last != last_before)


def _restarted(before: ServerSample, now: ServerSample) -> bool:
    if before.server_id and now.server_id and before.server_id != now.server_id:
        return True
    return now.figures.get("uptimeSeconds", 0) < before.figures.get("uptimeSeconds", 0) and bool(now.figures)


def _file_events(
    before: ServerSample, now: ServerSample, flag: str, counter: str, kind: str, what: str
) -> Iterator[Event]:
    """A file that a child process writes: its beginning, its end, or both when that fell between two samples."""
    if flag not in before.figures or flag not in now.figures:
        return
    was, is_now = bool(before.figures.get(flag)), bool(now.figures.get(flag))
    ended = increase(before, now, counter)
    if was and (not is_now or (ended or 0) > 0):
        yield f"{kind}Ended", f"{what} ended"
    elif not was and not is_now and (ended or 0) > 0:
        yield f"{kind}Ended", f"{what} began and ended between two looks"
    if is_now and (not was or (ended or 0) > 0):
        yield f"{kind}Began", f"{what} began"


def _begins(name: str, goes_on: bool, going_on: set[str]) -> bool:
    begins = goes_on and name not in going_on
    (going_on.add if goes_on else going_on.discard)(name)
    return begins


# -- streams -----------------------------------------------------------------------------------------------------------

MOST_STREAMS = 64
"""Streams that one sample asks for; of more they take turns."""


@dataclass(frozen=True, slots=True)
class StreamTotals:
    """All streams seen so far, together, each as it was last seen.

    Attributes:
        seen: how many that are.
        length: entries in them; None when that of one is not known.
        longest: entries in the longest one.
        groups: lag and pending entries by subscription, over all streams; a lag is None when that of a stream is.
    """

    seen: int = 0
    length: int | None = None
    longest: int | None = None
    groups: Mapping[str, GroupSample] = field(default_factory=dict)


@dataclass(slots=True)
class _GroupSum:
    lag: int = 0
    unknown: int = 0
    pending: int = 0


class StreamSums:
    """Adds streams up, of which each sample shows some; a sample costs as much as the streams in it, not as all."""

    def __init__(self) -> None:
        self._latest: dict[TopicPartition, StreamSample] = {}
        self._length = self._unknown_lengths = 0
        self._groups: dict[str, _GroupSum] = {}

    def add(self, streams: Mapping[TopicPartition, StreamSample]) -> StreamTotals:
        """The totals with what a sample showed."""
        for stream, sample in streams.items():
            if before := self._latest.get(stream):
                self._count(before, -1)
            self._count(sample, 1)
            self._latest[stream] = sample
        known = self._latest and not self._unknown_lengths
        return StreamTotals(
            len(self._latest),
            self._length if known else None,
            max(each.length or 0 for each in self._latest.values()) if known else None,
            {
                name: GroupSample(None if each.unknown else each.lag, each.pending)
                for name, each in self._groups.items()
            },
        )

    def _count(self, sample: StreamSample, sign: int) -> None:
        self._length += sign * (sample.length or 0)
        self._unknown_lengths += sign * (sample.length is None)
        for name, group in (sample.groups or {}).items():
            total = self._groups.setdefault(name, _GroupSum())
            total.lag += sign * (group.lag or 0)
            total.unknown += sign * (group.lag is None)
            total.pending += sign * group.pending


class RoundRobin:
    """Which streams the next sample asks for.

    Args:
        streams: all of them.
        most: how many of them at a time.
    """

    def __init__(self, streams: Sequence[TopicPartition], most: int = MOST_STREAMS) -> None:
        self._streams, self._most, self._next = streams, most, 0

    def next(self) -> Sequence[TopicPartition]:
        """The next ones; all, when they are not too many."""
        if len(self._streams) <= self._most:
            return self._streams
        first = self._next
        self._next = (first + self._most) % len(self._streams)
        return [self._streams[(first + at) % len(self._streams)] for at in range(self._most)]
