"""The plan of a small workload, for tests of what a plan is made of."""

from ombdriver.bench.plan.plan import Plan
from ombdriver.bench.plan.planner import make_plan
from ombdriver.bench.spec.setup import Setup
from ombdriver.bench.spec.workload import Workload


def plan_of(setup: Setup, workers: int | None = None, **fields: object) -> Plan:
    """Of one topic, partition, group, consumer and producer, with some fields replaced."""
    given = {
        "name": "small",
        "topics": 1,
        "partitionsPerTopic": 1,
        "messageSize": 1024,
        "subscriptionsPerTopic": 1,
        "consumerPerSubscription": 1,
        "producersPerTopic": 1,
        "producerRate": 1000,
        "testDuration": "10s",
    } | fields
    text = "\n".join(f"{name}: {value}" for name, value in given.items())
    return make_plan(Workload.parse(text, "small.yaml"), setup, "ab12cd34", workers=workers, cores=2)
