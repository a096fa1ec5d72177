"""When subscriptions have caught up with a backlog: looks at how far behind they are become times and counts. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CaughtUp:
    """How one subscription stood when it had caught up, or at the last look if it had not.

    Attributes:
        elapsed_ns: since the resume.
        left: messages before it.
        received: messages that it was given since the resume.
        done: whether it had caught up.
    """

    elapsed_ns: int
    left: int
    received: int
    done: bool


class CatchingUp:
    """Follows the drain of one backlog.

    Args:
        behind: messages before each subscription when its consumers resume, by its name.
        received: messages that each had been given by then.
        level: a subscription has caught up when no more than that are before it.
    """

    def __init__(self, behind: Mapping[str, int], received: Mapping[str, int], level: int) -> None:
        self.begin = dict(behind)
        self._received, self._level = dict(received), level
        self.subscriptions = {name: CaughtUp(0, count, 0, done=False) for name, count in behind.items()}
        self.total = CaughtUp(0, sum(behind.values()), 0, done=False)

    def __repr__(self) -> str:
        return f"<CatchingUp {self.left} of {sum(self.begin.values())} left>"

    @property
    def done(self) -> bool:
        """Whether all have caught up, each at some time."""
        return all(each.done for each in self.subscriptions.values())

    @property
    def left(self) -> int:
        """Messages before all of them together at the last look."""
        return self.total.left

    def look(self, elapsed_ns: int, behind: Mapping[str, int], received: Mapping[str, int]) -> bool:
        """Takes in how things stand after `elapsed_ns`; whether all have caught up. After that, nothing changes."""
        if self.done:
            return True
        given = {name: received[name] - self._received[name] for name in self.begin}
        for name, each in self.subscriptions.items():
            if not each.done:
                done = behind[name] <= self._level
                self.subscriptions[name] = CaughtUp(elapsed_ns, behind[name], given[name], done)
        left = sum(behind[name] for name in self.begin)
        self.total = CaughtUp(elapsed_ns, left, sum(given.values()), self.done)
        return self.done
