"""Comparison bars as a page is given them: a ratio to the reference with its interval, and what it means in words."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bar:
    """How one figure of a setup relates to that of the reference.

    Attributes:
        metric: which figure, as `endToEndResponse.p99`.
        setup: which setup, by its label.
        ratio: to the reference; 1 is alike, 1.2 is 20 % higher.
        low, high: the ends of the interval of the ratio; None where there are too few repeats for one.
        words: what can be said of it, as `no detectable difference below 8 %`.
    """

    metric: str
    setup: str
    ratio: float
    low: float | None
    high: float | None
    words: str
