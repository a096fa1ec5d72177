"""Which percentiles of a run are the harness's own for more than a third: schedule lag, and event loops that came late.

An upper bound: what is late at a percentile of the one need not be late at that of the other. Pure.
"""

from collections.abc import Sequence

from ombdriver.bench.metrics.figures import Figure, Source
from ombdriver.bench.metrics.latency import PERCENTILES, REPORTED
from ombdriver.bench.metrics.summary import FAMILIES, GROUP_FAMILIES
from ombdriver.bench.verdict.facts import DELAYED_BY, OWN_PART, WorkerFacts

FROM_INTENDED = ("publishDelay", "publishResponse", "endToEndResponse")
"""The families that contain the schedule lag."""
RESPONSES = {
    "publish": "publishResponse",
    "publishResponse": "publishResponse",
    "endToEnd": "endToEndResponse",
    "endToEndResponse": "endToEndResponse",
}
"""The families whose end an event loop takes the time of; it is that of the workers that delay this response."""


def own_parts(source: Source, groups: Sequence[str], workers: Sequence[WorkerFacts]) -> dict[str, float]:
    """The harness's own share of each percentile of which it is more than a third, as `publishResponse.p50`: 0.6.

    Args:
        source: of a run, or of a part of one.
        groups: the subscriptions that are told by themselves too.
        workers: in the same time.
    """
    found = {}
    for family in FAMILIES:
        told = [None, *groups] if family in GROUP_FAMILIES else [None]
        late = [each.lateness for each in workers if RESPONSES.get(family) in DELAYED_BY[each.role]]
        for name in (name for name in PERCENTILES if name in REPORTED):
            own_ns = max((each.ns(name) or 0 for each in late), default=0)
            if family in FROM_INTENDED:
                own_ns += source.latency("scheduleLag", None).ns(name) or 0
            for figure in (Figure(family, name, group) for group in told):
                value_ns = figure.value(source)
                if value_ns and own_ns > OWN_PART * value_ns:
                    found[str(figure)] = round(min(1.0, own_ns / value_ns), 3)
    return found
