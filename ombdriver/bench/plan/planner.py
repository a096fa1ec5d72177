"""A workload and a setup become a plan: who sends and reads what, in which process, at which rate. Pure."""

import sys
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

from ombdriver.bench.drivers.api import TopicSpec
from ombdriver.bench.faults.api import Site
from ombdriver.bench.faults.spec import FaultSpec, unsupported
from ombdriver.bench.load.poisson import PoissonArrivals
from ombdriver.bench.load.retention import KEYED_SKEW, NO_TRIMMING, Trimming, affordable_rate, plan_trimming
from ombdriver.bench.plan.backlog import BacklogPlan, plan_backlog, retention_error
from ombdriver.bench.plan.host_layout import HostLayout
from ombdriver.bench.plan.plan import (
    STREAMS_PER_READER,
    TOPIC_PREFIX,
    USUAL_READERS,
    ConsumerAssignment,
    Plan,
    ProducerAssignment,
    SearchPlan,
    WorkerPlan,
)
from ombdriver.bench.plan.swarm import counted_producers, hosts_of_readers
from ombdriver.bench.spec.setup import STREAMS_DRIVER, Setup
from ombdriver.bench.spec.thresholds import Threshold
from ombdriver.bench.spec.workload import Workload
from ombdriver.errors import InputError

SEARCHED_RATE = 50_000
"""Messages per second that a run is laid out for when the highest rate is to be found, if memory allows."""
SEARCH_START = 1_000
"""The first rate that a search tries."""
MAX_WORKERS = 256
DEFAULT_MAX_WORKERS = 16
MESSAGES_PER_PRODUCING_WORKER = 10_000
"""Messages per second that one process wakes for one by one, with more than half of its core left; a second one is not
started below that. With more it sends several together (`worker.pacing`), so where there are cores there are processes.
"""


def make_plan(
    workload: Workload,
    setup: Setup,
    run_id: str,
    *,
    workers: int | None,
    cores: int,
    layout: HostLayout | None = None,
) -> Plan:
    """Decides who does what.

    Producer i sends to topic i mod topics, so that messages in turn go to topics in turn. A driver that lives within
    one process has one worker for everything.

    Args:
        workload: what to do.
        setup: where; its driver and its retention matter.
        run_id: names the run.
        workers: how many processes to use at most; None leaves it to `cores`.
        cores: of this machine.
        layout: the hosts that the workers are on; None for this machine.

    Raises:
        InputError: if that number of workers can't do it, or workload and setup don't agree.
    """
    rate, search = _rate(workload)
    topics = _topics(workload, setup, run_id)
    producers = [
        ProducerAssignment(index, topics[index % len(topics)])
        for index in range(len(topics) * workload.producers_per_topic)
    ]
    readers = _readers(topics, workload, setup)
    plain = setup.streams.read == "plain"
    subscriptions = tuple(dict.fromkeys(each.subscription for each in readers)) if plain else workload.groups
    if subscriptions != workload.groups:
        _check_thresholds(workload, subscriptions)
    trimming = NO_TRIMMING
    if not workload.existing:
        trimming = plan_trimming(
            setup.streams.retention_policy,
            rate=rate,
            partitions=len(topics) * workload.partitions_per_topic,
            message_size=workload.message_size,
            keyed=workload.key_distributor != "NO_KEY",
        )
    return Plan(
        run_id=run_id,
        workload=workload.name,
        setup=setup.name,
        topics=topics,
        subscriptions=subscriptions,
        producers=len(producers),
        workers=_workers(setup, producers, readers, rate, workers, cores, layout),
        payload=workload.payload,
        rate=rate,
        warmup_ns=workload.warmup_ns,
        test_ns=workload.test_ns,
        sample_interval_ns=workload.sample_interval_ns,
        drain_timeout_ns=workload.drain_timeout_ns,
        search=search,
        backlog=_backlog(workload, setup, trimming, readers) if workload.backlog_bytes else None,
        trimming=trimming,
        max_in_flight=workload.max_in_flight,
        processing_time=workload.processing_time,
        plain=plain,
        profile=workload.profile,
        poisson=PoissonArrivals(workload.seed, len(producers)) if workload.arrivals == "poisson" else None,
        from_beginning=workload.existing_topics_from == "beginning",
        batch_ns=setup.client.batch_ns,
        faults=_faults(workload, setup, layout),
    )


def fault_site(setup: Setup, *, on_hosts: bool = False) -> Site:
    """What there is for faults to act on in a setup, with its workers on this machine or on several hosts."""
    in_groups = setup.driver_used == STREAMS_DRIVER and setup.streams.read == "group"
    started = setup.server is not None and setup.server.engine is not None
    return Site(
        # Those that a run starts on one of its hosts are out of the reach of what breaks servers.
        servers=setup.server.plan if setup.server is not None and started and not on_hosts else None,
        has_server=setup.server is not None,
        can_pause_workers=sys.platform == "linux",
        can_kill_workers=in_groups and not on_hosts,
        can_kill_consumers=in_groups,
        at_most_once=setup.streams.ack == "none",
        users_server=setup.server.reached if setup.server is not None and not started else "",
        on_hosts=on_hosts,
    )


def _faults(workload: Workload, setup: Setup, layout: HostLayout | None) -> tuple[FaultSpec, ...]:
    specs = workload.fault_specs
    if lacking := unsupported(specs, fault_site(setup, on_hosts=layout is not None)):
        raise InputError([f"{workload.name} x {setup.name}: {each}" for each in lacking])
    return specs


def _rate(workload: Workload) -> tuple[int, SearchPlan | None]:
    """Messages per second that the run is laid out for, and how the rate is found where it is not given."""
    if not workload.finds_the_maximum:
        profile = workload.profile
        return workload.producer_rate if profile is None else profile.peak, None
    rate = min(SEARCHED_RATE, affordable_rate(workload.message_size))
    rates = tuple(workload.probe_rates or ())
    start = rates[0] if rates else min(SEARCH_START, rate)
    return rate, SearchPlan(start, workload.probe_ns, workload.slo, rates, workload.probe_steps)


def _topics(workload: Workload, setup: Setup, run_id: str) -> tuple[TopicSpec, ...]:
    existing = workload.existing
    if existing:
        _check_existing(workload, setup)
    names = existing or [f"{TOPIC_PREFIX}{run_id}-{number:04d}" for number in range(workload.topic_count)]
    return tuple(TopicSpec(name, workload.partitions_per_topic, bool(existing)) for name in names)


def _workers(
    setup: Setup,
    producers: Sequence[ProducerAssignment],
    readers: Sequence[ConsumerAssignment],
    rate: int,
    workers: int | None,
    cores: int,
    layout: HostLayout | None,
) -> tuple[WorkerPlan, ...]:
    """The processes, each with its share of producers or of readers."""
    copies = len({each.subscription for each in readers})
    if layout is not None:
        sending, reading = layout.places(copies, len(producers), len(readers))
        if layout.placement == "swarm":
            return _swarm(producers, readers, sending, layout)
        return _dealt(producers, readers, sending, reading)
    spins = setup.client.pacing == "spin" and bool(producers)
    if setup.loopback:
        if workers not in (None, 1):
            raise InputError(f"--workers: {workers} is too many: this driver lives in one process; leave it out")
        _check_spinning(setup, 1, 0, cores)
        return (WorkerPlan(0, "both", tuple(producers), tuple(readers), spins),)
    producing, consuming = split_workers(workers, cores, rate, copies, len(producers), len(readers))
    _check_spinning(setup, producing, consuming, cores)
    return _dealt(producers, readers, [0] * producing, [0] * consuming, spins)


def _dealt(
    producers: Sequence[ProducerAssignment],
    readers: Sequence[ConsumerAssignment],
    sending: Sequence[int],
    reading: Sequence[int],
    spins: bool = False,
) -> tuple[WorkerPlan, ...]:
    """Producers and readers in turn to the processes, whose hosts are given."""
    return (
        *(
            WorkerPlan(n, "produce", tuple(producers[n :: len(sending)]), spins=spins, host=host)
            for n, host in enumerate(sending)
        ),
        *(
            WorkerPlan(len(sending) + n, "consume", (), tuple(readers[n :: len(reading)]), host=host)
            for n, host in enumerate(reading)
        ),
    )


def _swarm(
    producers: Sequence[ProducerAssignment],
    readers: Sequence[ConsumerAssignment],
    sending: Sequence[int],
    layout: HostLayout,
) -> tuple[WorkerPlan, ...]:
    """Producers in turn to the processes that send, and readers to hosts that send to them."""
    places = hosts_of_readers(producers, readers, sending, layout.hosts)
    each = max(1, layout.workers_per_host - max(Counter(sending).values()))
    workers = list(_dealt(producers, (), sending, ()))
    for host in range(layout.hosts):
        mine = [reader for reader, place in zip(readers, places, strict=True) if place == host]
        counted = counted_producers(producers, sending, host)
        for n in range(min(each, len(mine))):
            workers.append(WorkerPlan(len(workers), "consume", (), tuple(mine[n::each]), host=host, counted=counted))
    return tuple(workers)


def _check_spinning(setup: Setup, producing: int, consuming: int, cores: int) -> None:
    """Each spinning worker takes a core from whoever else is on this machine: one at least has to be left."""
    starts_server = setup.server is not None and setup.server.engine is not None
    others = max(consuming + starts_server, 1)
    if setup.client.pacing == "spin" and producing + others > cores:
        raise InputError(
            f"client.pacing: spin takes a core for each process that sends ({producing} here), and of the {cores} there"
            f" are {others} should be left for the server that is started, each process that reads, or this one; write"
            " pacing: adaptive, or run where there are more cores"
        )


def split_workers(
    workers: int | None,
    cores: int,
    rate: int,
    groups: int,
    producers: int,
    readers: int,
) -> tuple[int, int]:
    """How many processes produce, and how many consume; never more than there is work for.

    Args:
        workers: how many there may be; None leaves it to `cores`.
        cores: of this machine.
        rate: messages per second of all producers.
        groups: how many subscriptions get every message.
        producers: how many there are.
        readers: how many there are.

    Raises:
        InputError: if that number of workers can't do it.
    """
    least = 2 if readers and producers else 1
    if workers is not None and not least <= workers <= MAX_WORKERS:
        why = "producing and consuming never share a process; " if workers == 1 else ""
        raise InputError(f"--workers: {workers} is out of range: {why}write {least} to {MAX_WORKERS}, or leave it out")
    most_producing = producers
    if workers is None:
        # Two cores stay with the server and with this process, as far as there are that many.
        workers = max(least, min(cores - 2, DEFAULT_MAX_WORKERS))
        most_producing = min(most_producing, -(-rate // MESSAGES_PER_PRODUCING_WORKER))
    if not readers:
        return min(workers, most_producing), 0
    if not producers:
        return 0, min(workers, readers)
    # A delivered message costs about as much as a sent one, and each is delivered once to every group.
    producing = min(max(1, round(workers / (1 + groups))), workers - 1, most_producing)
    consuming = min(workers - producing, readers)
    return min(workers - consuming, most_producing), consuming


def _readers(topics: tuple[TopicSpec, ...], workload: Workload, setup: Setup) -> list[ConsumerAssignment]:
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
    streams = len(topics) * partitions
    whole = setup.loopback or setup.in_cluster or setup.client.consumer == "runner"
    covered = max(STREAMS_PER_READER, -(-streams * len(workload.groups) * (len(shares) or 1) // USUAL_READERS))
    return [
        ConsumerAssignment(
            _subscription(group, n, consumers) if setup.streams.read == "plain" else group,
            f"consumer-{n + 1}" + (f"-{k + 1}" if len(parts) > 1 else ""),
            *part,
        )
        for group in workload.groups
        for n, share in enumerate(shares)
        for parts in [_parts(topics, share, covered, whole=whole)]
        for k, part in enumerate(parts)
    ]


Part = tuple[tuple[TopicSpec, ...], tuple[int, ...] | None]
"""Topics, and the partitions of each of them; None is all."""


def _parts(
    topics: tuple[TopicSpec, ...], share: tuple[int, ...] | None, covered: int, *, whole: bool
) -> Sequence[Part]:
    """What each reader of one consumer covers: some topics, or a part of one.

    Args:
        topics: all that the consumer reads.
        share: its partitions of each of them; None for all.
        covered: streams of a reader.
        whole: a topic is never split: a reader has a connection for each stream in any case, or none at all; or it is
            a Runner, which reads all of a topic.
    """
    partitions = topics[0].partitions if share is None else len(share)
    if whole or partitions <= covered:
        per_reader = max(1, covered // partitions)
        return [(topics[first : first + per_reader], share) for first in range(0, len(topics), per_reader)]
    mine, readers = share or tuple(range(partitions)), -(-partitions // covered)
    # Neighbours together: messages go to partitions in turn, so that one read brings several, or each wakes a reader.
    edges = [n * partitions // readers for n in range(readers + 1)]
    return [((topic,), mine[first:end]) for topic in topics for first, end in pairwise(edges)]


def _subscription(group: str, number: int, consumers: int) -> str:
    """What a consumer that sees everything is called as a subscription of its own."""
    return group if consumers == 1 else f"{group}.{number + 1}"


def _backlog(
    workload: Workload, setup: Setup, trimming: Trimming, readers: Sequence[ConsumerAssignment]
) -> BacklogPlan:
    try:
        if setup.loopback:
            raise ValueError("the memory driver holds no backlog, since its producers wait for consumers; write 0")
        if setup.client.consumer == "runner":
            raise ValueError(
                "a Runner reads ahead, which a pause can't end; write 0, or remove client.consumer: runner from the"
                " setup"
            )
        if setup.server is not None and setup.server.in_cluster and any(each.streams > 1 for each in readers):
            raise ValueError(
                "on a cluster a consumer of several partitions has a read under way for each of them, which a pause"
                " can't end; use streams.assignment: exclusive with a consumer for each partition of one topic, or one"
                " partition"
            )
        backlog = plan_backlog(
            workload.backlog_bytes,
            workload.backlog_drain_ratio,
            rate=workload.producer_rate,
            message_size=workload.message_size,
            subscriptions=len({each.subscription for each in readers}),
        )
        error = retention_error(
            backlog,
            trimming,
            partitions=workload.topic_count * workload.partitions_per_topic,
            skew=1 if workload.key_distributor == "NO_KEY" else KEYED_SKEW,
            derived=setup.streams.retention_policy.kind == "auto",
        )
        if error is not None:
            raise ValueError(error)
        return backlog
    except ValueError as failure:
        raise InputError(f"{workload.name}: consumerBacklogSizeGB: {failure}") from None


def _check_existing(workload: Workload, setup: Setup) -> None:
    """Raises InputError if this setup is not for topics that exist."""
    if not setup.is_users_server:
        raise InputError(
            f"{workload.name}: topics that exist are on a server of yours, and the setup {setup.name} starts one of its"
            " own; give --url, or a setup with server: {url: ...}"
        )
    streams, existing, errors = setup.streams, workload.existing, []
    if streams.retention_policy.kind not in ("auto", "none"):
        errors.append("streams.retention: topics that exist are never trimmed; write none, or remove it")
    if workload.backlog_bytes:
        errors.append("consumerBacklogSizeGB: a backlog is built on new topics only; write 0")
    if streams.ack == "delete":
        errors.append("streams.ack: delete would delete what others need; write batch")
    if streams.placement == "balanced":
        errors.append("streams.placement: balanced is for new topics; write natural, or name the streams themselves")
    if workload.partitions_per_topic > 1 and (odd := [name for name in existing if set(name) & set("{}")]):
        errors.append(
            f"a topic of several partitions has no braces in its name, as {odd[0]!r} has; with partitionsPerTopic: 1"
            " the name is that of the stream"
        )
    if streams.read == "plain" and setup.driver_used != setup.driver and workload.existing_topics_from != "beginning":
        errors.append(
            "client.pipelining: redis-py reads plainly from the beginning only; write existingTopicsFrom: beginning"
        )
    if errors:
        raise InputError([f"{workload.name} x {setup.name}: {error}" for error in errors])


def _check_thresholds(workload: Workload, subscriptions: tuple[str, ...]) -> None:
    for text in workload.thresholds:
        try:
            Threshold.parse(text, subscriptions)
        except ValueError as error:
            raise InputError(f"{workload.name}: thresholds: {error} (with plain reads, each consumer is one)") from None
