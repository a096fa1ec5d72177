"""What is said of a run that never was, for the tests of facts, rules and caveats."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from sample_result import measurements

from ombdriver.bench.metrics.summary import RunMetrics
from ombdriver.bench.plan.plan import Plan
from ombdriver.bench.plan.planner import make_plan
from ombdriver.bench.spec.setup import Setup
from ombdriver.bench.spec.thresholds import Threshold
from ombdriver.bench.spec.workload import Workload
from ombdriver.bench.verdict.assess import Assessment, assess, run_facts
from ombdriver.bench.verdict.facts import Facts

SECOND = 10**9
FIELDS = {
    "topics": 1,
    "partitionsPerTopic": 1,
    "messageSize": 100,
    "subscriptionsPerTopic": 1,
    "producersPerTopic": 1,
    "consumerPerSubscription": 1,
    "producerRate": 1000,
    "testDurationMinutes": 1,
}
OBSERVED = Facts(cores=8, servers_on_host=1)


def planned(**changed: Any) -> Plan:
    """The plan of one group on the memory driver, but for these attributes."""
    workload = Workload.parse("\n".join(f"{name}: {value}" for name, value in FIELDS.items()), "small.yaml")
    return replace(make_plan(workload, Setup.load("memory"), "RUNID", workers=None, cores=2), **changed)


def measured(**changed: Any) -> RunMetrics:
    """3 s at 2,000 messages a second."""
    return measurements(**({"length_ns": 3 * SECOND} | changed))


def assessed(
    *thresholds: str,
    observed: Facts = OBSERVED,
    plan: Plan | None = None,
    calibration: Mapping[str, Any] | None = None,
    loopback: bool = False,
    **changed: Any,
) -> Assessment:
    """What is said of a run on a machine with cores to spare.

    Args:
        thresholds: of the run.
        observed: facts that are neither measured nor planned.
        plan: of the run.
        calibration: of the machine.
        loopback: whether its driver lives within one process.
        changed: what was measured.
    """
    metrics = measured(**changed)
    parsed: Sequence[Threshold] = [Threshold.parse(text) for text in thresholds]
    return assess(metrics, run_facts(metrics, plan or planned(), observed), parsed, calibration, loopback=loopback)
