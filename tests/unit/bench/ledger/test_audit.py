"""What is missing is looked for: against a system that holds messages in a list, by any course of events."""

import asyncio
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ombdriver.bench.drivers.api import Reference, TopicSpec
from ombdriver.bench.ledger.audit import Audit
from ombdriver.bench.ledger.ledger import Ledger
from ombdriver.bench.ledger.received import DeliveryRecorder
from ombdriver.bench.load.message import STAMP, PayloadSpec, run_number
from ombdriver.bench.load.retention import NO_TRIMMING, Trimming
from ombdriver.bench.metrics.report import SentReport
from ombdriver.bench.plan.plan import ConsumerAssignment, Plan, WorkerPlan
from ombdriver.errors import DriverError

GROUP = "group-1"
TOPIC = TopicSpec("t", 1)


def plan_of(producers: int) -> Plan:
    """One topic of one partition, one group."""
    readers = (ConsumerAssignment(GROUP, "consumer-1", (TOPIC,)),)
    return Plan(
        run_id="audited",
        workload="w",
        setup="s",
        topics=(TOPIC,),
        subscriptions=(GROUP,),
        producers=producers,
        workers=(WorkerPlan(0, "both", (), readers),),
        payload=PayloadSpec(size=200_000),  # so that a page holds five messages
        rate=1,
        warmup_ns=0,
        test_ns=1,
        sample_interval_ns=1,
        drain_timeout_ns=1,
        trimming=Trimming(max_entries=1000),
    )


class System:
    """Holds messages by whole numbers as references; `reached` is how far the group has been given them."""

    def __init__(self) -> None:
        self.references: list[int] = []
        self.payloads: dict[int, bytes] = {}
        self.reached = 0
        self.unacknowledged: set[int] = set()
        self.broken = False

    def add(self, reference: int, producer: int, sequence: int) -> None:
        """A message, behind the others."""
        self.references.append(reference)
        self.payloads[reference] = STAMP.pack(1, 1, run_number("audited"), producer, 0, 0, sequence)

    def remove(self, *references: int) -> None:
        """Messages are no longer held."""
        self.references = [each for each in self.references if each not in references]

    def reference(self, answer: object) -> int:
        """See `api.Inspector`."""
        assert isinstance(answer, int)
        return answer

    def after(self, reference: int) -> int:
        """See `api.Inspector`."""
        return reference + 1

    async def held(
        self, topic: TopicSpec, partition: int, first: Reference | None, last: Reference | None, count: int
    ) -> Sequence[tuple[int, bytes]]:
        """See `api.Inspector`."""
        if self.broken:
            raise DriverError("the system is gone")
        start = 0 if first is None else bisect_left(self.references, first)
        end = len(self.references) if last is None else bisect_right(self.references, last)
        return [(each, self.payloads[each]) for each in self.references[start:end][:count]]

    async def position(self, topic: TopicSpec, partition: int, subscription: str) -> int | None:
        """See `api.Inspector`."""
        return self.reached or None

    async def pending(
        self, topic: TopicSpec, partition: int, subscription: str, references: Sequence[Reference]
    ) -> set[int]:
        """See `api.Inspector`."""
        return self.unacknowledged & set(references)


FATES = st.sampled_from(["received", "received", "deleted", "waiting", "pending", "skipped"])


@example(  # the range of one flow reaches to the end, past the checkpoint that bounds the other
    [
        *((producer, "received") for producer in (0, 1, 2)),
        (0, "deleted"),
        (0, "deleted"),
        (1, "deleted"),
        (0, "received"),
    ],
    2,
    0,
    2,
)
@given(
    st.lists(st.tuples(st.integers(0, 2), FATES), max_size=40),
    st.integers(0, 40),
    st.integers(0, 40),
    st.integers(1, 7),
)
async def test_everything_that_is_missing_is_told_apart(
    messages: list[tuple[int, str]], trimmed: int, reached: int, every: int
) -> None:
    """Producers share a partition; messages are deleted, pending, skipped, or before the group; it is cut at last."""
    plan, system = plan_of(3), System()
    ledger = Ledger(plan.flows.count, [GROUP], exclusive=True)
    arrivals = DeliveryRecorder(plan.flows.count)
    counts = [0, 0, 0]
    checkpoints = []
    system.reached = min(reached, len(messages))
    told = []
    for reference, (producer, fate) in enumerate(messages, start=1):
        sequence = counts[producer]
        counts[producer] += 1
        if sequence % every == 0:
            checkpoints.append((producer, sequence, reference))
        system.add(reference, producer, sequence)
        if fate == "received":
            arrivals.add(np.array([producer]), np.array([sequence]), None)
        elif fate == "pending":
            system.unacknowledged.add(reference)
        told.append((reference, producer, fate))
    system.remove(*(reference for reference, _, fate in told if fate == "deleted" or reference <= trimmed))
    ends = [(producer, count, count) for producer, count in enumerate(counts)]
    ledger.add([SentReport(np.array(ends, np.int64), checkpoints=checkpoints)], [(GROUP, arrivals.take())])

    (account,) = ledger.deliveries(await Audit(plan, ledger, system).finish(60.0))

    first = min(system.references, default=10**6)
    expected = dict.fromkeys(("lost", "trimmed", "undelivered"), 0)
    for reference, producer, fate in told:
        if fate == "received":
            continue
        if reference in system.references:
            waits = reference > system.reached or fate == "pending"
            expected["undelivered" if waits else "lost"] += 1
            continue
        # Of the producers whose message is not the first one held, what was deleted right at the beginning looks cut.
        known = {each for flow, _, each in checkpoints if flow == producer} | {
            each for each, other, _ in told if other == producer and each in system.references
        }
        is_beyond = any(first <= each <= reference for each in known)
        expected["lost" if is_beyond else "trimmed"] += 1
    assert {name: getattr(account, name) for name in expected} == expected


async def test_a_gap_is_judged_by_where_the_partition_begins_when_it_shows() -> None:
    """What is cut off afterwards does not make a loss look like trimming."""
    plan, system = plan_of(1), System()
    ledger, arrivals = Ledger(plan.flows.count, [GROUP], exclusive=True), DeliveryRecorder(plan.flows.count)
    audit = Audit(plan, ledger, system)
    for sequence in range(20):
        system.add(sequence + 1, 0, sequence)
    system.remove(6)  # sequence 5
    arrivals.add(np.zeros(9, np.int64), np.array([0, 1, 2, 3, 4, 6, 7, 8, 9]), None)
    ledger.add([SentReport(np.array([[0, 20, 20]]))], [(GROUP, arrivals.take())])
    audit.check_gaps()
    audit.check_gaps()
    await audit.wait()
    system.remove(*range(1, 13))
    system.reached = 10

    (account,) = ledger.deliveries(await audit.finish(60.0))

    assert (account.lost, account.trimmed, account.undelivered) == (1, 2, 8)


@pytest.mark.parametrize(("trimming", "lost", "trimmed"), [(Trimming(max_entries=9), 0, 7), (NO_TRIMMING, 7, 0)])
@pytest.mark.parametrize("left", [(), (50,)])
async def test_what_is_gone_is_lost_where_nothing_is_trimmed(
    trimming: Trimming, lost: int, trimmed: int, left: tuple[int, ...]
) -> None:
    """Somebody has deleted it: that a partition is empty, or begins later, is no sign of trimming then."""
    plan, system = replace(plan_of(1), trimming=trimming), System()
    ledger = Ledger(plan.flows.count, [GROUP], exclusive=True)
    ledger.add([SentReport(np.array([[0, 7, 7]]))], [])
    for reference in left:
        system.add(reference, 0, 7)  # sent, and not answered yet

    (account,) = ledger.deliveries(await Audit(plan, ledger, system).finish(60.0))

    assert (account.lost, account.trimmed, account.undelivered) == (lost, trimmed, 0)


async def test_what_could_not_be_looked_at_is_not_told_as_lost() -> None:
    """The system does not answer: what is missing is undelivered, and it is said why."""
    plan, system = plan_of(1), System()
    ledger = Ledger(plan.flows.count, [GROUP], exclusive=True)
    ledger.add([SentReport(np.array([[0, 7, 7]]))], [])
    system.broken = True
    audit = Audit(plan, ledger, system)

    (account,) = ledger.deliveries(await audit.finish(60.0))

    assert (account.undelivered, account.lost, account.trimmed) == (7, 0, 0)
    assert audit.incomplete == "the system is gone"


@pytest.mark.parametrize(("came", "lost", "undelivered"), [([0, 1, 4], 2, 2), ([], 0, 7)])
async def test_without_a_look_what_was_not_overtaken_is_waiting(came: list[int], lost: int, undelivered: int) -> None:
    """A driver that can't look: what others have overtaken is lost, what comes after is still to come."""
    plan = plan_of(1)
    ledger, arrivals = Ledger(plan.flows.count, [GROUP], exclusive=True), DeliveryRecorder(plan.flows.count)
    arrivals.add(np.zeros(len(came), np.int64), np.array(came, np.int64), None)
    ledger.add([SentReport(np.array([[0, 7, 7]]))], [(GROUP, arrivals.take())])

    (account,) = ledger.deliveries(await Audit(plan, ledger, None).finish(60.0))

    assert (account.lost, account.undelivered) == (lost, undelivered)


class Silent(System):
    """Never answers."""

    async def held(self, *_: object) -> Sequence[tuple[int, bytes]]:
        """Waits for ever."""
        await asyncio.Event().wait()
        raise AssertionError


async def test_a_system_that_does_not_answer_holds_nothing_up_for_longer_than_allowed() -> None:
    """Neither a look that is under way, nor the last one."""
    plan, system = plan_of(1), Silent()
    ledger, arrivals = Ledger(plan.flows.count, [GROUP], exclusive=True), DeliveryRecorder(plan.flows.count)
    arrivals.add(np.zeros(2, np.int64), np.array([0, 5]), None)
    ledger.add([SentReport(np.array([[0, 7, 7]]))], [(GROUP, arrivals.take())])
    audit = Audit(plan, ledger, system)
    audit.check_gaps()
    audit.check_gaps()

    (account,) = ledger.deliveries(await audit.finish(0.05))

    assert (account.undelivered, account.lost) == (5, 0)
    assert audit.incomplete == "it would have taken longer than 0.05 s"
