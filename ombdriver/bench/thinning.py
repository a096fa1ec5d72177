"""A sequence of any length kept as a bounded one, evenly spaced. Pure."""

from typing import Generic, TypeVar

Item = TypeVar("Item")

MOST = 2048
"""Items kept, as many as a run has intervals at most."""


class Thinned(Generic[Item]):
    """The items taken so far; when there are `most`, every second one goes, and from then on comes every second one.

    Args:
        most: items kept, 2 or more.

    Attributes:
        items: those kept, the first one always among them.
        stride: of so many items taken, one is kept.
    """

    def __init__(self, most: int = MOST) -> None:
        self.items: list[Item] = []
        self.stride = 1
        self._most = most
        self._taken = 0

    def __repr__(self) -> str:
        return f"<Thinned {len(self.items)} of {self._taken}>"

    def take(self, item: Item) -> None:
        """Adds `item`, or passes over it."""
        if self._taken % self.stride == 0:
            if len(self.items) == self._most:
                del self.items[1::2]
                self.stride *= 2
            if self._taken % self.stride == 0:
                self.items.append(item)
        self._taken += 1
