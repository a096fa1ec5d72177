"""Figures as people read them: three digits and a unit. Pure."""

from collections.abc import Sequence
from typing import TextIO

from ombdriver.bench.metrics.figures import Figure

NOTHING = "-"
"""What stands where there was no sample."""
RESPONSES = {"publishResponse": "publish", "endToEndResponse": "end-to-end"}
"""What the response times are called where no other latency stands beside them."""


def title(figure: Figure) -> str:
    """A response time over all groups as the head of a column: `end-to-end p99`."""
    return f"{RESPONSES[figure.family]} {figure.statistic}"


def latency(ms: float | None) -> str:
    """A latency in ms as `950 ns`, `61.0 µs`, `1.62 ms`, `12.5 s`; `-` when there is none."""
    if ms is None:
        return NOTHING
    value = ms * 1e6
    for unit in ("ns", "µs", "ms"):
        text = f"{value:.0f}" if unit == "ns" or value >= 99.95 else _three_digits(value)
        if float(text) < 1000:
            return f"{text} {unit}"
        value /= 1000
    return f"{value:,.0f} s" if value >= 99.95 else f"{_three_digits(value)} s"


def span(ends: Sequence[float]) -> str:
    """From one latency in ms to another: `181-195 µs`, `950 ns-1.02 µs`; `-` without any."""
    if not ends:
        return NOTHING
    low, high = map(latency, ends)
    number, _, unit = low.partition(" ")
    return f"{number}-{high}" if high.endswith(f" {unit}") else f"{low}-{high}"


def rate(per_second: float) -> str:
    """Messages per second as `2,000/s`; with decimals below 10."""
    return f"{count(round(per_second))}/s" if per_second >= 9.95 or per_second == 0 else f"{per_second:.1f}/s"


def count(number: int) -> str:
    """A whole number with thousands marked."""
    return f"{number:,}"


def short(number: float) -> str:
    """A whole number in 9 characters at most: `1,203`, and from ten millions on `12.3 M`, `4.00 G`."""
    for unit, size in (("T", 1e12), ("G", 1e9), ("M", 1e6)):
        if number >= max(size, 1e7):
            value = number / size
            return f"{value:.0f} {unit}" if value >= 99.95 else f"{_three_digits(value)} {unit}"
    return count(round(number))


def many(number: int, noun: str) -> str:
    """`1 group`, `3 groups`."""
    return f"{count(number)} {noun}{'' if number == 1 else 's'}"


def percent(share: float | None) -> str:
    """A share as `28 %`, with a decimal below 9.95; `-` when there is none."""
    if share is None:
        return NOTHING
    return f"{share * 100:.0f} %" if share >= 0.0995 else f"{share * 100:.1f} %"


def duration(seconds: float) -> str:
    """A length of time as `0.4 s`, `30 s`, `5 min 0 s`, `1 h 5 min`."""
    if seconds < 9.95 and round(seconds, 1) != round(seconds):
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 120:
        return f"{whole} s"
    if whole < 7200:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def figure(value: float | None, unit: str) -> str:
    """The figure of a threshold, in `ms`, `messages/s`, or a number when the unit is empty."""
    if value is None:
        return "no sample"
    if unit == "ms":
        return latency(value)
    number = f"{value:,.7g}"  # rounded further, a rate just below its limit would look like it
    return f"{number}/s" if unit else number


def fit_for(stream: TextIO, text: str) -> str:
    """`text` as `stream` can take it: an ASCII one gets `us` in place of `µs`, and no exception."""
    encoding = stream.encoding or "utf-8"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return text.translate(_IN_ASCII).encode(encoding, "replace").decode(encoding)
    return text


_IN_ASCII = str.maketrans({"µ": "u", "†": "+", "○": "o", "…": "..."})
"""The signs of our own that an ASCII stream can't take; the marks stay distinguishable."""


def _three_digits(value: float) -> str:
    return f"{value:.2f}" if value < 9.995 else f"{value:.1f}"
