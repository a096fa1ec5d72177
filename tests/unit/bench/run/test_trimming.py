"""When trimming is held."""

from ombdriver.bench.run.measurement import TrimmingHold
from ombdriver.bench.verdict.caveats import on_trimming


def test_trimming_is_held_from_half_of_what_is_kept_until_an_eighth() -> None:
    """Each change is told once, and the greatest backlog is remembered."""
    hold = TrimmingHold(800)

    told = [hold.look(behind) for behind in (0, 400, 401, 500, 100, 99, 0)]

    assert told == [None, None, True, None, None, False, None]
    assert (hold.furthest_behind, hold.holding) == (500, False)


def test_without_trimming_nothing_is_held() -> None:
    """However far behind a subscription is."""
    assert TrimmingHold(None).look(10**9) is None


def test_it_is_told_when_something_would_have_been_lost_or_it_is_held_to_the_end() -> None:
    """Not when it was held and let go in time."""
    assert on_trimming(700, 800, held=False) == []
    assert on_trimming(10**9, None, held=False) == []
    assert [each.kind for each in on_trimming(801, 800, held=False)] == ["trimmingHeld"]
    assert [each.kind for each in on_trimming(401, 800, held=True)] == ["trimmingHeld"]
