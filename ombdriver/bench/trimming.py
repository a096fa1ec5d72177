"""When trimming has to be held, so that no stream is cut past a subscription that is still reading. Pure."""

HOLD, RELEASE = 2, 8
"""Trimming is held when a backlog passes half of what a stream keeps, and goes on below an eighth of it."""


class TrimmingHold:
    """Streams must never be cut past a subscription that is still reading, however slow it is.

    What is known is how far behind a subscription is over all streams, so in a run with many of them this holds sooner
    than it had to. It is told when a single stream might have lost something without it.

    Args:
        kept: entries that a stream keeps; None when nothing is trimmed.

    Attributes:
        furthest_behind: the greatest backlog so far.
    """

    def __init__(self, kept: int | None) -> None:
        self._kept = kept
        self._holding = False
        self.furthest_behind = 0

    def look(self, behind: int) -> bool | None:
        """Whether everything is to be kept from now on, given the greatest backlog now; None: as before."""
        if self._kept is None:
            return None
        self.furthest_behind = max(self.furthest_behind, behind)
        if not self._holding and behind > self._kept // HOLD:
            self._holding = True
            return True
        if self._holding and behind < self._kept // RELEASE:
            self._holding = False
            return False
        return None
