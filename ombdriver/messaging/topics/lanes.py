"""Which message may be handled next: any, or of each key one at a time in order. No I/O, no clock.

A message is put in, taken, and in the end done with. Between taking and being done with it may be taken again, for a
retry: with a key, the messages behind it wait so long, and only those.
"""

from collections import deque
from collections.abc import Hashable, Iterator
from typing import Generic, Protocol, TypeVar


class Laned(Protocol):
    """What goes through lanes.

    Attributes:
        lane: messages of one lane are handled one after the other; None for a message that need not wait.
        rank: its place in the lane, by the entry's id.
    """

    lane: Hashable | None
    rank: tuple[int, int]


Item = TypeVar("Item", bound=Laned)


class Lanes(Generic[Item]):
    """Messages that wait to be handled.

    A lane exists as long as one of its messages is ready, taken or kept; the others of it wait in order of their ids.
    """

    def __init__(self) -> None:
        self._ready: deque[Item] = deque()
        self._waiting: dict[Hashable, deque[Item]] = {}

    def __repr__(self) -> str:
        return f"<Lanes ready={len(self._ready)} lanes={len(self._waiting)} behind={self.behind}>"

    @property
    def ready(self) -> int:
        """How many can be taken now."""
        return len(self._ready)

    @property
    def behind(self) -> int:
        """How many wait for one of their lane."""
        return sum(len(each) for each in self._waiting.values())

    def put(self, item: Item) -> bool:
        """Takes a message in; whether it can be handled now."""
        if item.lane is not None:
            waiting = self._waiting.get(item.lane)
            if waiting is not None:
                place = len(waiting)
                while place and waiting[place - 1].rank > item.rank:  # a reclaimed one is older than what waits
                    place -= 1
                waiting.insert(place, item)
                return False
            self._waiting[item.lane] = deque()
        self._ready.append(item)
        return True

    def take(self) -> Item | None:
        """The next message, None if there is none; its lane is held until it is done with."""
        return self._ready.popleft() if self._ready else None

    def again(self, item: Item) -> None:
        """Makes a message ready that was taken and is not done with, before all others."""
        self._ready.appendleft(item)

    def done(self, item: Item) -> bool:
        """Ends a message that was taken; whether another one of its lane is ready now."""
        if item.lane is None:
            return False
        waiting = self._waiting[item.lane]
        if not waiting:
            del self._waiting[item.lane]
            return False
        self._ready.append(waiting.popleft())
        return True

    def drop(self, item: Item) -> bool:
        """Ends a message that was not taken yet; False if it is none of those that wait here."""
        if item in self._ready:
            self._ready.remove(item)
            self.done(item)
            return True
        waiting = self._waiting.get(item.lane) if item.lane is not None else None
        if waiting is None or item not in waiting:
            return False
        waiting.remove(item)
        return True

    def withdraw(self) -> Iterator[Item]:
        """Ends all that were not taken, and gives them; what was taken is still to be done with."""
        ready, self._ready = self._ready, deque()
        for item in ready:
            if item.lane is not None:
                yield from self._waiting.pop(item.lane)
            yield item
        for waiting in self._waiting.values():
            yield from waiting
            waiting.clear()
