"""A run decided in advance: topics, groups, and who sends and reads what in which process. Plain data, and pure.

Crosses to the workers by pickle, so it imports neither YAML nor pydantic. Knows no server, process or clock.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from ombdriver.bench.consumer_work import ConsumerWork
from ombdriver.bench.driver import TopicSpec
from ombdriver.bench.payload import PayloadSpec
from ombdriver.bench.retention_plan import NO_TRIMMING, Trimming, affordable_rate, entry_bytes, trimming_of
from ombdriver.bench.staffing import shared_out
from ombdriver.bench.thresholds import Threshold
from ombdriver.errors import InputError

if TYPE_CHECKING:
    from ombdriver.bench.setup import Setup
    from ombdriver.bench.workload import Workload

TOPIC_PREFIX = "ombdriver-"
"""Every topic of ours is called `ombdriver-<run id>-<number>`; by that, leftovers of a run can be found."""

STREAMS_PER_READER = 64
"""A reader covers up to so many streams with one read; that many cost it tens of microseconds a wake-up."""


STREAM_OVERHEAD = 5_000
"""Bytes of an empty stream with a few groups (4,800 measured with 3 groups that had read)."""
TRIM_SLACK = 100
"""Approximate trimming drops whole nodes only; a node holds up to so many entries."""

KEPT_UNACKNOWLEDGED_S = 10
"""Seconds of traffic that lie there when what was acknowledged is cut, as long as the groups keep up."""

SEARCHED_RATE = 50_000
"""Messages per second that a run is laid out for when the highest rate is to be found, if memory allows."""
SEARCH_START = 1_000
"""The first rate that a search tries."""
USUAL_PROBES = 20

Role = Literal["produce", "consume", "both"]


@dataclass(frozen=True, slots=True)
class ProducerAssignment:
    """Producer number `index` (from 0, of all producers of the run) sends to `topic`."""

    index: int
    topic: TopicSpec


@dataclass(frozen=True, slots=True)
class ConsumerAssignment:
    """A reader: member `name` of `subscription`, over `partitions` of each of `topics`; None is all of them."""

    subscription: str
    name: str
    topics: tuple[TopicSpec, ...]
    partitions: tuple[int, ...] | None = None

    @property
    def streams(self) -> int:
        """How many partitions it reads."""
        if self.partitions is not None:
            return len(self.topics) * len(self.partitions)
        return sum(topic.partitions for topic in self.topics)


@dataclass(frozen=True, slots=True)
class WorkerPlan:
    """One process. `producers` rise by index; `role` is `both` only with a driver that lives within one process."""

    index: int
    role: Role
    producers: tuple[ProducerAssignment, ...] = ()
    consumers: tuple[ConsumerAssignment, ...] = ()


@dataclass(frozen=True, slots=True)
class SearchPlan:
    """How the highest rate that is sustained is to be found.

    Attributes:
        start: the first rate that is tried, and that of the warm-up.
        probe_ns: how long a rate is tried, after it has settled.
        slo: a threshold that a rate must meet besides; None for none.
        rates: those that are tried in place of a search, rising; none for a search.
        steps: so many rates, evenly spaced up to the highest, are tried after the search; None for none.
    """

    start: int
    probe_ns: int
    slo: str | None = None
    rates: tuple[int, ...] = ()
    steps: int | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run will do.

    Attributes:
        run_id: names the run; part of every topic's name.
        workload: the workload's name.
        setup: the setup's name.
        topics: all topics.
        subscriptions: all groups: `group-1`, `group-2`, ...; each is on every topic. With plain reads there are no
            groups: each consumer is a subscription of its own.
        producers: how many producers there are in all.
        workers: the processes.
        payload: bytes and keys of the messages.
        rate: messages per second of all producers together; with a search, what the run is laid out for.
        search: how the rate is found; None when it is given.
        warmup_ns: the warm-up; 0 for none.
        test_ns: the measured time.
        sample_interval_ns: the time that one sample of a series covers.
        drain_timeout_ns: how long what is in flight at the end is waited for.
        trimming: what each partition keeps.
        max_in_flight: messages that each producer may have without a reply; None leaves it to the driver.
        consumer_work: what a consumer does with each message; None for nothing.
        plain: whether streams are read without groups, each consumer seeing all.
    """

    run_id: str
    workload: str
    setup: str
    topics: tuple[TopicSpec, ...]
    subscriptions: tuple[str, ...]
    producers: int
    workers: tuple[WorkerPlan, ...]
    payload: PayloadSpec
    rate: int
    warmup_ns: int
    test_ns: int
    sample_interval_ns: int
    drain_timeout_ns: int
    search: SearchPlan | None = None
    trimming: Trimming = NO_TRIMMING
    max_in_flight: int | None = None
    consumer_work: ConsumerWork | None = None
    plain: bool = False

    @property
    def partitions(self) -> int:
        """Partitions, that is streams, of all topics together."""
        return sum(topic.partitions for topic in self.topics)

    @property
    def lanes(self) -> int:
        """How many lanes there are: what one producer sends to one partition, numbered by `lane`."""
        return self.producers * self._partitions_per_topic

    @property
    def _partitions_per_topic(self) -> int:
        return max(topic.partitions for topic in self.topics)

    def lane(self, producer: int, partition: int) -> int:
        """The number, from 0, of the lane of `producer` to `partition` of its topic."""
        return producer * self._partitions_per_topic + partition

    def lane_end(self, lane: int) -> tuple[TopicSpec, int]:
        """The topic and the partition that a lane goes to."""
        producer, partition = divmod(lane, self._partitions_per_topic)
        return self.topics[producer % len(self.topics)], partition

    @property
    def shared(self) -> bool:
        """Whether several consumers of a subscription share a partition."""
        readers = [
            (each.subscription, topic.name, each.partitions)
            for worker in self.workers
            for each in worker.consumers
            for topic in each.topics
        ]
        return len(readers) > len(set(readers))

    @property
    def reading(self) -> tuple[str, ...]:
        """The subscriptions that somebody reads."""
        found = {each.subscription for worker in self.workers for each in worker.consumers}
        return tuple(name for name in self.subscriptions if name in found)

    @property
    def readers(self) -> int:
        """Consumers as the server sees them: blocking connections."""
        return sum(len(worker.consumers) for worker in self.workers)

    @property
    def messages(self) -> int:
        """How many messages the schedules hold together; with a search, about so many."""
        search_ns = 0 if self.search is None else USUAL_PROBES * self.search.probe_ns
        return sum(-(-duration * self.rate // 10**9) for duration in (self.warmup_ns, search_ns, self.test_ns))


def memory_estimate(plan: Plan) -> int:
    """Bytes that the server needs for a run whose groups keep up: what the streams keep at most, and the streams."""
    kept, trimming = plan.messages, plan.trimming
    if trimming.max_entries is not None:
        kept = min(kept, (trimming.max_entries + TRIM_SLACK) * plan.partitions)
    elif trimming.acknowledged:
        kept = min(kept, KEPT_UNACKNOWLEDGED_S * plan.rate + TRIM_SLACK * plan.partitions)
    return kept * entry_bytes(plan.payload.size) + plan.partitions * STREAM_OVERHEAD


def make_plan(workload: "Workload", setup: "Setup", run_id: str, *, workers: int | None, cores: int) -> Plan:
    """Decides who does what.

    Producer i sends to topic i mod topics, so that messages in turn go to topics in turn. A driver that lives within
    one process has one worker for everything.

    Args:
        workload: what to do.
        setup: where; its driver and its retention matter.
        run_id: names the run.
        workers: how many processes to use at most; None leaves it to `cores`.
        cores: of this machine.

    Raises:
        InputError: if that number of workers can't do it.
    """
    rate = workload.producer_rate
    search = None
    if workload.finds_the_maximum:
        rate = min(SEARCHED_RATE, affordable_rate(workload.message_size))
        rates = tuple(workload.probe_rates or ())
        start = rates[0] if rates else min(SEARCH_START, rate)
        search = SearchPlan(start, workload.probe_duration, workload.slo, rates, workload.probe_steps)
    topics = tuple(
        TopicSpec(f"{TOPIC_PREFIX}{run_id}-{number:04d}", workload.partitions_per_topic)
        for number in range(workload.topics)
    )
    plain = setup.streams.read == "plain"
    producers = [
        ProducerAssignment(index, topics[index % len(topics)])
        for index in range(workload.topics * workload.producers_per_topic)
    ]
    readers = _readers(topics, workload, setup)
    subscriptions = tuple(dict.fromkeys(each.subscription for each in readers)) if plain else workload.groups
    if subscriptions != workload.groups:
        _check_thresholds(workload, subscriptions)
    if setup.loopback:
        if workers not in (None, 1):
            raise InputError(f"--workers: {workers} is too many: this driver lives in one process; leave it out")
        processes: tuple[WorkerPlan, ...] = (WorkerPlan(0, "both", tuple(producers), tuple(readers)),)
    else:
        copies = len({each.subscription for each in readers})
        producing, consuming = shared_out(workers, cores, rate, copies, len(producers), len(readers))
        processes = (
            *(WorkerPlan(n, "produce", tuple(producers[n::producing])) for n in range(producing)),
            *(WorkerPlan(producing + n, "consume", (), tuple(readers[n::consuming])) for n in range(consuming)),
        )
    return Plan(
        run_id=run_id,
        workload=workload.name,
        setup=setup.name,
        topics=topics,
        subscriptions=subscriptions,
        producers=len(producers),
        workers=processes,
        payload=workload.payload,
        rate=rate,
        warmup_ns=workload.warmup_ns,
        test_ns=workload.test_ns,
        sample_interval_ns=workload.sample_interval_ns,
        drain_timeout_ns=workload.drain_timeout_ns,
        search=search,
        trimming=trimming_of(
            setup.streams.keeping,
            rate=rate,
            partitions=workload.topics * workload.partitions_per_topic,
            message_size=workload.message_size,
            keyed=workload.key_distributor != "NO_KEY",
        ),
        max_in_flight=workload.max_in_flight,
        consumer_work=workload.work,
        plain=plain,
    )


def _check_thresholds(workload: "Workload", subscriptions: tuple[str, ...]) -> None:
    for text in workload.thresholds:
        try:
            Threshold.parse(text, subscriptions)
        except ValueError as error:
            raise InputError(f"{workload.name}: thresholds: {error} (with plain reads, each consumer is one)") from None


def _readers(topics: tuple[TopicSpec, ...], workload: "Workload", setup: "Setup") -> list[ConsumerAssignment]:
    # One read can cover topics together, for a group bears the same name on all of them.
    consumers, partitions = workload.consumer_per_subscription, topics[0].partitions
    shares: list[tuple[int, ...] | None] = [None] * consumers
    if setup.streams.assignment == "exclusive" and workload.groups:
        if consumers > partitions:
            raise InputError(
                f"{workload.name}: consumerPerSubscription: {consumers} consumers can't have a partition of their own"
                f" where there are {partitions} (streams.assignment: exclusive); write {partitions} or fewer"
            )
        shares = [tuple(range(n, partitions, consumers)) for n in range(consumers)]
    return [
        ConsumerAssignment(
            _subscription(group, n, consumers) if setup.streams.read == "plain" else group,
            f"consumer-{n + 1}" + (f"-{k + 1}" if len(parts) > 1 else ""),
            part,
            share,
        )
        for group in workload.groups
        for n, share in enumerate(shares)
        for parts in [_parts(topics, partitions if share is None else len(share))]
        for k, part in enumerate(parts)
    ]


def _parts(topics: tuple[TopicSpec, ...], partitions: int) -> list[tuple[TopicSpec, ...]]:
    """The topics that one reader covers together, each with so many partitions. A topic is never split."""
    per_reader = max(1, STREAMS_PER_READER // partitions)
    return [topics[first : first + per_reader] for first in range(0, len(topics), per_reader)]


def _subscription(group: str, number: int, consumers: int) -> str:
    """What a consumer that sees everything is called as a subscription of its own."""
    return group if consumers == 1 else f"{group}.{number + 1}"
