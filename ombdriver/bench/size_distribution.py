"""Messages of several sizes: weighted ranges, as OMB's `messageSizeDistribution` has them. Pure and seeded."""

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ombdriver.bench.text import parse_size, shown

_RANGE = re.compile(r"\s*([0-9]+[A-Za-z]*)\s*-\s*([0-9]+[A-Za-z]*)\s*")
_EXAMPLE = 'write a range and its weight, as "100-1KiB": 3'


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
        ValueError: if it is not that; the message tells what is.
    """
    if not isinstance(given, Mapping) or not given:
        raise ValueError(f"{shown(given)} is no distribution; {_EXAMPLE}")
    return tuple(_range(text, weight, least, most) for text, weight in given.items())


def _range(text: object, weight: object, least: int, most: int) -> SizeRange:
    parts = _RANGE.fullmatch(text) if isinstance(text, str) else None
    if parts is None:
        raise ValueError(f"{shown(text)} is not a range of sizes; {_EXAMPLE}")
    low, high = (parse_size(int(part) if part.isdigit() else part) for part in parts.groups())
    if low > high:
        raise ValueError(f"{shown(text)} ends before it begins; {_EXAMPLE}")
    if not least <= high <= most:
        raise ValueError(f"{shown(text)} ends out of range; write {least} to {most} bytes")
    if not isinstance(weight, int) or isinstance(weight, bool) or weight < 1:
        raise ValueError(f"{shown(text)}: the weight is {shown(weight)}; write a whole number, 1 or more")
    return SizeRange(max(low, least), high, weight)


def mean_size(ranges: Sequence[SizeRange]) -> int:
    """The size of a message on average, rounded."""
    weights = sum(each.weight for each in ranges)
    return round(sum(each.weight * (each.low + each.high) / 2 for each in ranges) / weights)


def drawn_sizes(ranges: Sequence[SizeRange], count: int, seed: int) -> list[int]:
    """`count` sizes; each range has its share to the message, in an order that chance decides by `seed`."""
    chance = random.Random(f"sizes {seed}")
    weights = sum(each.weight for each in ranges)
    found: list[int] = []
    passed = 0
    for each in ranges:
        passed += each.weight
        share = count * passed // weights - len(found)
        found += [chance.randint(each.low, each.high) for _ in range(share)]
    chance.shuffle(found)
    return found
