"""Messages carry a stamp, then seeded bytes; keys are seeded too; memory stays bounded."""

import pickle
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ombdriver.bench.load.message import (
    KEY_COUNT,
    POOL_BYTES,
    STAMP,
    STAMP_DTYPE,
    KeySource,
    PayloadPool,
    PayloadSpec,
    count_corrupt,
    run_number,
    with_checksum,
)


def bodies(spec: PayloadSpec, count: int) -> list[bytes]:
    """The first bodies of a new pool."""
    return PayloadPool(spec).next_bodies(count)


def test_a_stamp_reads_back_by_batch() -> None:
    """What `STAMP` packs, numpy reads for a whole batch at once, and both take 40 bytes."""
    stamps = [(10**15 + i, 10**15 + i + 5, run_number("ab12"), i, 2 * i, 0, 2**40 + i) for i in range(100)]

    read = np.frombuffer(b"".join(STAMP.pack(*stamp) for stamp in stamps), dtype=STAMP_DTYPE)

    assert STAMP.size == STAMP_DTYPE.itemsize == 40
    assert [tuple(row.item()) for row in read] == stamps


@pytest.mark.parametrize("size", [STAMP.size, STAMP.size + 1, 100, 1024, 65_536])
@pytest.mark.parametrize("ratio", [None, 0.0, 0.3, 1.0])
@pytest.mark.parametrize("pool", [1, 7, 1000])
def test_stamp_and_body_make_the_message_size(size: int, ratio: float | None, pool: int) -> None:
    """Every body leaves exactly the stamp's room, whatever the payload is made of."""
    spec = PayloadSpec(size, random_ratio=ratio, pool=pool)

    assert {len(body) for body in bodies(spec, 20)} == {size - STAMP.size}


def test_a_payload_files_content_follows_the_stamp() -> None:
    """The stamp covers the first bytes of the content; the others arrive as they are."""
    content = bytes(i % 251 for i in range(300))

    assert bodies(PayloadSpec(300, content=content), 2) == [content[STAMP.size :]] * 2


def test_a_randomized_payload_is_random_up_to_its_ratio_and_zero_after_it() -> None:
    """As in OMB: the ratio counts from the first byte of the message, and the rest is zeros."""
    size = 10_000
    for body in bodies(PayloadSpec(size, random_ratio=0.25, pool=5), 5):
        random_part, zeros = body[: size // 4 - STAMP.size], body[size // 4 - STAMP.size :]
        assert len(set(random_part)) > 200
        assert not any(zeros)


@pytest.mark.parametrize(("size", "pool"), [(1024, 50), (65_536, 1000)])
def test_a_pool_has_as_many_payloads_as_asked_for_and_repeats(size: int, pool: int) -> None:
    """Payloads come in turn, all different, whether the pool is kept whole or cut from shared bytes."""
    taken = bodies(PayloadSpec(size, random_ratio=0.5, pool=pool), 2 * pool)

    assert taken[:pool] == taken[pool:]
    assert len(set(taken)) == pool


def test_a_large_pool_takes_bounded_memory() -> None:
    """A thousand payloads of 1 MiB are not kept as a gigabyte."""
    pool = PayloadPool(PayloadSpec(1 << 20, random_ratio=1.0, pool=1000))

    assert len(pickle.dumps(pool)) < POOL_BYTES


def test_payloads_come_from_the_seed() -> None:
    """The same seed gives the same bytes in every run; another gives others, also if it differs by sign only."""
    first, again, other, negative = (
        bodies(PayloadSpec(500, random_ratio=1.0, pool=3, seed=seed), 3) for seed in (1, 1, 2, -1)
    )

    assert first == again
    assert first != other
    assert first != negative


def test_the_order_of_payloads_does_not_depend_on_blocks() -> None:
    """Taking many at once or one by one gives the same, also around the end of the pool."""
    spec = PayloadSpec(100, random_ratio=1.0, pool=7)
    pool = PayloadPool(spec)

    by_block = [body for count in (0, 3, 4, 5, 1, 30, 7, 14, 0, 2) for body in pool.next_bodies(count)]

    assert by_block == bodies(spec, 66)


def test_without_a_distributor_there_are_no_keys() -> None:
    """NO_KEY has no source of keys at all."""
    assert KeySource.make(PayloadSpec(100), 0) is None


def keys_of(spec: PayloadSpec, producer: int, count: int) -> list[bytes]:
    """The first keys of a producer."""
    source = KeySource.make(spec, producer)
    assert source is not None
    return source.keys(count)


def test_round_robin_goes_through_all_keys_in_turn() -> None:
    """OMB's 10,000 keys of 7 bytes in base64url, each as often as the others."""
    keys = keys_of(PayloadSpec(100, keys="KEY_ROUND_ROBIN"), 3, 2 * KEY_COUNT)

    assert keys[:KEY_COUNT] == keys[KEY_COUNT:]
    assert len(set(keys)) == KEY_COUNT
    assert {len(key) for key in keys} == {10}
    assert b"".join(keys).decode("ascii").replace("-", "").replace("_", "").isalnum()


def test_random_keys_spread_over_all_keys() -> None:
    """RANDOM_NANO draws from the same 10,000 keys, none of them far too often."""
    keys = Counter(keys_of(PayloadSpec(100, keys="RANDOM_NANO"), 0, 10 * KEY_COUNT))

    assert set(keys) <= set(keys_of(PayloadSpec(100, keys="KEY_ROUND_ROBIN"), 0, KEY_COUNT))
    assert len(keys) > 0.99 * KEY_COUNT
    assert max(keys.values()) < 40


def test_keys_come_from_the_seed_and_producers_are_not_in_step() -> None:
    """Every run has the same keys; two producers of it don't use the same key at the same turn."""
    for distributor in ("KEY_ROUND_ROBIN", "RANDOM_NANO"):
        spec = PayloadSpec(100, keys=distributor, seed=4)
        first = keys_of(spec, 0, 50)
        assert first == keys_of(spec, 0, 50)
        assert sum(a == b for a, b in zip(first, keys_of(spec, 1, 50), strict=True)) < 5
        assert first != keys_of(PayloadSpec(100, keys=distributor, seed=5), 0, 50)


def test_runs_have_numbers_of_their_own() -> None:
    """The number that a stamp carries fits its field and differs from run to run."""
    numbers = {run_number(f"run{i}") for i in range(1000)}

    assert len(numbers) == 1000
    assert all(0 <= number < 2**32 for number in numbers)


@given(st.binary(min_size=0, max_size=60), st.integers(0, 10_000), st.integers(0, 7))
def test_a_checksum_tells_any_changed_bit(body: bytes, place: int, bit: int) -> None:
    """Stamp and body are covered, and the checksum itself; only what says that it is of this run must be whole."""
    payload = with_checksum(STAMP.pack(1, 2, 77, 3, 4, 0, 5) + body)
    assert count_corrupt([payload], 77) == 0

    at = place % len(payload)
    changed = payload[:at] + bytes([payload[at] ^ 1 << bit]) + payload[at + 1 :]

    assert count_corrupt([changed], 77) == (0 if 16 <= at < 20 else 1)
