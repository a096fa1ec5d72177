"""`plan.swarm`: readers are on hosts that send to them, and count what these send; for every shape of a run."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ombdriver.bench.drivers.api import TopicSpec
from ombdriver.bench.plan.host_layout import HostLayout
from ombdriver.bench.plan.plan import Plan
from ombdriver.bench.plan.planner import make_plan
from ombdriver.bench.report.plan import describe
from ombdriver.bench.spec.setup import Setup
from ombdriver.bench.spec.workload import Workload
from ombdriver.errors import InputError

SETUP = Setup.load("embedded").with_url("redis://10.0.0.5")


def workload(topics: int, partitions: int, groups: int, consumers: int, producers: int) -> Workload:
    """A workload of that shape."""
    text = f"""
name: shape
topics: {topics}
partitionsPerTopic: {partitions}
messageSize: 100
subscriptionsPerTopic: {groups}
consumerPerSubscription: {consumers}
producersPerTopic: {producers}
producerRate: 1000
testDuration: 10s
"""
    return Workload.parse(text, "w.yaml")


def planned(hosts: int, each: int, *shape: int) -> Plan:
    """The plan of a run of that shape on so many hosts."""
    layout = HostLayout(hosts, each, "swarm")
    return make_plan(workload(*shape), SETUP, "run", workers=None, cores=2, layout=layout)


@given(
    st.integers(1, 6),
    st.integers(2, 5),
    st.tuples(st.integers(1, 4), st.integers(1, 4), st.integers(1, 4), st.integers(1, 4), st.integers(1, 8)),
)
def test_each_host_sends_and_reads_and_each_reader_counts_what_its_host_sends(
    hosts: int, each: int, shape: tuple[int, ...]
) -> None:
    """Or the run is refused; every producer and every reader is in exactly one process."""
    try:
        plan = planned(hosts, each, *shape)
    except InputError:
        assert hosts > 1
        return

    sending = {host: [p for w in plan.workers if w.host == host for p in w.producers] for host in range(hosts)}
    assert sorted(p.index for some in sending.values() for p in some) == list(range(plan.producers))
    whole = make_plan(workload(*shape), SETUP, "run", workers=None, cores=2)
    readers = [(c.subscription, c.name) for w in plan.workers for c in w.consumers]
    assert sorted(readers) == sorted((c.subscription, c.name) for w in whole.workers for c in w.consumers)
    assert [w.index for w in plan.workers] == list(range(len(plan.workers)))
    for host, own in sending.items():
        here = [w for w in plan.workers if w.host == host]
        assert {w.role for w in here} == {"produce", "consume"}
        assert len(here) <= each
        for worker in here:
            assert worker.counted == (None if worker.producers else tuple(sorted(p.index for p in own)))
            for reader in worker.consumers:
                assert {p.topic for p in own} & set[TopicSpec](reader.topics)


@pytest.mark.parametrize(
    ("shape", "lacking"),
    [
        ((1, 1, 3, 1, 1), 2),  # one producer
        ((1, 1, 1, 1, 3), 2),  # one reader
    ],
)
def test_a_host_that_would_not_send_or_not_read_is_refused(shape: tuple[int, ...], lacking: int) -> None:
    """It would have no latency of its own, and so no part in the figures."""
    with pytest.raises(InputError, match=rf"^--placement swarm: {lacking} of 3 hosts would not both send and read"):
        planned(3, 2, *shape)


def test_plan_says_of_which_messages_latencies_are() -> None:
    """Below the processes and their hosts."""
    shape = (1, 1, 3, 1, 3)
    text = describe(planned(3, 2, *shape), workload(*shape), SETUP)

    assert "worker 5: consume, 1 reader, on host 3\n" in text
    assert "latencies      end-to-end ones of messages alone that a host has sent to itself" in text
