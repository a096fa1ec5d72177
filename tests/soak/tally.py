"""What a group has handled, of messages numbered from 0: counted, with no more memory than is out of order. Pure."""


class Tally:
    """The account of one group.

    Attributes:
        handled: how many numbers have come at least once.
        duplicates: how often a number has come again.
    """

    def __init__(self) -> None:
        self.handled = self.duplicates = 0
        self._below = 0  # everything below has come
        self._ahead: set[int] = set()

    def add(self, number: int, *, may_repeat: bool = False) -> None:
        """A message was handled; one that `may_repeat` is no duplicate when it comes again."""
        if number < self._below or number in self._ahead:
            self.duplicates += not may_repeat
            return
        self.handled += 1
        self._ahead.add(number)
        while self._below in self._ahead:
            self._ahead.remove(self._below)
            self._below += 1

    def missing(self, sent: int) -> int:
        """How many of the numbers below `sent` have not come."""
        return sent - self.handled
