"""When subscriptions have caught up, from polls of how far they lag."""

from hypothesis import given
from hypothesis import strategies as st

from ombdriver.bench.run.backlog import DrainState, DrainTracker

GROUPS = ("group-1", "group-2")


def test_each_has_its_own_time_and_all_of_them_that_of_the_last() -> None:
    """What comes after it has caught up changes nothing for it."""
    drain = DrainTracker({"group-1": 1000, "group-2": 1000}, {"group-1": 50, "group-2": 60}, level=10)

    assert not drain.update(1, {"group-1": 10, "group-2": 700}, {"group-1": 1150, "group-2": 460})
    assert drain.total.left == 710
    assert drain.update(2, {"group-1": 500, "group-2": 0}, {"group-1": 1250, "group-2": 1260})
    assert drain.update(3, {"group-1": 900, "group-2": 900}, {"group-1": 2000, "group-2": 2000})

    assert drain.subscriptions == {
        "group-1": DrainState(1, 10, 1100, done=True),
        "group-2": DrainState(2, 0, 1200, done=True),
    }
    assert drain.total == DrainState(2, 500, 2400, done=True)


@given(st.lists(st.tuples(st.integers(0, 100), st.integers(0, 100)), max_size=30), st.integers(1, 99))
def test_it_is_done_when_each_was_no_further_behind_than_the_level_at_some_look(
    looks: list[tuple[int, int]], level: int
) -> None:
    """And its time is that of the first such look; without one it is that of the last look."""
    drain = DrainTracker(dict.fromkeys(GROUPS, 100), dict.fromkeys(GROUPS, 0), level)
    for at, lag in enumerate(looks, 1):
        drain.update(at, dict(zip(GROUPS, lag, strict=True)), dict.fromkeys(GROUPS, at))

    firsts = [next((at for at, each in enumerate(looks, 1) if each[n] <= level), None) for n in range(2)]
    assert drain.done == (None not in firsts)
    for name, first in zip(GROUPS, firsts, strict=True):
        until = len(looks) if first is None else first
        assert drain.subscriptions[name].done == (first is not None)
        assert (drain.subscriptions[name].elapsed_ns, drain.subscriptions[name].received) == (until, until)
    known = [first for first in firsts if first is not None]
    assert drain.total.elapsed_ns == (max(known) if len(known) == 2 else len(looks))
