"""The retry policy: bounded in number, growing in time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ombdriver.messaging.errors import MessagingValueError
from ombdriver.messaging.topics.runner.retry import ExponentialBackoff, RetryPolicy

SECONDS = st.floats(0, 1e6)


@given(SECONDS, SECONDS, st.floats(0, 1), st.integers(1, 10**9))
def test_a_wait_is_within_its_bounds(first_s: float, cap_s: float, jitter: float, deliveries: int) -> None:
    """At most the cap, at least the part that is not left to chance."""
    backoff = ExponentialBackoff(first_s, cap_s, jitter)
    longest = backoff.longest_s(deliveries)

    assert longest <= cap_s
    assert longest * (1 - jitter) * 0.999 <= backoff(deliveries) <= longest


@given(SECONDS, SECONDS, st.integers(1, 10**6))
def test_waits_never_get_shorter(first_s: float, cap_s: float, deliveries: int) -> None:
    """Save by chance."""
    backoff = ExponentialBackoff(first_s, cap_s)

    assert backoff.longest_s(deliveries) <= backoff.longest_s(deliveries + 1)


def test_waits_double() -> None:
    """Up to the cap."""
    assert [ExponentialBackoff(0.2, 1).longest_s(n) for n in (1, 2, 3, 4, 5)] == [0.2, 0.4, 0.8, 1, 1]


def test_the_bound_is_the_number_of_deliveries() -> None:
    """The last one is allowed, none after it; None has no bound."""
    assert [RetryPolicy(max_deliveries=2).allows(n) for n in (1, 2, 3)] == [True, True, False]
    assert RetryPolicy(max_deliveries=None).allows(10**9)


def test_a_function_of_yours_is_the_backoff() -> None:
    """It is given the deliveries so far; less than nothing is nothing."""
    assert RetryPolicy(backoff=lambda deliveries: deliveries * 10).wait_s(3) == 30
    assert RetryPolicy(backoff=lambda _: -1).wait_s(1) == 0


@pytest.mark.parametrize("most", [0, -1, 1.5, True])
def test_a_number_of_deliveries_that_cant_be_is_refused(most: int) -> None:
    """At once."""
    with pytest.raises(MessagingValueError, match="max_deliveries"):
        RetryPolicy(max_deliveries=most)


@pytest.mark.parametrize(("first_s", "cap_s", "jitter"), [(-1, 1, 0), (1, -1, 0), (1, 1, 2), (1, 1, float("nan"))])
def test_a_backoff_that_cant_be_is_refused(first_s: float, cap_s: float, jitter: float) -> None:
    """At once."""
    with pytest.raises(MessagingValueError, match="ExponentialBackoff"):
        ExponentialBackoff(first_s, cap_s, jitter)
