"""One run, as a comparison sees it: a figure for each metric, where it stands, and what it ran on. Pure.

The run is what is repeated, never a window within it: windows of one run depend on each other, so that any number of
them says no more of how runs differ than one does. Each figure is that of the whole run; of a percentile it is the
run's own, from all of its samples.

A result that the OpenMessaging Benchmark (OMB) wrote, as a run to compare. Pure.

Such a result has neither response times nor groups, verdict, series or environment; what it lacks stays blank. Its
latencies are in ms like ours, its rates one value per 10 s. Where it has a latency of 0, it had no sample (or one that
its clock of whole milliseconds could not see), so there is no figure.

All samples of several runs as one distribution, for curves: histograms are merged, percentiles never averaged. Pure.

Such a distribution is that of a message of any of the runs. How runs differ can't be seen in it, so nothing is tested
on it; the figures of a comparison are medians of each run's own.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ombdriver.bench.metrics.figures import Figure
from ombdriver.bench.metrics.histogram import Histogram
from ombdriver.bench.metrics.latency import COMPARED
from ombdriver.bench.results.compare.metrics import RATES, of_groups, overall
from ombdriver.bench.results.export.hdr_histogram import total
from ombdriver.bench.results.omb_keys import ENDINGS, aggregated
from ombdriver.bench.results.result import Result, Standing
from ombdriver.bench.verdict.model import VALID
from ombdriver.errors import InputError

Facts = Mapping[str, Any]

VERSIONS = ("ombdriver", "python", "uvloop", "redis", "hiredis", "numpy")
"""What measures: another version of it may measure otherwise. What else is installed only writes or serves."""
HOST = ("platform", "kernel", "machine", "cpu", "memoryBytes", "memoryLimitBytes")
"""Keys of the environment that are of the machine."""
NOT_OF_LOAD = ("name", "thresholds", "abortOnFail")
"""Keys of a workload that do not bear on the figures."""
NOT_OF_SETUP = ("name", "description")
OF_THE_MOMENT = ("usedMemoryBytes",)


@dataclass(frozen=True, slots=True)
class Trial:
    """One run.

    Attributes:
        source: what messages call it; a file's name.
        workload, setup: names; of OMB's results, the setup is the driver.
        figures: by how each figure is written, positive and finite; what a run has no sample of is not there.
        groups: the names of its consumer groups.
        run_id: of the run; None when its file does not say.
        standing: where it stands in its series; None when its file does not say.
        begun: when its window began; None when its file does not say.
        unfit: why its figures can't be trusted; None when they can, or when nobody judged.
        judged: whether there was a verdict.
        facts: what must be alike in all runs that are compared, by dotted key.
        setup_facts: what must be alike in all runs of one setup.
    """

    source: str
    workload: str
    setup: str
    figures: Mapping[str, float]
    groups: tuple[str, ...] = ()
    run_id: str | None = None
    standing: Standing | None = None
    begun: datetime | None = None
    unfit: str | None = None
    judged: bool = True
    facts: Facts = field(default_factory=dict)
    setup_facts: Facts = field(default_factory=dict)


def trial_of(result: Result, source: str) -> Trial:
    """The run that `result`, called `source`, is of."""
    environment = result.environment
    versions = environment.get("versions") or {}
    workload = {key: value for key, value in result.workload_spec.items() if key not in NOT_OF_LOAD}
    server = environment.get("server") or {}
    return Trial(
        source=source,
        workload=result.workload,
        setup=str(result.setup.get("name", result.driver)),
        figures=_figures(result),
        groups=tuple(each.name for each in result.subscriptions),
        run_id=result.run_id,
        standing=result.standing,
        begun=datetime.fromisoformat(result.begin_time),
        unfit=_unfit(result),
        facts={
            **flat(workload, "workload."),
            "workloadSha256": result.workload_sha256,
            **flat({name: versions[name] for name in VERSIONS if name in versions}, "versions."),
            **flat({key: environment[key] for key in HOST if key in environment}, ""),
        },
        setup_facts={
            **flat({key: value for key, value in result.setup.items() if key not in NOT_OF_SETUP}, "setup."),
            **flat({key: value for key, value in server.items() if key not in OF_THE_MOMENT}, "server."),
            **({"workers": len(environment["workers"])} if environment.get("workers") else {}),
        },
    )


def flat(data: Mapping[str, Any], above: str) -> dict[str, Any]:
    """`data` with a dotted key for each value that is no object; `above` stands before each."""
    found: dict[str, Any] = {}
    for key, value in data.items():
        found |= flat(value, f"{above}{key}.") if isinstance(value, Mapping) else {f"{above}{key}": value}
    return found


def usable(figures: Mapping[str, float | None]) -> dict[str, float]:
    """Those of which a ratio can be told: what is positive and finite."""
    return {name: value for name, value in figures.items() if value is not None and 0 < value < math.inf}


def _unfit(result: Result) -> str | None:
    if result.verdict is None:
        return "without a verdict, as older versions wrote it"
    return None if result.verdict.status == VALID else result.verdict.status


def _figures(result: Result) -> dict[str, float]:
    figures = overall() + of_groups([each.name for each in result.subscriptions])
    if result.search is not None:  # measured at the rate that the run found: latencies at several loads don't compare
        figures = [figure for figure in figures if figure.kind == "rate"]
    return usable({str(figure): result.value(figure) for figure in figures})


FAMILIES = ("publish", "endToEnd")
HEAD = {
    "messageSize": "messageSize",
    "topics": "topics",
    "partitions": "partitionsPerTopic",
    "producersPerTopic": "producersPerTopic",
    "consumersPerTopic": "consumerPerSubscription",
}
"""What OMB's result says of its workload, and the workload's key that each is."""


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
            for ending, statistic in ENDINGS.items():
                value = data.get(aggregated(f"{family}Latency{ending}"))
                if statistic in COMPARED:
                    figures[str(Figure(family, statistic))] = None if value is None else float(value)
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
