"""Order per key: one at a time, oldest first, also with retries; suspects one at a time; nobody else waits."""

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from ombdriver.messaging.topics.runner.in_flight import KeyedQueue


@dataclass(eq=False)
class Item:
    """A message: its key and its rank, and whether it may kill its process."""

    queue_key: str | None
    rank: tuple[int, int]
    is_suspect: bool = False


KEY = st.sampled_from(["a", "b", None])


class Machine(RuleBasedStateMachine):
    """Messages come in, are taken, fail, rest and are taken again, end, get lost, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.queue: KeyedQueue[Item] = KeyedQueue()
        self.inside: list[Item] = []
        self.taken: list[Item] = []
        self.resting: list[Item] = []
        self.next = 0

    @rule(key=KEY, is_suspect=st.booleans())
    def comes(self, key: str | None, is_suspect: bool) -> None:
        """The newest message yet."""
        self.next += 1
        self.inside.append(Item(key, (self.next, 0), is_suspect))
        before = self.queue.ready
        assert self.queue.put(self.inside[-1]) == (self.queue.ready > before)

    @rule()
    def is_taken(self) -> None:
        """By a free handler. Nothing of its key is handled, and nothing older of its key waits."""
        item = self.queue.take()
        if item is None:
            return
        if item.queue_key is not None:
            assert item.queue_key not in [other.queue_key for other in self.taken]
            assert item is next(each for each in self.inside if each.queue_key == item.queue_key)
        if item.is_suspect:
            assert not any(other.is_suspect for other in self.taken)
        assert item not in self.taken
        self.taken.append(item)

    @rule(data=st.data(), fails=st.booleans())
    def ends(self, data: st.DataObject, fails: bool) -> None:
        """Well, or to be tried again; whoever waited for it is ready then."""
        if not self.taken:
            return
        item = data.draw(st.sampled_from(self.taken))
        self.taken.remove(item)
        before = self.queue.ready
        if fails:
            assert self.queue.rest(item) == (self.queue.ready > before)
            self.resting.append(item)
        else:
            assert self.queue.done(item) == (self.queue.ready > before)
            self.inside.remove(item)

    @rule(data=st.data())
    def is_not_begun(self, data: st.DataObject) -> None:
        """It goes back to where it was."""
        if self.taken:
            item = data.draw(st.sampled_from(self.taken))
            self.taken.remove(item)
            assert self.queue.put_back(item)

    @rule(data=st.data(), is_lost=st.booleans())
    def rests_no_more(self, data: st.DataObject, is_lost: bool) -> None:
        """Its time has come, or another member has it."""
        if not self.resting:
            return
        item = data.draw(st.sampled_from(self.resting))
        self.resting.remove(item)
        before = self.queue.ready
        if is_lost:
            assert self.queue.done(item) == (self.queue.ready > before)
            self.inside.remove(item)
        else:
            assert self.queue.put_back(item) == (self.queue.ready > before)

    @rule(data=st.data())
    def is_lost(self, data: st.DataObject) -> None:
        """While it waits: another member has it."""
        if not (there := [each for each in self.inside if each not in self.resting]):
            return
        item = data.draw(st.sampled_from(there))
        if self.queue.drop(item):
            assert item not in self.taken
            self.inside.remove(item)
        else:
            assert item in self.taken

    @rule()
    def all_others_are_removed(self) -> None:
        """As at the end: whatever is not taken and does not rest."""
        self.queue.clear()
        self.inside = self.taken + self.resting

    @invariant()
    def nothing_is_stuck(self) -> None:
        """As long as something waits, something is ready, or taken, or rests; and a suspect waits for suspects only."""
        waiting = len(self.inside) - len(self.taken) - len(self.resting)
        assert self.queue.ready + self.queue.waiting == waiting
        assert not waiting or self.queue.ready or self.taken or self.resting
        if not any(each.is_suspect for each in self.taken) and not self.queue.ready:
            held = {each.queue_key for each in self.taken + self.resting}
            idle = [each for each in self.inside if each not in self.taken and each not in self.resting]
            assert all(each.queue_key is not None and each.queue_key in held for each in idle)


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
