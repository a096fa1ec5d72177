"""A result that the OpenMessaging Benchmark (OMB) wrote, as a run to compare. Pure.

Such a result has neither response times nor groups, verdict, series or environment; what it lacks stays blank. Its
latencies are in ms like ours, its rates one value per 10 s. Where it has a latency of 0, it had no sample (or one that
its clock of whole milliseconds could not see), so there is no figure.
"""

from collections.abc import Mapping
from typing import Any

from ombdriver.bench.compare.metrics import RATES, STATISTICS
from ombdriver.bench.compare.trial import Trial, usable
from ombdriver.bench.result import aggregated
from ombdriver.errors import InputError

FAMILIES = ("publish", "endToEnd")
ENDINGS = {"p50": "50pct", "p95": "95pct", "p99": "99pct", "p99.9": "999pct", "max": "Max"}
"""How a statistic is written here, and how OMB's names of it end."""
HEAD = {
    "messageSize": "messageSize",
    "topics": "topics",
    "partitions": "partitionsPerTopic",
    "producersPerTopic": "producersPerTopic",
    "consumersPerTopic": "consumerPerSubscription",
}
"""What OMB's result says of its workload, and the workload's key that each is."""

assert ENDINGS.keys() == STATISTICS.keys()


def looks_like_one(data: Mapping[str, Any]) -> bool:
    """Whether this is one of OMB's results: they have no `kind`, and name what ran."""
    return "kind" not in data and {"workload", "driver", "publishRate"} <= data.keys()


def trial_of_omb(data: Mapping[str, Any], source: str) -> Trial:
    """The run that `data`, of the file `source`, is of.

    Raises:
        InputError: if a value has not the type that OMB gives it.
    """
    try:
        figures: dict[str, float | None] = {rate: _mean(data[rate]) for rate in RATES if data.get(rate)}
        for family in FAMILIES:
            for statistic, ending in ENDINGS.items():
                value = data.get(aggregated(f"{family}Latency{ending}"))
                figures[f"{family}.{statistic}"] = None if value is None else float(value)
    except (TypeError, ValueError) as error:
        raise InputError(f"{source}: a value has a wrong type ({error}); give OMB's result as OMB wrote it") from error
    return Trial(
        source=source,
        workload=str(data["workload"]),
        setup=str(data["driver"]),
        figures=usable(figures),
        judged=False,
        facts={f"workload.{ours}": data[name] for name, ours in HEAD.items() if name in data},
    )


def _mean(rates: list[float]) -> float:
    return sum(rates) / len(rates)
