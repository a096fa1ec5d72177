"""When trimming is held."""

from ombdriver.bench.run.measurement import TrimmingHold


def test_trimming_is_held_from_half_of_what_is_kept_until_an_eighth() -> None:
    """Each change is told once, and the greatest lag is remembered."""
    hold = TrimmingHold(800)

    told = [hold.update(lag) for lag in (0, 400, 401, 500, 100, 99, 0)]

    assert told == [None, None, True, None, None, False, None]
    assert (hold.greatest_lag, hold.holding) == (500, False)


def test_without_trimming_nothing_is_held() -> None:
    """However far a subscription lags."""
    assert TrimmingHold(None).update(10**9) is None
