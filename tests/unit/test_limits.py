"""The time limit of a test does not run out while pytest gives an account of it."""

import signal

from tests.limits import paused_limit


def test_a_limit_is_paused_and_goes_on_with_what_was_left() -> None:
    """The one of this very test."""
    before_s, _ = signal.getitimer(signal.ITIMER_REAL)
    with paused_limit():
        assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)
    after_s, _ = signal.getitimer(signal.ITIMER_REAL)

    assert 0 < after_s <= before_s


def test_where_there_is_no_limit_there_is_none_afterwards() -> None:
    """As in the process that hands out tests to others."""
    with paused_limit():
        with paused_limit():
            pass
        assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)


def test_what_fails_within_it_does_not_end_the_limit() -> None:
    """An account that can't be given is the fault of that test, and the limit is there for the rest of it."""
    try:
        with paused_limit():
            raise ValueError
    except ValueError:
        pass

    assert signal.getitimer(signal.ITIMER_REAL)[0] > 0
