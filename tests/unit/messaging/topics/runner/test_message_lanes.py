"""Order per key: one at a time, oldest first, also with retries; without a key nobody waits for anybody."""

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from ombdriver.messaging.topics.runner.in_flight import KeyedQueue


@dataclass(eq=False)
class Item:
    """A message: its lane and its rank."""

    lane: str | None
    rank: tuple[int, int]


LANE = st.sampled_from(["a", "b", None])


class Handling(RuleBasedStateMachine):
    """Messages come in, are taken, fail and are taken again, end, get lost, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.lanes: KeyedQueue[Item] = KeyedQueue()
        self.inside: list[Item] = []
        self.taken: list[Item] = []
        self.next = 0

    @rule(lane=LANE)
    def comes(self, lane: str | None) -> None:
        """The newest message yet."""
        self.next += 1
        self.inside.append(Item(lane, (self.next, 0)))
        self.lanes.put(self.inside[-1])

    @rule()
    def is_taken(self) -> None:
        """By a free handler. Nothing of its lane is handled, and nothing older of its lane waits."""
        item = self.lanes.take()
        if item is None:
            return
        if item.lane is not None:
            assert item.lane not in [other.lane for other in self.taken]
            assert item is next(each for each in self.inside if each.lane == item.lane)
        assert item not in self.taken
        self.taken.append(item)

    @rule(data=st.data(), fails=st.booleans())
    def ends(self, data: st.DataObject, fails: bool) -> None:
        """Well, or to be tried again."""
        if not self.taken:
            return
        item = data.draw(st.sampled_from(self.taken))
        self.taken.remove(item)
        if fails:
            self.lanes.again(item)
        else:
            self.lanes.done(item)
            self.inside.remove(item)

    @rule(data=st.data())
    def is_lost(self, data: st.DataObject) -> None:
        """While it waits: another member has it."""
        if not self.inside:
            return
        item = data.draw(st.sampled_from(self.inside))
        if self.lanes.drop(item):
            assert item not in self.taken
            self.inside.remove(item)
        else:
            assert item in self.taken

    @rule()
    def all_are_withdrawn(self) -> None:
        """As at the end: whatever is not taken comes out."""
        out = list(self.lanes.withdraw())
        assert sorted(out, key=id) == sorted((each for each in self.inside if each not in self.taken), key=id)
        self.inside = list(self.taken)

    @invariant()
    def nothing_is_stuck(self) -> None:
        """As long as something waits, something is ready or taken."""
        waiting = len(self.inside) - len(self.taken)
        assert self.lanes.ready + self.lanes.behind == waiting
        assert not waiting or self.lanes.ready or self.taken


TestHandling = Handling.TestCase


@given(st.lists(st.integers(0, 100), unique=True, min_size=1))
def test_those_that_wait_in_a_lane_stand_in_order_of_their_ids(ranks: list[int]) -> None:
    """However they come: what was reclaimed is older than what was read."""
    lanes: KeyedQueue[Item] = KeyedQueue()
    lanes.put(first := Item("a", (-1, 0)))
    for rank in ranks:
        lanes.put(Item("a", (rank, 0)))
    found = []
    while (item := lanes.take()) is not None:
        found.append(item.rank[0])
        lanes.done(item)

    assert first.rank[0] == found[0]
    assert found[1:] == sorted(ranks)
