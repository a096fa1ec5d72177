"""Long series as short ones that a screen can show, without losing a peak. Pure.

A page with twenty results of an hour would else be tens of megabytes, and no screen has as many columns.
"""

from collections.abc import Callable, Sequence

Values = Sequence[float | None]

_DIGITS = 4


def stride(length: int, most: int) -> int:
    """How many neighbours make one point, so that there are `most` points or fewer; 1 or more."""
    return max(1, -(-length // most))


def highest(values: Values, by: int) -> list[float | None]:
    """The highest of every `by` neighbours, so that no peak is lost; None where none of them has a value."""
    return _each(values, by, max)


def means(values: Values, by: int) -> list[float | None]:
    """The mean of every `by` neighbours, for rates; None where none of them has a value."""
    return _each(values, by, lambda some: sum(some) / len(some))


def firsts(values: Sequence[float], by: int) -> list[float]:
    """The first of every `by` neighbours, for times."""
    return [_rounded(value) for value in values[::by]]


def _each(values: Values, by: int, fold: Callable[[list[float]], float]) -> list[float | None]:
    folded: list[float | None] = []
    for start in range(0, len(values), by):
        some = [value for value in values[start : start + by] if value is not None]
        folded.append(_rounded(fold(some)) if some else None)
    return folded


def _rounded(value: float) -> float:
    """To four digits, and whole numbers without a decimal point: that is a third of the text."""
    short = float(f"{value:.{_DIGITS}g}") if abs(value) < 10**_DIGITS else float(round(value))
    return int(short) if short.is_integer() else short
