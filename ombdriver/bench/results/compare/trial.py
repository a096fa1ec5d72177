"""One run, as a comparison sees it: its figures, where it stands, what it ran on; of our results and of OMB's. Pure.

The run is what is repeated, never a window within it: windows of one run depend on each other, so that any number of
them says no more of how runs differ than one does. Each figure is that of the whole run; of a percentile it is the
run's own, from all of its samples.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ombdriver.bench.metrics.figures import Figure
from ombdriver.bench.metrics.latency import COMPARED
from ombdriver.bench.plan.host_layout import told_layout
from ombdriver.bench.results.compare.faults import fault_figures, faults_in_words
from ombdriver.bench.results.compare.metrics import RATES, of_groups, overall
from ombdriver.bench.results.environment import chosen_facts
from ombdriver.bench.results.harness_share import HarnessShare, harness_shares
from ombdriver.bench.results.omb_keys import ENDINGS, aggregated
from ombdriver.bench.results.result import Result, Standing
from ombdriver.bench.verdict.model import VALID
from ombdriver.errors import InputError

VERSIONS = ("ombdriver", "python", "uvloop", "redis", "hiredis", "numpy")
"""What measures: another version of it may measure otherwise. What else is installed only writes or serves."""
HOST = ("platform", "kernel", "machine", "cpu", "memoryBytes", "memoryLimitBytes")
"""Keys of the environment that are of the machine."""
OF_HOSTS = ("cores", "memoryBytes", "kernel", "python")
"""What each of several hosts says of its machine."""
NOT_OF_LOAD = ("name", "thresholds", "expect", "abortOnFail")
"""Keys of a workload that do not bear on the figures."""
NOT_OF_SETUP = ("name", "description")
OF_THE_MOMENT = ("usedMemoryBytes",)


OF_FAULTS = "workload.faults"
"""The fact that tells which faults a run was to have; that it was to have none is told, too."""


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
        excluded: why its figures can't be trusted; None when they can, or when there was no verdict to expect.
        reasons: the rules of the verdict that exclude it.
        has_verdict: whether there was a verdict.
        messages_per_write: how bunched its load was, on average; None when its file does not say.
        harness_share: the figures that say more of the harness than of the system, and why.
        faults: what faults did, the worst of the run, as `faults.fault_figures` tells it; empty without any.
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
    excluded: str | None = None
    reasons: tuple[str, ...] = ()
    has_verdict: bool = True
    messages_per_write: float | None = None
    harness_share: Mapping[str, HarnessShare] = field(default_factory=dict)
    faults: Mapping[str, float | None] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    setup_facts: Mapping[str, Any] = field(default_factory=dict)


def trial_of(result: Result, source: str) -> Trial:
    """The run of `result`, which messages call `source`."""
    environment = result.environment
    versions = environment.get("versions") or {}
    workload = {key: value for key, value in result.workload_spec.items() if key not in NOT_OF_LOAD}
    server = chosen_facts(environment.get("server") or {})
    groups = tuple(each.name for each in result.subscriptions)
    compared = overall() + of_groups(groups)
    return Trial(
        source=source,
        workload=result.workload,
        setup=str(result.setup.get("name", result.driver)),
        figures=_figures(result),
        groups=groups,
        run_id=result.run_id,
        standing=result.standing,
        begun=datetime.fromisoformat(result.begin_time),
        excluded=_exclusion(result),
        messages_per_write=(result.messages_per_write or {}).get("mean"),
        harness_share=harness_shares(result, compared),
        reasons=() if result.verdict is None else tuple(each.rule for each in result.verdict.reasons),
        faults=fault_figures(result.faults),
        facts={
            **flatten(workload, "workload."),
            OF_FAULTS: faults_in_words(workload),
            "workloadSha256": result.workload_sha256,
            **flatten({name: versions[name] for name in VERSIONS if name in versions}, "versions."),
            **flatten({key: environment[key] for key in HOST if key in environment}, ""),
            "workersOn": told_layout(environment.get("layout")),
            **_facts_of_hosts(environment.get("hosts") or ()),
            **_place_of_server(environment.get("hosts") or ()),
        },
        setup_facts={
            **flatten({key: value for key, value in result.setup.items() if key not in NOT_OF_SETUP}, "setup."),
            **flatten({key: value for key, value in server.items() if key not in OF_THE_MOMENT}, "server."),
            **({"workers": len(environment["workers"])} if environment.get("workers") else {}),
        },
    )


def _facts_of_hosts(hosts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What is alike in two runs whose hosts are of one kind, in whatever order they came."""
    return {
        f"hosts.{key}": ", ".join(sorted({str(host[key]) for host in hosts if key in host}))
        for key in OF_HOSTS
        if any(key in host for host in hosts)
    }


def _place_of_server(hosts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Whether the servers that a run has started on one of its hosts had that for themselves."""
    shared = [bool(host.get("hasWorkers")) for host in hosts if host.get("hasServer")]
    return {"serverOn": "a host with workers" if shared[0] else "a host of its own"} if shared else {}


def flatten(data: Mapping[str, Any], above: str) -> dict[str, Any]:
    """`data` with a dotted key for each value that is no object; `above` stands before each."""
    found: dict[str, Any] = {}
    for key, value in data.items():
        found |= flatten(value, f"{above}{key}.") if isinstance(value, Mapping) else {f"{above}{key}": value}
    return found


def with_ratio(figures: Mapping[str, float | None]) -> dict[str, float]:
    """The figures that can be part of a ratio: those that are positive and finite."""
    return {name: value for name, value in figures.items() if value is not None and 0 < value < math.inf}


def _exclusion(result: Result) -> str | None:
    if result.verdict is None:
        return "without a verdict, as older versions wrote it"
    return None if result.verdict.status == VALID else result.verdict.status


def _figures(result: Result) -> dict[str, float]:
    figures = overall() + of_groups([each.name for each in result.subscriptions])
    if result.search is not None:  # measured at the rate that the run found: latencies at several loads don't compare
        figures = [figure for figure in figures if figure.kind == "rate"]
    return with_ratio({str(figure): result.value(figure) for figure in figures})


# -- results of the OpenMessaging Benchmark (OMB) ----------------------------------------------------------------------
# Such a result has neither response times nor groups, verdict, series or environment; what it lacks stays blank. Its
# latencies are in ms like ours, its rates one value per 10 s. Where it has a latency of 0, it had no sample (or one
# that its clock of whole milliseconds could not see), so there is no figure.

OMB_FAMILIES = ("publish", "endToEnd")
OMB_FIELDS = {
    "messageSize": "messageSize",
    "topics": "topics",
    "partitions": "partitionsPerTopic",
    "producersPerTopic": "producersPerTopic",
    "consumersPerTopic": "consumerPerSubscription",
}
"""What OMB's result says of its workload, and the workload's key that each is."""


def is_omb_result(data: Mapping[str, Any]) -> bool:
    """Whether this is one of OMB's results: they have no `kind`, and name what ran."""
    return "kind" not in data and {"workload", "driver", "publishRate"} <= data.keys()


def trial_of_omb(data: Mapping[str, Any], source: str) -> Trial:
    """The run of OMB's result `data`, from the file `source`.

    Raises:
        InputError: if a value has not the type that OMB gives it.
    """
    try:
        figures: dict[str, float | None] = {rate: _mean(data[rate]) for rate in RATES if data.get(rate)}
        for family in OMB_FAMILIES:
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
        figures=with_ratio(figures),
        has_verdict=False,
        facts={f"workload.{ours}": data[name] for name, ours in OMB_FIELDS.items() if name in data},
    )


def _mean(rates: list[float]) -> float:
    return sum(rates) / len(rates)
