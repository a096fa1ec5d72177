"""What a course of faults has seen, and which promises of the library it broke. Pure: events in, sentences out.

A message has a number, which its sender gives it, and a place, which the server gives it: stream and id. What callers
were told is kept by number; what a group did is kept by place.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple


class Place(NamedTuple):
    """Where an entry stands.

    Attributes:
        stream: the key of its stream.
        id: its id as numbers: milliseconds, sequence.
    """

    stream: str
    id: tuple[int, int]

    @classmethod
    def of(cls, stream: str, entry_id: str | bytes) -> "Place":
        """The place of an id as the server writes it."""
        text = entry_id.decode() if isinstance(entry_id, bytes) else entry_id
        ms, _, sequence = text.partition("-")
        return cls(stream, (int(ms), int(sequence)))

    def __str__(self) -> str:
        return f"{self.stream} {self.id[0]}-{self.id[1]}"


class Fault(NamedTuple):
    """A promise that was broken.

    Attributes:
        kind: which promise: one of `KINDS`.
        text: a sentence.
    """

    kind: str
    text: str


KINDS = {
    "lost": "whatever the servers still have is handled by each group, or given up",
    "gone": "nothing that was stored is removed before each group has handled it, save by others",
    "told": "what callers are told is true",
    "twice": "what is told to be stored once is stored once",
    "again": "what is lost, or refused for a while, is sent again in the time that there is",
    "outcome": "each message has its outcome in time",
    "order": "the messages of a key are handled in order",
    "attempts": "deliveries are counted right, and are no more than allowed",
    "early": "a retry comes after its back-off",
    "innocent": "nothing that never failed is given up",
    "letters": "what is told as given up is among the dead letters",
    "deleted": "what was trimmed while it was pending is told",
    "context": "a handler's context variables are its own",
    "cancelled": "a handler has its time to end",
    "errors": "errors are the library's own, or the server's",
    "kept": "a connection that nobody took away is kept",
    "full": "a server that takes nothing takes no space from messages to others",
    "health": "whoever asks is told what fails in the background",
    "quiet": "when all is well nobody goes on asking",
    "settled": "after the last fault everything is handled in time",
    "ended": "all who take part end when they are told to, and not before",
    "left": "nothing is left running, and no error is left unasked for",
}
"""The promises, by name."""

STORED, NOT_STORED, UNKNOWN = "stored", "not stored", "unknown"
"""What a caller may be told."""


@dataclass(slots=True)
class Sent:
    """A message that was given to the library.

    Attributes:
        kind: what handlers do with it.
        once: the library says that it is stored at most once.
        sure: it is sent again whatever is lost or refused for a while, and there is time for that.
        told: what its caller was told; empty as long as that is nothing.
        why: the error that it was told by.
        place: where it was told to be stored.
    """

    kind: str
    once: bool
    sure: bool = False
    told: str = ""
    why: str = ""
    place: Place | None = None


@dataclass(slots=True)
class Deliveries:
    """What one group did with one entry.

    Attributes:
        number: the message's.
        total: how often a handler began with it.
        begun: the same since the count on the server was set back.
        count: the delivery count that the last one was told.
        unbegun: how much more that was than there were handlers, the first time: of a read whose reply was lost.
        failed: how often its handler raised.
        handled: how often it was handled to the end.
        failed_by: the member whose handler raised last.
        not_before: the time before which that member must not begin with it again.
    """

    number: int
    total: int = 0
    begun: int = 0
    count: int = 0
    unbegun: int = 0
    failed: int = 0
    handled: int = 0
    failed_by: str = ""
    not_before: float = 0.0


class Letter(NamedTuple):
    """A dead letter: whose, of which entry, with which message, the count that stands in it, and who gave it up."""

    group: str
    place: Place
    number: int
    deliveries: int
    consumer: str = ""


@dataclass(frozen=True, slots=True)
class End:
    """What the servers hold in the end, and what members said.

    Attributes:
        entries: the number of each message that still stands.
        letters: the dead letters that there are.
        told_letters: by group, how many dead letters runners have counted.
        told_deleted: by group, how many pending entries members found trimmed.
        reconnects: by group, how often members made a connection in place of another one.
    """

    entries: Mapping[Place, int]
    letters: Iterable[Letter] = ()
    told_letters: Mapping[str, int] = field(default_factory=dict)
    told_deleted: Mapping[str, int] = field(default_factory=dict)
    reconnects: Mapping[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class Account:
    """Takes what happens as it happens, and says in the end what of it must not be.

    Attributes:
        groups: all of them.
        readers: who reads without a group, and is given everything that is not trimmed before.
        runners: those of runners, which bound how often a message is delivered.
        ordered: those of runners that handle the messages of a key in order.
        max_deliveries: of all runners.
        may_lose_writes: a failover may lose what was told to be stored, and what a group did; and bring back later what
            stood at a master that had hung.
        excused: by group, what was pending for members that ended after their group had been destroyed, or before: of
            these nobody knows.
        may_miscount: a read may count a delivery that no handler began: its reply was lost, or its member died.
        counts_exactly: nothing but a lost read counts a delivery that no handler began: nobody dies, or hangs so long
            that others take over what it has just begun with.
        loses_connections: the connections of members are taken away.
        was_slow: this machine was too busy for what is to happen in time.
        found: what was wrong at once.
    """

    groups: tuple[str, ...]
    readers: tuple[str, ...] = ()
    runners: frozenset[str] = frozenset()
    ordered: frozenset[str] = frozenset()
    max_deliveries: int = 5
    may_lose_writes: bool = False
    may_miscount: bool = False
    counts_exactly: bool = False
    loses_connections: bool = True
    was_slow: bool = False
    found: list[Fault] = field(default_factory=list)
    sent: dict[int, Sent] = field(default_factory=dict)
    seen: dict[str, dict[Place, Deliveries]] = field(default_factory=lambda: defaultdict(dict))
    removed: set[Place] = field(default_factory=set)
    excused: dict[str, set[Place]] = field(default_factory=lambda: defaultdict(set))
    deaths: Counter[str] = field(default_factory=Counter)
    _set_back: set[str] = field(default_factory=set)
    _redriven: set[str] = field(default_factory=set)
    _letters: dict[tuple[str, Place], Letter] = field(default_factory=dict)
    _trimmed_pending: dict[str, set[Place]] = field(default_factory=lambda: defaultdict(set))
    _highest: dict[tuple[str, str, str], tuple[int, int]] = field(default_factory=dict)
    _rejected: set[tuple[str, int]] = field(default_factory=set)
    _not_rejected: set[tuple[str, Place, str]] = field(default_factory=set)
    _last_read: dict[tuple[str, str], tuple[int, int]] = field(default_factory=dict)

    def add(self, kind: str, text: str) -> None:
        """Something must not have been."""
        assert kind in KINDS, kind
        self.found.append(Fault(kind, text))

    # -- senders ---------------------------------------------------------------------------------------------------

    def offer(self, kind: str, *, once: bool, sure: bool = False) -> int:
        """The number of a new message."""
        self.sent[number := len(self.sent)] = Sent(kind, once, sure)
        return number

    def tell(self, number: int, told: str, place: Place | None = None, why: object = "") -> None:
        """Its caller has an outcome, by an error if it is not stored for sure."""
        sent = self.sent[number]
        sent.told, sent.place, sent.why = told, place, str(why)

    # -- groups ----------------------------------------------------------------------------------------------------

    def begin(self, group: str, place: Place, number: int, count: int, who: str, now: float) -> Deliveries:
        """A handler of member `who` begins, and is told that this is delivery `count`."""
        known = self.seen[group].setdefault(place, Deliveries(number))
        what = f"{group}: message {number} ({self._kind(number)})"
        if known.number != number and self.may_lose_writes:
            known = self.seen[group][place] = Deliveries(number)  # its id was given again
        elif known.number != number:
            self.add("told", f"{what} stands where message {known.number} stood")
        if known.begun and count <= known.count and (group in self._set_back or self.may_lose_writes):
            known.begun = 0
        known.total += 1
        known.begun += 1
        if group in self.runners:
            if known.begun > self.max_deliveries:
                self.add("attempts", f"{what} was begun {known.begun} times, {self.max_deliveries} are allowed")
            if count < known.begun:
                self.add("attempts", f"{what} was told delivery {count} when it was begun for the {known.begun}. time")
            if count > known.total + self.may_miscount + self.deaths[group]:
                self.add("attempts", f"{what} was told delivery {count} when it was begun for the {known.total}. time")
            unbegun = count - known.total
            if known.total == 1:
                known.unbegun = unbegun
            elif unbegun > known.unbegun and self._is_exact(group):
                self.add("attempts", f"{what} was told delivery {count}, and some attempt was counted twice")
            if who == known.failed_by and now < known.not_before:
                self.add("early", f"{what} was tried again {known.not_before - now:.2f} s too early")
        known.count = count
        return known

    def fail(self, group: str, place: Place, who: str, not_before: float) -> None:
        """The handler raised; the member that ran it has to wait until `not_before`."""
        known = self.seen[group][place]
        known.failed += 1
        known.failed_by, known.not_before = who, not_before

    def end(self, group: str, place: Place, key: str | None) -> None:
        """The message was handled to the end."""
        known = self.seen[group][place]
        known.handled += 1
        if key is None or group not in self.ordered or known.handled > 1 or (group, place) in self._letters:
            return
        line = (group, place.stream, key)
        if place.id < self._highest.get(line, (0, 0)) and group not in self._redriven and not self.may_lose_writes:
            self.add("order", f"{group}: message {known.number} of key {key} was handled after a later one")
        self._highest[line] = max(place.id, self._highest.get(line, (0, 0)))

    def reject(self, group: str, place: Place, number: int, consumer: str, *, told: bool) -> None:
        """A message was rejected; `reject` told that it has, or has not, made a dead letter."""
        if told:
            self._rejected.add((group, number))
        else:
            self._not_rejected.add((group, place, consumer))

    def read(self, reader: str, place: Place, number: int) -> None:
        """One who reads without a group was given an entry."""
        if place.id <= self._last_read.get((reader, place.stream), (0, 0)) and not self.may_lose_writes:
            self.add("order", f"{reader}: message {number} was given again, or after a later one")
        self._last_read[reader, place.stream] = place.id
        self.seen[reader].setdefault(place, Deliveries(number)).handled += 1

    # -- what others do to the servers -----------------------------------------------------------------------------

    def remove(self, places: Iterable[Place], pending: Mapping[str, Iterable[Place]]) -> None:
        """Somebody trimmed these entries, of which some were pending for groups."""
        self.removed.update(places)
        for group, ids in pending.items():
            self._trimmed_pending[group].update(ids)

    def destroy(self, group: str) -> None:
        """A group was destroyed."""
        self._set_back.add(group)
        for known in self.seen[group].values():
            known.not_before = 0.0  # nobody is left who knew of it

    def redrive(self, group: str, letters: Iterable[Letter]) -> None:
        """Dead letters are sent again, these at least."""
        self._set_back.add(group)
        self._redriven.add(group)
        self._letters.update({(letter.group, letter.place): letter for letter in letters})

    # -- judgement -------------------------------------------------------------------------------------------------

    def faults(self, end: End) -> list[Fault]:
        """What must not be."""
        kept = () if self.loses_connections else self._kept(end)
        return [*self.found, *self._told(end), *self._lost(end), *self._given_up(end), *self._vanished(end), *kept]

    def _is_exact(self, group: str) -> bool:
        return self.counts_exactly and not self.was_slow and group not in self._set_back

    def _kind(self, number: int) -> str:
        return self.sent[number].kind if number in self.sent else "of nobody"

    def _ever(self, end: End) -> dict[tuple[str, Place], Letter]:
        return self._letters | {(letter.group, letter.place): letter for letter in end.letters}

    def _told(self, end: End) -> Iterator[Fault]:
        """Stored, not stored, unknown: each is true; stored once where that is said."""
        places: dict[int, set[Place]] = defaultdict(set)
        for place, number in end.entries.items():
            places[number].add(place)
        for group in () if self.may_lose_writes else self.seen.values():
            for place, known in group.items():
                places[known.number].add(place)
        again = {letter.number for letter in self._ever(end).values()} if self._redriven else set()
        for number, sent in self.sent.items():
            what = f"message {number} ({sent.kind})"
            if not sent.told:
                yield Fault("outcome", f"{what} has no outcome")
            if sent.sure and not self.was_slow and sent.told in (NOT_STORED, UNKNOWN):
                yield Fault(
                    "again", f"{what} was told as {sent.told}, though there was time to send it again: {sent.why}"
                )
            if sent.told == NOT_STORED and places[number]:
                yield Fault("told", f"{what} was told as not stored ({sent.why}), and stands at {min(places[number])}")
            if sent.once and len(places[number]) > 1 and number not in again:
                yield Fault("twice", f"{what} was stored {len(places[number])} times")
            # A failover gives the ids of what it has lost again.
            there = number if sent.place is None or self.may_lose_writes else end.entries.get(sent.place, number)
            if there != number:
                yield Fault("told", f"{what} was told to be at {sent.place}, where message {there} stands")

    def _lost(self, end: End) -> Iterator[Fault]:
        """Whatever the servers still have, and whatever the library removed, was handled or given up."""
        letters = {(letter.group, letter.place) for letter in end.letters}
        for group in (*self.groups, *(() if self.may_lose_writes else self.readers)):
            seen = self.seen[group]
            done = {place for place, known in seen.items() if known.handled} | self.excused[group]
            for place, number in end.entries.items():
                if place not in done and (group, place) not in letters:
                    yield Fault(
                        "lost",
                        f"{group}: message {number} ({self._kind(number)}) still stands at {place}, never handled",
                    )
            if self.may_lose_writes or group in self.readers:
                continue
            ever = done | {place for of, place in self._ever(end) if of == group} | self.removed | end.entries.keys()
            # A dead letter whose message was trimmed is sent anew, to another place.
            anew = {letter.number for letter in self._ever(end).values() if letter.group == group}
            anew |= {known.number for known in seen.values() if known.handled}
            anew = anew if group in self._redriven else set()
            for number, sent in self.sent.items():
                if sent.place is not None and sent.place not in ever and number not in anew:
                    yield Fault(
                        "gone",
                        f"{group}: message {number} ({sent.kind}) was stored at {sent.place}, and is gone unhandled",
                    )

    def _given_up(self, end: End) -> Iterator[Fault]:
        """Only what failed as often as it may is given up, and what is told as given up is among the dead letters."""
        ever = self._ever(end)
        for (group, place), letter in ever.items():
            known = self.seen[group].get(place, Deliveries(letter.number))
            what = f"{group}: message {letter.number} ({self._kind(letter.number)})"
            if self._kind(letter.number) not in GUILTY:
                yield Fault("innocent", f"{what} is among the dead letters, and never failed")
            elif self._is_exact(group) and known.total and letter.deliveries > known.total + known.unbegun:
                yield Fault(
                    "attempts", f"{what} was begun {known.total} times, and its dead letter says {letter.deliveries}"
                )
            elif self._kind(letter.number) in REJECTED or group in self._set_back or self.may_lose_writes:
                continue
            elif known.begun + self.may_miscount + self.deaths[group] < self.max_deliveries:
                yield Fault("attempts", f"{what} was given up after {known.begun} of {self.max_deliveries} attempts")
        letters = Counter(group for group, _ in ever)
        for group, told in end.told_letters.items():
            if told > letters[group] and group not in self._redriven and not self.may_lose_writes:
                yield Fault("letters", f"{group}: {told} dead letters were told, and there are {letters[group]}")
        for (group, place), letter in ever.items():
            if (group, place, letter.consumer) in self._not_rejected and group not in self._set_back:
                yield Fault(
                    "letters", f"{group}: message {letter.number} was told not to be rejected, and is a dead letter"
                )
        there = {(letter.group, letter.number) for letter in ever.values()}
        for group, number in sorted(self._rejected - there):
            if group not in self._redriven:
                yield Fault(
                    "letters", f"{group}: message {number} was told to be rejected, and there is no dead letter of it"
                )

    def _kept(self, end: End) -> Iterator[Fault]:
        """Connections that nobody took away are the first ones."""
        for group, count in end.reconnects.items():
            if count:
                yield Fault("kept", f"{group}: {count} connections were given up that nobody had taken away")

    def _vanished(self, end: End) -> Iterator[Fault]:
        """Pending entries that were trimmed are handled from memory, given up, or counted as deleted."""
        ever = self._ever(end)
        for group, places in self._trimmed_pending.items():
            if self.may_miscount or self.may_lose_writes or group in self._set_back:
                continue  # who counted them may have died, or was not answered
            handled = {place for place, known in self.seen[group].items() if known.handled}
            gone = {place for place in places - handled if (group, place) not in ever}
            if len(gone) > end.told_deleted.get(group, 0):
                told, what = end.told_deleted.get(group, 0), f"{group}: {len(gone)} pending messages"
                yield Fault("deleted", f"{what} were trimmed unhandled, and {told} were told as deleted")


REJECTED = frozenset({"rejects"})
"""Kinds of messages that are given up at the first delivery."""
GUILTY = REJECTED | {"bad", "kills"}
"""Kinds of messages that may be given up."""


def condensed(faults: Iterable[Fault]) -> list[str]:
    """A line for each sort of fault: the first of its sort, and how many more there are. Numbers make no sort."""
    sorts: dict[tuple[str, str], list[Fault]] = defaultdict(list)
    for fault in faults:
        sorts[fault.kind, re.sub(r"\d+", "", fault.text)].append(fault)
    return [
        f"{kind}: {alike[0].text}" + (f" (and {len(alike) - 1} more)" if len(alike) > 1 else "")
        for (kind, _), alike in sorts.items()
    ]
