"""Order per key: one at a time, oldest first, also with retries; without a key nobody waits for anybody."""

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from ombdriver.messaging.topics.runner.in_flight import KeyedQueue


@dataclass(eq=False)
class Item:
    """A message: its key and its rank."""

    queue_key: str | None
    rank: tuple[int, int]


KEY = st.sampled_from(["a", "b", None])


class Machine(RuleBasedStateMachine):
    """Messages come in, are taken, fail and are taken again, end, get lost, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.queue: KeyedQueue[Item] = KeyedQueue()
        self.inside: list[Item] = []
        self.taken: list[Item] = []
        self.next = 0

    @rule(key=KEY)
    def comes(self, key: str | None) -> None:
        """The newest message yet."""
        self.next += 1
        self.inside.append(Item(key, (self.next, 0)))
        self.queue.put(self.inside[-1])

    @rule()
    def is_taken(self) -> None:
        """By a free handler. Nothing of its key is handled, and nothing older of its key waits."""
        item = self.queue.take()
        if item is None:
            return
        if item.queue_key is not None:
            assert item.queue_key not in [other.queue_key for other in self.taken]
            assert item is next(each for each in self.inside if each.queue_key == item.queue_key)
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
            self.queue.put_back(item)
        else:
            self.queue.done(item)
            self.inside.remove(item)

    @rule(data=st.data())
    def is_lost(self, data: st.DataObject) -> None:
        """While it waits: another member has it."""
        if not self.inside:
            return
        item = data.draw(st.sampled_from(self.inside))
        if self.queue.drop(item):
            assert item not in self.taken
            self.inside.remove(item)
        else:
            assert item in self.taken

    @rule()
    def all_others_are_removed(self) -> None:
        """As at the end: whatever is not taken."""
        self.queue.clear()
        self.inside = list(self.taken)

    @invariant()
    def nothing_is_stuck(self) -> None:
        """As long as something waits, something is ready or taken."""
        waiting = len(self.inside) - len(self.taken)
        assert self.queue.ready + self.queue.waiting == waiting
        assert not waiting or self.queue.ready or self.taken


TestKeyedQueue = Machine.TestCase


@given(st.lists(st.integers(0, 100), unique=True, min_size=1))
def test_those_that_wait_for_a_key_stand_in_order_of_their_ids(ranks: list[int]) -> None:
    """However they come: what was taken over is older than what was read."""
    queue: KeyedQueue[Item] = KeyedQueue()
    queue.put(first := Item("a", (-1, 0)))
    for rank in ranks:
        queue.put(Item("a", (rank, 0)))
    found = []
    while (item := queue.take()) is not None:
        found.append(item.rank[0])
        queue.done(item)

    assert first.rank[0] == found[0]
    assert found[1:] == sorted(ranks)
