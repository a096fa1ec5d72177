"""Durations, sizes and names as people write them, and back. Pure.

Knows units and spelling; knows no field of a workload or a setup. Times are integer nanoseconds inside, sizes bytes.
"""

import difflib
import math
import re
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

GIB = 1 << 30


MS = 10**6
SECOND = 10**9
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE

_DURATION_UNITS = {"ms": MS, "s": SECOND, "m": MINUTE, "h": HOUR}
_SIZE_UNITS = {"B": 1, "KB": 10**3, "KiB": 2**10, "MB": 10**6, "MiB": 2**20}

DURATION_PATTERN = r"^[0-9]{1,12}(\.[0-9]{1,9})?(ms|s|m|h)$"
"""What `parse_duration` takes, as a regular expression for JSON Schema."""
SIZE_PATTERN = r"^[0-9]{1,12}(B|KB|KiB|MB|MiB)$"
"""What `parse_size` takes as text, as a regular expression for JSON Schema."""

# `$` also matches before a final line feed in Python, hence `fullmatch`.
_DURATION = re.compile(DURATION_PATTERN[1:-1])
_SIZE = re.compile(SIZE_PATTERN[1:-1])

_NUMBER = re.compile(r"[-+]?([0-9]{1,30}(\.[0-9]{0,30})?|\.[0-9]{1,30})([eE][-+]?[0-9]{1,3})?", re.ASCII)
RATE_PATTERN = r"^[+-]?[0-9]{1,12}(\.[0-9]{1,9})?[kKM]?$"
"""What `parse_rate` takes as text, as a regular expression for JSON Schema."""
_RATE = re.compile(r"(?P<number>[+-]?[0-9]{1,12}(\.[0-9]{1,9})?)(?P<unit>[kKM]?)", re.ASCII)


def parse_duration(value: object) -> int:
    """The nanoseconds of a duration: `1500ms`, `10s`, `5m`, `1h`, `0.5s`.

    Raises:
        ValueError: if it is anything else; the message names the units.
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise ValueError(f"{value} has no unit; write {value}s for seconds, {value}m for minutes (units: ms, s, m, h)")
    if not isinstance(value, str) or not _DURATION.fullmatch(value):
        raise ValueError(f"{quoted(value)} is not a duration; write a number and a unit: 1500ms, 10s, 5m or 1h")
    unit = value.lstrip("0123456789.")
    nanoseconds = Decimal(value.removesuffix(unit)) * _DURATION_UNITS[unit]
    if nanoseconds != nanoseconds.to_integral_value():
        raise ValueError(f"{quoted(value)} is finer than a nanosecond; write fewer digits")
    return int(nanoseconds)


def format_duration(duration_ns: int) -> str:
    """The shortest exact text of a duration, which `parse_duration` reads back: `90s`, `5m`, `1.5ms`."""
    for unit in ("h", "m", "s", "ms"):
        if duration_ns and duration_ns % _DURATION_UNITS[unit] == 0:
            return f"{duration_ns // _DURATION_UNITS[unit]}{unit}"
    if not duration_ns:
        return "0s"
    whole, rest = divmod(duration_ns, MS)
    return f"{whole}.{rest:06d}".rstrip("0") + "ms"


def parse_size(value: object) -> int:
    """The bytes of a size: a whole number, or `64B`, `64KB` (64,000), `1KiB` (1,024), `1MB`, `1MiB`.

    Raises:
        ValueError: if it is anything else; the message names the units.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if not isinstance(value, str) or not _SIZE.fullmatch(value):
        raise ValueError(
            f"{quoted(value)} is not a size; write bytes as a whole number, or 64KB (64,000), 1KiB (1,024)"
        )
    unit = value.lstrip("0123456789")
    return int(value.removesuffix(unit)) * _SIZE_UNITS[unit]


def parse_number(text: str) -> int | float:
    """The number in `text`: `1000`, `+5`, `0.5`, `1e4`. What is written without a point or an exponent is an int.

    Raises:
        ValueError: if it is anything else, digits with signs between them (`1_000`, `1,000`, `1:30`) included, or can't
            be held (`1e400`).
    """
    if not _NUMBER.fullmatch(text) or not can_be_held(text):
        raise ValueError(f"{quoted(text)} is not a number; write digits only, without signs between them")
    return int(text) if text.lstrip("+-").isdecimal() else float(text)


def can_be_held(text: str) -> bool:
    """Whether the number in `text` is neither infinite as a float, nor 0 without being that."""
    number = float(text)
    return math.isfinite(number) and (number != 0 or not re.search("[1-9]", re.split("[eE]", text)[0]))


def is_maximum(value: object) -> bool:
    """Whether `max` stands in place of a rate, in any case."""
    return isinstance(value, str) and value.strip().lower() == "max"


def parse_rate(value: object) -> int:
    """Messages per second: a whole number, `"1000"`, or with a unit `1k` (1,000), `2.5k`, `1M` (1,000,000).

    Raises:
        ValueError: if it is anything else.
    """
    wrong = ValueError(f"{quoted(value)} is no rate; write messages per second as a whole number, or 1k for 1,000")
    if isinstance(value, str) and (found := _RATE.fullmatch(value.strip())):
        value = Decimal(found["number"]) * {"": 1, "k": 1_000, "m": 1_000_000}[found["unit"].lower()]
        if value == value.to_integral_value():
            return int(value)
        raise wrong
    if isinstance(value, float) and value.is_integer():
        return int(Decimal(repr(value)))  # 1e30 as it was written, not as its nearest power of two
    if not isinstance(value, int) or isinstance(value, bool):
        raise wrong
    return value


def format_size(size: float) -> str:
    """A size for a reader, at most three digits and a binary unit: `1.5 KiB`, `64 MiB`. Not for reading back."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        # 999.5 is where three digits would turn into "1000".
        if size < 999.5:
            return f"{size:.3g} {unit}"
        size /= 1024
    return f"{size:,.0f} TiB" if size >= 999.5 else f"{size:.3g} TiB"


def nearest(name: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """The one of `known` that `name` is most likely a misspelling of; None when none is near. Case does not count.

    `cutoff` is the least likeness, from 0 to 1, by difflib's ratio.
    """
    by_lower = {candidate.lower(): candidate for candidate in known}
    found = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=cutoff)
    return by_lower[found[0]] if found else None


MOST_SUGGESTED = 8
"""Of more names that may be meant, a list of all tells more."""


def suggested(name: str, known: Iterable[str]) -> str | None:
    """Whichever of `known` may be meant by `name`, as the end of a question: all that begin with it, if these are a
    few (`redis-local or redis-tls`), or else the nearest; None when none is near.
    """
    names = list(known)
    longer = [each for each in names if each.lower().startswith(f"{name.lower()}-")]
    if 1 < len(longer) <= MOST_SUGGESTED:
        return f"{', '.join(longer[:-1])} or {longer[-1]}"
    return nearest(name, names)


def camel_case(name: str) -> str:
    """A Python name as a key of JSON: `publish_errors` as `publishErrors`."""
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f"  # control characters, those of C1 included
    "\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff"  # what is not seen, breaks lines or turns their direction
    "\ud800-\udfff]"  # of names that are not UTF-8
)


def visible(text: str) -> str:
    """Text of others (a file's name, a result, a server's reply) as a terminal, a table or a page may show it.

    Signs that move the cursor, break a line, change the direction or can't be encoded give way to their number.
    """
    return _UNSAFE.sub(lambda found: f"\\x{ord(found[0]):02x}" if found[0] < "\x80" else ascii(found[0])[1:-1], text)


def visible_json(value: Any) -> Any:
    """What JSON holds, with all its texts and keys `visible`."""
    if isinstance(value, str):
        return visible(value)
    if isinstance(value, dict):
        return {visible(key): visible_json(inner) for key, inner in value.items()}
    return [visible_json(inner) for inner in value] if isinstance(value, list) else value


def quoted(value: object) -> str:
    """`value` as a file has it and a message may quote it: never long, never over several lines, no signs unseen."""
    text = visible(_as_written(value))
    return text if len(text) <= 60 else text[:57] + "..."


def _as_written(value: object) -> str:
    """As YAML has it on one line; text in single quotes."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_plain(key)}: {_as_written(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_as_written, value)) + "]"
    return repr(value)


def _plain(key: object) -> str:
    return key if isinstance(key, str) and key.isidentifier() else _as_written(key)
