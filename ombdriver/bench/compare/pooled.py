"""All samples of several runs as one distribution, for curves: histograms are merged, percentiles never averaged. Pure.

Such a distribution is that of a message of any of the runs. How runs differ can't be seen in it, so nothing is tested
on it; the figures of a comparison are medians of each run's own.
"""

from collections.abc import Iterable

from ombdriver.bench.export.parts import total
from ombdriver.bench.recorder import Histogram
from ombdriver.bench.result import Result


def pooled(results: Iterable[Result], family: str, group: str | None = None) -> Histogram:
    """The samples of one latency of all `results`, in nanoseconds; empty when none has any.

    Args:
        results: runs of one setup.
        family: the latency.
        group: of one consumer group; None for all of them together.

    Raises:
        KeyError: if a result has no such family or group.
        ValueError: if what it holds is no histogram.
    """
    return Histogram.total(Histogram.decode(total(each, family, group)) for each in results)
