"""How much of a message's delay was back-pressure: the time between *no room* and *room again*. Pure; times are given.

All else that is late is the harness's own. So is, of such a wait, what this process was kept from running: whether
there was room again it could not see then.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence


class RoomWaits:
    """The times in which there was no room, as long as a message that is not sent yet was due before their end.

    Attributes:
        since_ns: when the wait began that goes on; None when there is room.
    """

    def __init__(self) -> None:
        self.since_ns: int | None = None
        self._held_up_ns = 0
        self._times = [-1]  # where the waited time changes its slope, rising
        self._waited = [0]  # the time waited before each of them

    def __repr__(self) -> str:
        return f"<RoomWaits {self._waited[-1] / 1e6:.1f} ms{'' if self.since_ns is None else ', no room'}>"

    def begin(self, now_ns: int, held_up_ns: int) -> None:
        """There is no room from `now_ns` on; `held_up_ns` is for how long this process could not run, ever."""
        self.since_ns, self._held_up_ns = now_ns, held_up_ns

    def end(self, now_ns: int, held_up_ns: int) -> None:
        """There is room again; the arguments are those of `begin`."""
        if self.since_ns is None:
            return
        waited_ns = max(0, now_ns - self.since_ns - max(0, held_up_ns - self._held_up_ns))
        before_ns = self._waited[-1]
        if self.since_ns > self._times[-1]:
            self._times.append(self.since_ns)
            self._waited.append(before_ns)
        if now_ns > self._times[-1]:
            self._times.append(now_ns)
            self._waited.append(before_ns + waited_ns)
        self.since_ns = None

    def forget(self, due_ns: int) -> None:
        """Messages that were due before `due_ns` are not asked for any more."""
        times, waited = self._times, self._waited
        if due_ns >= times[-1]:
            if len(times) > 1:
                del times[:-1], waited[:-1]
        elif times[len(times) // 2] < due_ns:  # most of what was waited is of messages that are sent
            first = bisect_left(times, due_ns)
            del times[: first - 1], waited[: first - 1]

    def blocked(self, intended: Sequence[int]) -> list[tuple[int, int, int]] | None:
        """For how long the messages that are sent now had no room since they were due; None when none of them had.

        As (how many messages, the time of the first of these, of the last): in between it falls evenly with the time at
        which each was due, so that a batch costs the same however many messages it has.

        Args:
            intended: when each was due, rising; none of them is forgotten.
        """
        times = self._times
        if intended[0] >= times[-1]:
            return None
        knot, count = bisect_left(times, intended[0]), len(intended)
        if intended[-1] <= times[knot]:  # nearly always
            first_ns = self._since(intended[0], knot)
            return [(count, first_ns, first_ns if count == 1 else self._since(intended[-1], knot))]
        found, at = [], 0
        while at < count:
            end = count if knot == len(times) else bisect_right(intended, times[knot], at)
            if end > at:
                found.append((end - at, self._since(intended[at], knot), self._since(intended[end - 1], knot)))
            at, knot = end, knot + 1
        return found

    def _since(self, due_ns: int, knot: int) -> int:
        """The time waited since `due_ns`, which is between the times of `knot` and of the one before."""
        times, waited = self._times, self._waited
        if knot == len(times):
            return 0
        rise, since_ns = waited[knot] - waited[knot - 1], waited[-1] - waited[knot]
        return since_ns + (times[knot] - due_ns) * rise // (times[knot] - times[knot - 1]) if rise else since_ns
