"""What a message carries: the stamp in its first bytes, the bytes after it, and its key. Pure.

Knows no topic, rate, clock or driver. Everything is seeded: the same workload gives the same sizes, bytes and keys in
every run and every process. Memory is bounded whatever the sizes.
"""

import base64
import random
import re
import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Generic, Literal, TypeVar

import numpy as np

from ombdriver.bench.units import parse_size, quoted

# -- the stamp -------------------------------------------------------------------------------------------------------

STAMP = struct.Struct("<qqIIIIQ")
"""The first 40 bytes of every message: intended_ns, sent_ns, run, producer, partition, checksum, sequence.

Times are `time.monotonic_ns()` of the host that commands the run (`host_clock`); run is `run_number(run_id)`; checksum
is 0 where there is none, see `with_checksum`.
"""
_RUN = slice(16, 20)
_CHECKSUM = slice(28, 32)

STAMP_DTYPE = np.dtype(
    [
        ("intended_ns", "<i8"),
        ("sent_ns", "<i8"),
        ("run", "<u4"),
        ("producer", "<u4"),
        ("partition", "<u4"),
        ("checksum", "<u4"),
        ("sequence", "<u8"),
    ]
)
"""`STAMP` as numpy reads it."""


def run_number(run_id: str) -> int:
    """The 32-bit number by which a stamp names its run."""
    return zlib.crc32(run_id.encode())


def with_checksum(payload: bytes) -> bytes:
    """`payload`, whose checksum is 0, with its CRC-32; 1 stands for a CRC of 0."""
    return payload[: _CHECKSUM.start] + _crc(payload).to_bytes(4, "little") + payload[_CHECKSUM.stop :]


def count_corrupt(payloads: Sequence[bytes], run: int) -> int:
    """How many of `payloads` are of run number `run` and don't have the checksum that `with_checksum` gave them."""
    ours = run.to_bytes(4, "little")
    return sum(
        int.from_bytes(payload[_CHECKSUM], "little") != _crc(payload)
        for payload in payloads
        if len(payload) >= STAMP.size and payload[_RUN] == ours
    )


def _crc(payload: bytes) -> int:
    before = zlib.crc32(bytes(4), zlib.crc32(payload[: _CHECKSUM.start]))  # as if there was no checksum yet
    return zlib.crc32(payload[_CHECKSUM.stop :], before) or 1


# -- sizes -----------------------------------------------------------------------------------------------------------

_RANGE = re.compile(r"\s*([0-9]{1,12}[A-Za-z]*)\s*-\s*([0-9]{1,12}[A-Za-z]*)\s*")
_EXAMPLE = 'write a range and its weight, as "100-1KiB": 3'
MOST_WEIGHT = 1_000_000


@dataclass(frozen=True, slots=True)
class SizeRange:
    """Sizes from `low` to `high` bytes, both included and all alike; `weight` against the other ranges."""

    low: int
    high: int
    weight: int


def parse_distribution(given: object, least: int, most: int) -> tuple[SizeRange, ...]:
    """Reads `{"0-256": 3, "256-1KiB": 1}`. What is below `least` becomes that.

    Args:
        given: as YAML has it.
        least: bytes that a message has in any case.
        most: bytes that it may have.

    Raises:
        ValueError: if it is not that; the message says what is.
    """
    if not isinstance(given, Mapping) or not given:
        raise ValueError(f"{quoted(given)} is no distribution; {_EXAMPLE}")
    return tuple(_range(text, weight, least, most) for text, weight in given.items())


def _range(text: object, weight: object, least: int, most: int) -> SizeRange:
    parts = _RANGE.fullmatch(text) if isinstance(text, str) else None
    if parts is None:
        raise ValueError(f"{quoted(text)} is not a range of sizes; {_EXAMPLE}")
    low, high = (parse_size(int(part) if part.isdigit() else part) for part in parts.groups())
    if low > high:
        raise ValueError(f"{quoted(text)} ends before it begins; {_EXAMPLE}")
    if not least <= high <= most:
        raise ValueError(f"{quoted(text)} ends out of range; write {least} to {most} bytes")
    if not isinstance(weight, int) or isinstance(weight, bool) or not 1 <= weight <= MOST_WEIGHT:
        raise ValueError(f"{quoted(text)}: the weight is {quoted(weight)}; write a whole number, 1 to {MOST_WEIGHT:,}")
    return SizeRange(max(low, least), high, weight)


def mean_size(ranges: Sequence[SizeRange]) -> int:
    """The size of a message on average, rounded."""
    weights = sum(each.weight for each in ranges)
    return round(sum(each.weight * (each.low + each.high) / 2 for each in ranges) / weights)


def drawn_sizes(ranges: Sequence[SizeRange], count: int, seed: int) -> list[int]:
    """`count` sizes in a seeded random order; each range has its share of them, to the message."""
    source = random.Random(f"sizes {seed}")
    weights = sum(each.weight for each in ranges)
    found: list[int] = []
    reached = 0
    for each in ranges:
        reached += each.weight
        share = count * reached // weights - len(found)
        found += [source.randint(each.low, each.high) for _ in range(share)]
    source.shuffle(found)
    return found


# -- bodies and keys -------------------------------------------------------------------------------------------------

KeyDistributor = Literal["NO_KEY", "KEY_ROUND_ROBIN", "RANDOM_NANO"]

KEY_COUNT = 10_000
KEY_BYTES = 7
"""As in OMB: 10,000 keys of 7 random bytes each, sent as base64url, which makes 10 characters."""

POOL_BYTES = 32 << 20
"""Bodies are kept ready while all of them fit into this; a larger pool is cut out of shared bytes as it is sent."""

SIZES = 10_007
"""The period of drawn sizes, in messages; a prime, so that it does not coincide with another period."""
_PICKS = 100_003
"""The period of RANDOM_NANO, in messages; a prime, so that it does not coincide with another period."""
_STRIDE = 7_919
"""How many keys apart producers start, so that they don't all hit one partition at the same moment. A prime."""
_CHUNK = 1 << 20
_FILL = bytes(range(0x21, 0x7F))

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class PayloadSpec:
    """The bytes and the keys of the messages of a run.

    Attributes:
        size: bytes of a whole message, stamp included, or their mean; at least `STAMP.size`.
        sizes: the ranges that sizes are drawn from; none when all are `size`.
        content: what a payload file holds, `size` bytes; None when there is none.
        random_ratio: the share (0 to 1) of `size` that is random, from its start, the rest being zeros; None when
            payloads are not randomized.
        pool: how many different randomized payloads there are.
        keys: how messages get their keys.
        seed: what all that is random comes from.
        checksums: whether each message carries a checksum.
    """

    size: int
    content: bytes | None = None
    random_ratio: float | None = None
    pool: int = 1
    keys: KeyDistributor = "NO_KEY"
    seed: int = 0
    checksums: bool = False
    sizes: tuple[SizeRange, ...] = ()


class _Cycle(Generic[Item]):
    """Takes the items of a sequence in turn, from a place in it, for ever."""

    __slots__ = ("_items", "_position")

    def __init__(self, items: Sequence[Item], start: int = 0) -> None:
        self._items = list(items) if not isinstance(items, list) else items
        self._position = start % len(items)

    def take(self, count: int) -> list[Item]:
        items, position = self._items, self._position
        end = position + count
        if end <= len(items):
            self._position = end % len(items)
            return items[position:end]
        rounds, self._position = divmod(end, len(items))
        return items[position:] + items * (rounds - 1) + items[: self._position]


class PayloadPool:
    """The bodies of a worker's messages: what follows the stamp, `spec.size - STAMP.size` bytes each.

    With a distribution of sizes they are of those, `SIZES` of them in turn, or as many as memory allows.
    A body is the payload file's content, or one of the pool of randomized payloads, taken in turn (OMB draws them;
    in turn all of them are used equally), or else a fixed fill. The stamp covers the first bytes of what was there.
    """

    def __init__(self, spec: PayloadSpec) -> None:
        self.body_size = spec.size - STAMP.size
        self.checksums = spec.checksums
        self._random_size = 0
        self._shared = b""
        if spec.sizes:
            self._bodies = _Cycle(_bodies_of_sizes(spec))
            return
        if spec.random_ratio is None:
            content = spec.content or _repeated(_FILL, spec.size)
            self._bodies = _Cycle([content[STAMP.size :]])
            return
        self._random_size = max(0, int(spec.size * spec.random_ratio) - STAMP.size)
        self._zeros = bytes(self.body_size - self._random_size)
        source = random.Random(f"payload {spec.seed}")
        if spec.pool * self.body_size <= POOL_BYTES:
            self._bodies = _Cycle([_random_bytes(source, self._random_size) + self._zeros for _ in range(spec.pool)])
            return
        self._shared = _random_bytes(source, self._random_size + _CHUNK)
        # Payload k starts k strides into the shared bytes, so all are different, though they overlap.
        self._offsets = _Cycle([k * _STRIDE % _CHUNK for k in range(spec.pool)])

    def next_bodies(self, count: int) -> list[bytes]:
        """The bodies of the next `count` messages."""
        if not self._shared:
            return self._bodies.take(count)
        shared, size, zeros = self._shared, self._random_size, self._zeros
        return [shared[offset : offset + size] + zeros for offset in self._offsets.take(count)]


def _bodies_of_sizes(spec: PayloadSpec) -> list[bytes]:
    count = max(1, min(SIZES, POOL_BYTES // max(1, spec.size)))
    sizes = drawn_sizes(spec.sizes, count, spec.seed)
    if spec.random_ratio is None:
        fill = _repeated(_FILL, max(sizes))
        return [fill[STAMP.size : size] for size in sizes]
    ratio, source = spec.random_ratio, random.Random(f"payload {spec.seed}")
    bodies = []
    for size in sizes:
        chance = max(0, int(size * ratio) - STAMP.size)
        bodies.append(_random_bytes(source, chance) + bytes(size - STAMP.size - chance))
    return bodies


class KeySource:
    """The keys of one producer's messages.

    KEY_ROUND_ROBIN: the 10,000 keys in turn. RANDOM_NANO: any of them, at random; the name is OMB's, which takes the
    clock's nanoseconds for chance, where this is seeded. All producers of a run share the keys; each starts at
    another place, so that no two go through them in step.
    """

    def __init__(self, keys: Sequence[bytes], producer: int) -> None:
        self._keys = _Cycle(keys, producer * _STRIDE)

    @classmethod
    def make(cls, spec: PayloadSpec, producer: int) -> "KeySource | None":
        """The keys of producer number `producer` (from 0); None when the messages of this run have no keys."""
        match spec.keys:
            case "NO_KEY":
                return None
            case "KEY_ROUND_ROBIN":
                return cls(_key_list(spec.seed), producer)
            case "RANDOM_NANO":
                return cls(_random_picks(spec.seed), producer)

    def keys(self, count: int) -> list[bytes]:
        """The keys of the next `count` messages."""
        return self._keys.take(count)


# One list serves all producers of a process: a thousand of them must not mean a thousand copies.
@lru_cache(maxsize=4)
def _key_list(seed: int) -> list[bytes]:
    source = random.Random(f"keys {seed}")
    keys: dict[bytes, None] = {}
    while len(keys) < KEY_COUNT:
        keys[base64.urlsafe_b64encode(source.randbytes(KEY_BYTES)).rstrip(b"=")] = None
    return list(keys)


@lru_cache(maxsize=4)
def _random_picks(seed: int) -> list[bytes]:
    return random.Random(f"picks {seed}").choices(_key_list(seed), k=_PICKS)


def _random_bytes(source: random.Random, size: int) -> bytes:
    # By chunks: one draw of some hundred megabytes would need a second copy, as one huge integer.
    return b"".join([source.randbytes(min(_CHUNK, size - done)) for done in range(0, size, _CHUNK)])


def _repeated(pattern: bytes, size: int) -> bytes:
    return (pattern * (size // len(pattern) + 1))[:size]
