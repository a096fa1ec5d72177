"""A run decided in advance: topics, groups, and who sends and reads what in which process. Plain data, and pure.

Crosses to the workers, so it imports neither YAML nor pydantic. Knows no server, process or clock.
"""

from dataclasses import dataclass, replace
from typing import Literal

from ombdriver.bench.drivers.api import TopicSpec
from ombdriver.bench.faults.spec import FaultSpec
from ombdriver.bench.load.flow import Flows
from ombdriver.bench.load.message import PayloadSpec, run_number
from ombdriver.bench.load.poisson import PoissonArrivals
from ombdriver.bench.load.processing_time import ProcessingTime
from ombdriver.bench.load.profile import Profile
from ombdriver.bench.load.retention import NO_TRIMMING, Trimming, entry_bytes
from ombdriver.bench.plan.backlog import BacklogPlan

TOPIC_PREFIX = "ombdriver-"
"""Every topic of ours is called `ombdriver-<run id>-<number>`; by that, leftovers of a run can be found."""

STREAMS_PER_READER = 64
"""Streams that a reader covers with one read; that many cost it tens of microseconds a wake-up."""
USUAL_READERS = 48
"""Where the streams of all consumers would take more readers than that, each covers more of them: connections stay in
the tens. 200 streams cost some 130 µs a wake-up, 1,000 some 400 µs."""

STREAM_OVERHEAD = 5_000
"""Bytes of an empty stream with a few groups (4,800 measured with 3 groups that had read)."""
TRIM_SLACK = 100
"""Entries of a node of a stream; approximate trimming drops whole nodes only."""

KEPT_UNACKNOWLEDGED_S = 10
"""Seconds of traffic that lie there when what was acknowledged is cut, as long as the groups keep up."""

MARGIN = 1.2
"""Of what entries and streams take: a server has fragmentation and buffers besides."""

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
    """One process. `producers` rise by index; `role` is `both` only with a driver that lives within one process.

    One that `spins` never sleeps while it sends (`pacing: spin`). `host`: where it is, of the run's hosts from 0 on.
    `counted`: the producers whose messages have end-to-end latencies here; None for all (`plan.swarm`).
    """

    index: int
    role: Role
    producers: tuple[ProducerAssignment, ...] = ()
    consumers: tuple[ConsumerAssignment, ...] = ()
    spins: bool = False
    host: int = 0
    counted: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class SearchPlan:
    """How the highest rate that is sustained is to be found.

    Attributes:
        start: the first rate that is tried, and that of the warm-up.
        probe_ns: how long a rate is tried, after it has settled.
        slo: a threshold that a rate must meet besides; None for none.
        rates: those that are tried in place of a search, rising; none for a search.
        steps: how many rates, evenly spaced up to the highest, are tried after the search; None for none.
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
        rate: messages per second of all producers together; with a search, what the run is laid out for; with a
            profile, the highest of it.
        search: how the rate is found; None when it is given.
        backlog: what is built before the measurement, and drained in it; None for nothing.
        warmup_ns: the warm-up; 0 for none.
        test_ns: the measured time.
        sample_interval_ns: the time that one sample of a series covers.
        drain_timeout_ns: how long what is in flight at the end is waited for.
        trimming: what each partition keeps.
        max_in_flight: messages that each producer may have without a reply; None leaves it to the driver.
        processing_time: how long a consumer is at work on each message; None for no time.
        plain: whether streams are read without groups, each consumer seeing all.
        profile: how the rate changes over the measured time; None when it does not.
        poisson: that arrivals are random; None when messages are evenly spaced.
        from_beginning: existing topics are read from their beginning, and not from where they end now.
        batch_ns: producers send in batches that are so far apart; 0 for messages that are due one by one.
        faults: what is broken in the measured time.
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
    backlog: BacklogPlan | None = None
    trimming: Trimming = NO_TRIMMING
    max_in_flight: int | None = None
    processing_time: ProcessingTime | None = None
    plain: bool = False
    profile: Profile | None = None
    poisson: PoissonArrivals | None = None
    from_beginning: bool = False
    batch_ns: int = 0
    faults: tuple[FaultSpec, ...] = ()

    def for_a_worker(self) -> "Plan":
        """What each worker has to know of it: not who else does what, and of the topics, which are alike, the first.

        With a thousand hosts the rest is some 100 kB for each of their workers.
        """
        return replace(self, workers=(), topics=self.topics[:1])

    @property
    def existing(self) -> bool:
        """Whether the topics are somebody else's: nothing is probed, trimmed or deleted there."""
        return self.topics[0].existing

    @property
    def partitions(self) -> int:
        """Partitions, that is streams, of all topics together."""
        return sum(topic.partitions for topic in self.topics)

    @property
    def flows(self) -> Flows:
        """What each producer sends to each partition of its topic."""
        return Flows(run_number(self.run_id), self.producers, self.topics[0].partitions)  # all topics have as many

    def partition_of(self, flow: int) -> tuple[TopicSpec, int]:
        """The topic and the partition that a flow goes to."""
        producer, partition = self.flows.ends(flow)
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
    def warmup_rate(self) -> int:
        """Messages per second of the warm-up: those that a search or a profile begins with.

        A profile that begins with nothing is warmed up for at its mean rate.
        """
        if self.search is not None:
            return self.search.start
        return self.rate if self.profile is None else self.profile.stretches[0].first or self.profile.usual_rate

    @property
    def measured_messages(self) -> int:
        """How many messages the measured time holds; with random arrivals, on average."""
        return -(-self.test_ns * self.rate // 10**9) if self.profile is None else self.profile.total

    @property
    def build_ns(self) -> int:
        """How long a backlog is built before the measurement."""
        return 0 if self.backlog is None else self.backlog.build_ns

    @property
    def messages(self) -> int:
        """How many messages the schedules hold together; with a search or random arrivals, about."""
        search_ns = 0 if self.search is None else USUAL_PROBES * self.search.probe_ns
        warmup_rate = self.rate if self.search is not None else self.warmup_rate
        before = ((self.warmup_ns, warmup_rate), (search_ns + self.build_ns, self.rate))
        return sum(-(-duration * rate // 10**9) for duration, rate in before) + self.measured_messages


def memory_estimate(plan: Plan) -> int:
    """Bytes that the server needs for a run whose groups keep up, but for a backlog that is built.

    The one figure of it: `ombdriver plan` prints it, a server without room for it is refused, and a run that a server
    has no memory for is told with it.

    That is what the streams keep at most, and the streams; and with a backlog all of it, with as much again at most
    that comes in while it is drained: by consumers that are less than twice as fast as producers more would come.
    """
    kept, trimming = plan.messages, plan.trimming
    if trimming.max_entries is not None:
        kept = min(kept, (trimming.max_entries + TRIM_SLACK) * plan.partitions)
    elif trimming.acknowledged:
        kept = min(kept, KEPT_UNACKNOWLEDGED_S * plan.rate + TRIM_SLACK * plan.partitions)
    if plan.backlog is not None:
        fresh = min(plan.backlog.messages, -(-plan.test_ns * plan.rate // 10**9))
        kept = min(plan.messages, kept + plan.backlog.messages + fresh)
    return int(MARGIN * (kept * entry_bytes(plan.payload.size) + plan.partitions * STREAM_OVERHEAD))
