"""Entry ids compare as text where they have one shape, and as numbers otherwise."""

from hypothesis import given
from hypothesis import strategies as st

from ombdriver.bench.drivers.redis_streams.consumer import id_order, is_after

NUMBERS = st.integers(0, 10**14) | st.integers(0, 120)
IDS = st.builds(lambda ms, sequence: b"%d-%d" % (ms, sequence), NUMBERS, NUMBERS)


@given(IDS, IDS)
def test_text_and_numbers_agree(one: bytes, other: bytes) -> None:
    """Whatever the lengths of milliseconds and sequence are."""
    assert is_after(one, other) == (id_order(one) > id_order(other))
    assert not is_after(one, one)
