"""Whether a figure grows: judged by all samples of a run, not by its first and its last. Pure.

Memory is never quite flat: caches fill, allocators keep pages, a sample falls into a burst. So a run is condensed to
medians of equal parts, and it grows when both hold: Mann and Kendall's test finds a trend that chance does not make,
and the slope of Theil and Sen (the median of the slopes of all pairs) is steep enough to matter.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from statistics import median

PARTS = 60
"""Parts of equal length that a run is condensed to, at most."""
WARM_UP = 0.25
"""The part of a run at whose beginning nothing is judged."""
CERTAIN = 4.0
"""The z of Mann and Kendall's test from which a trend is one; chance passes it once in 30,000 runs."""

Samples = Sequence[tuple[float, float]]
"""Times in seconds, in order, each with a value."""


@dataclass(frozen=True, slots=True)
class Trend:
    """How a figure went.

    Attributes:
        first: its median in the first part that was judged.
        last: its median in the last one.
        per_s: the slope of Theil and Sen.
        over_s: the time that was judged.
        z: of Mann and Kendall's test: 0 for no trend, above 0 for a growing one.
    """

    first: float
    last: float
    per_s: float
    over_s: float
    z: float

    @property
    def growth(self) -> float:
        """What it has grown by in the time judged, by the slope."""
        return self.per_s * self.over_s

    def exceeds(self, allowed: float) -> bool:
        """Whether it surely grows, and by more than `allowed`."""
        return self.z >= CERTAIN and self.growth > allowed


def trend_of(samples: Samples, warm_up: float = WARM_UP) -> Trend:
    """The trend after the warm-up.

    Raises:
        ValueError: if there are fewer than 10 samples then: no trend of so few is certain.
    """
    begin = samples[0][0] + warm_up * (samples[-1][0] - samples[0][0]) if samples else 0.0
    judged = [sample for sample in samples if sample[0] >= begin]
    if len(judged) < 10:
        raise ValueError(f"{len(judged)} samples after the warm-up; take 10 or more")
    points = condensed(judged)
    pairs = list(combinations(points, 2))
    slopes = [(later[1] - earlier[1]) / (later[0] - earlier[0]) for earlier, later in pairs]
    sum_of_signs = sum((slope > 0) - (slope < 0) for slope in slopes)
    n = len(points)
    spread = math.sqrt(n * (n - 1) * (2 * n + 5) / 18)
    z = (sum_of_signs - math.copysign(1, sum_of_signs)) / spread if sum_of_signs else 0.0
    return Trend(points[0][1], points[-1][1], median(slopes), points[-1][0] - points[0][0], z)


def condensed(samples: Samples) -> list[tuple[float, float]]:
    """Medians of up to `PARTS` parts with the same number of samples, or one more."""
    count = min(PARTS, len(samples))
    bounds = [len(samples) * part // count for part in range(count + 1)]
    parts = [samples[begin:end] for begin, end in pairwise(bounds)]
    return [(median(time for time, _ in part), median(value for _, value in part)) for part in parts]
