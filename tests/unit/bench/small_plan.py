"""A small workload and its plan, for tests that replace some of its fields."""

from ombdriver.bench.plan.plan import Plan
from ombdriver.bench.plan.planner import make_plan
from ombdriver.bench.spec.setup import Setup
from ombdriver.bench.spec.workload import Workload

FIELDS = {
    "topics": "1",
    "partitionsPerTopic": "1",
    "messageSize": "1024",
    "subscriptionsPerTopic": "1",
    "consumerPerSubscription": "1",
    "producersPerTopic": "1",
    "producerRate": "1000",
    "testDuration": "10s",
}
"""Of one topic, partition, group, consumer and producer, as a file has them."""


def small_workload(**fields: object) -> Workload:
    """The small workload, with some fields replaced or added."""
    lines = (f"{name}: {value}" for name, value in ({"name": "small"} | FIELDS | fields).items())
    return Workload.parse("\n".join(lines), "small.yaml")


def plan_of(setup: Setup, workers: int | None = None, **fields: object) -> Plan:
    """The plan of such a workload."""
    return make_plan(small_workload(**fields), setup, "ab12cd34", workers=workers, cores=2)
