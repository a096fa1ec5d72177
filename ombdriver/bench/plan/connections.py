"""How many connections the workers of a plan have to their servers at a time, at most. Pure.

Knows how the drivers for streams connect: so much is asked of what all of them go through, as the links of faults.
"""

from ombdriver.bench.plan.plan import ConsumerAssignment, Plan, WorkerPlan
from ombdriver.bench.spec.setup import REDIS_PY_DRIVER, Setup

MOST_BLOCKING = 64
"""Streams of a cluster that one reader has a connection for, each; of more it has one to each primary."""
READS_OF_REDIS_PY = 2
"""A consumer of redis-py reads on one connection, and acknowledges on another."""
DISCOVERY = 1
"""A process asks where its keys are on a connection for that."""


def most_connections(plan: Plan, setup: Setup) -> int:
    """Connections of all workers together, to servers that hold data; the parent's are not among them."""
    return sum(_of_worker(worker, setup) for worker in plan.workers)


def _primaries(setup: Setup) -> int:
    return setup.server.plan.primary_count if setup.server is not None and setup.in_cluster else 1


def _of_worker(worker: WorkerPlan, setup: Setup) -> int:
    senders = len(worker.producers)
    if not setup.streams.waits and senders:
        # redis-py's pool is one for all producers of a process.
        alone = setup.driver_used == REDIS_PY_DRIVER
        connections = setup.client.sending_connections
        senders = connections if alone else min(senders, connections)
    small = 1
    reading = sum(_of_reader(reader, setup) for reader in worker.consumers)
    return _primaries(setup) * (senders + small) + reading + DISCOVERY


def _of_reader(reader: ConsumerAssignment, setup: Setup) -> int:
    if setup.driver_used == REDIS_PY_DRIVER:
        return READS_OF_REDIS_PY
    runs = setup.client.consumer == "runner"
    if not setup.in_cluster:
        # A Runner has a connection for each topic, and its consumer one for all else.
        return len(reader.topics) + 1 if runs else 1
    primaries = _primaries(setup)
    if not runs:
        polls = reader.streams > MOST_BLOCKING and setup.streams.read == "group"
        return primaries if polls else reader.streams
    topics = [topic.partitions if topic.partitions <= MOST_BLOCKING else 0 for topic in reader.topics]
    return sum(topics) + 2 * primaries + DISCOVERY
