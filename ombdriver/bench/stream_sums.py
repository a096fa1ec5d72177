"""Sums over the streams of a run, of which each look shows only some. Pure.

Each stream counts as it was last seen, so the sums cover all streams that have been seen at all, be it some looks ago.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ombdriver.bench.look import GroupLook, Stream, StreamLook

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
    groups: Mapping[str, GroupLook] = field(default_factory=dict)


class StreamSums:
    """Takes looks, gives sums; a look costs as much as the streams in it, not as all there are."""

    def __init__(self) -> None:
        self._latest: dict[Stream, StreamLook] = {}
        self._length = self._unknown_lengths = 0
        self._groups: dict[str, _Group] = {}

    def take(self, streams: Mapping[Stream, StreamLook]) -> Sums:
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
            {name: GroupLook(None if each.unknown else each.lag, each.pending) for name, each in self._groups.items()},
        )

    def _book(self, look: StreamLook, sign: int) -> None:
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

    def __init__(self, streams: Sequence[Stream], most: int = MOST_PER_LOOK) -> None:
        self._streams, self._most, self._next = streams, most, 0

    def take(self) -> Sequence[Stream]:
        """The next ones; all, when they are not too many."""
        if len(self._streams) <= self._most:
            return self._streams
        first = self._next
        self._next = (first + self._most) % len(self._streams)
        return [self._streams[(first + at) % len(self._streams)] for at in range(self._most)]
