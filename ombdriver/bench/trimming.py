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
        holding: whether everything is being kept.
    """

    def __init__(self, kept: int | None) -> None:
        self._kept = kept
        self.holding = False
        self.furthest_behind = 0

    def look(self, behind: int) -> bool | None:
        """Whether everything is to be kept from now on; None: as before.

        Args:
            behind: messages before the subscription that is furthest behind. What it will never get is none of them:
                else a loss would hold trimming for ever.
        """
        if self._kept is None:
            return None
        self.furthest_behind = max(self.furthest_behind, behind)
        if not self.holding and behind > self._kept // HOLD:
            self.holding = True
            return True
        if self.holding and behind < self._kept // RELEASE:
            self.holding = False
            return False
        return None
