"""A plan deals out all producers and readers, once, to no more processes than have work; and tells what a run needs."""

import re
import subprocess
import sys
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_plan import small_workload

from ombdriver.bench.load.retention import LEAST_ENTRIES, MAX_KEPT_BYTES, entry_bytes, plan_trimming
from ombdriver.bench.plan.plan import MARGIN, STREAMS_PER_READER, USUAL_READERS, Plan, memory_estimate
from ombdriver.bench.plan.planner import MAX_WORKERS, make_plan
from ombdriver.bench.report.plan import describe
from ombdriver.bench.spec.catalog import workload_path
from ombdriver.bench.spec.setup import Setup, parse_retention
from ombdriver.bench.spec.workload import Workload
from ombdriver.bench.worker import protocol, wire_format
from ombdriver.errors import InputError

GOLDEN = Path(__file__).parents[3] / "golden"
EMBEDDED, MEMORY = Setup.load("embedded"), Setup.load("memory")
RUN = "ab12cd34"


def workload(**fields: object) -> Workload:
    """A small workload with some fields replaced."""
    return small_workload(**{"warmupDuration": "5s"} | fields)


def plan(workers: int | None = None, cores: int = 2, setup: Setup = EMBEDDED, **fields: object) -> Plan:
    """The plan of such a workload."""
    return make_plan(workload(**fields), setup, RUN, workers=workers, cores=cores)


def roles(planned: Plan) -> tuple[int, int]:
    """How many workers produce, and how many consume."""
    return tuple(sum(worker.role == role for worker in planned.workers) for role in ("produce", "consume"))  # type: ignore[return-value]


def streams_read(planned: Plan) -> list[tuple[str, str, str, int]]:
    """(subscription, consumer, topic, partition) of everything that is read."""
    return [
        (reader.subscription, reader.name.split("-")[1], topic.name, partition)
        for worker in planned.workers
        for reader in worker.consumers
        for topic in reader.topics
        for partition in reader.partitions or range(topic.partitions)
    ]


@settings(deadline=None)
@given(
    topics=st.integers(1, 150),
    partitions=st.sampled_from([1, 2, 16, 64, 100]),
    groups=st.integers(0, 5),
    consumers=st.integers(0, 4),
    producers=st.integers(1, 4),
    rate=st.integers(1, 10**6),
    workers=st.one_of(st.none(), st.integers(2, 40)),
    cores=st.integers(1, 64),
)
def test_everything_is_dealt_out_once(
    topics: int, partitions: int, groups: int, consumers: int, producers: int, rate: int, workers: int, cores: int
) -> None:
    """Each producer stands in one worker, and each consumer of a group reads each partition once, whatever the load."""
    planned = plan(
        workers,
        cores,
        topics=topics,
        partitionsPerTopic=partitions,
        subscriptionsPerTopic=groups,
        consumerPerSubscription=consumers,
        producersPerTopic=producers,
        producerRate=rate,
    )

    sent = list(chain.from_iterable(worker.producers for worker in planned.workers))
    assert sorted(each.index for each in sent) == list(range(planned.producers)) == list(range(topics * producers))
    assert all(each.topic == planned.topics[each.index % topics] for each in sent)
    for worker in planned.workers:
        assert list(worker.producers) == sorted(worker.producers, key=lambda each: each.index)
        assert bool(worker.producers) == (worker.role == "produce")
        assert bool(worker.consumers) == (worker.role == "consume")
    assert [worker.index for worker in planned.workers] == list(range(len(planned.workers)))

    read = streams_read(planned)
    assert len(read) == len(set(read)) == topics * partitions * groups * consumers
    covered = max(STREAMS_PER_READER, -(-topics * partitions * groups * consumers // USUAL_READERS))
    assert all(reader.streams <= covered for worker in planned.workers for reader in worker.consumers)
    names = [(each.subscription, each.name) for worker in planned.workers for each in worker.consumers]
    assert len(names) == len(set(names)) == planned.readers
    assert len(planned.workers) <= (workers or max(2, cores))


@pytest.mark.parametrize(
    ("topics", "partitions", "groups", "consumers", "readers"),
    [
        (1, 1, 1, 1, 1),
        (1_000, 1, 1, 1, 16),
        (10_000, 1, 1, 1, 48),
        (1, 10_000, 1, 1, 48),
        (10, 1_000, 1, 1, 50),
        (10_000, 1, 3, 1, 48),
        (10_000, 1, 3, 4, 48),
        (1, 1, 1, 100, 100),
        (1, 10_000, 1, 100, 100),
        (10_000, 1, 1, 100, 100),
    ],
)
def test_connections_stay_in_the_tens(topics: int, partitions: int, groups: int, consumers: int, readers: int) -> None:
    """However many streams there are; only consumers that share topics have one each, as a read is one consumer's."""
    planned = plan(
        topics=topics, partitionsPerTopic=partitions, subscriptionsPerTopic=groups, consumerPerSubscription=consumers
    )

    assert planned.readers == readers
    assert planned.shared == (consumers > 1)


def test_on_a_cluster_a_topic_is_not_split() -> None:
    """A read there covers one partition, so its readers poll where there are many: more readers would poll as much."""
    cluster = Setup.parse("name: c\ndriver: redis-streams\nserver: {engine: valkey, topology: cluster}\n", "c")

    assert plan(setup=cluster, partitionsPerTopic=1_000).readers == 1


def test_names_tell_the_run() -> None:
    """Topics bear the run id, so that nothing of another run is ever touched; groups are counted from 1."""
    planned = plan(topics=2, partitionsPerTopic=3, subscriptionsPerTopic=2)

    assert [topic.name for topic in planned.topics] == ["ombdriver-ab12cd34-0000", "ombdriver-ab12cd34-0001"]
    assert [topic.partitions for topic in planned.topics] == [3, 3]
    assert planned.subscriptions == ("group-1", "group-2")
    assert planned.partitions == 6


@pytest.mark.parametrize(
    ("cores", "fields", "expected"),
    [
        (1, {}, (1, 1)),  # never less than one of each
        (2, {"subscriptionsPerTopic": 3}, (1, 1)),
        (8, {}, (1, 1)),  # one producer and one reader need no more
        (8, {"subscriptionsPerTopic": 3}, (1, 3)),
        (4, {"subscriptionsPerTopic": 3}, (1, 1)),
        (8, {"producersPerTopic": 8, "consumerPerSubscription": 8}, (1, 5)),  # a slow load needs one sender
        (8, {"producersPerTopic": 8, "consumerPerSubscription": 8, "producerRate": 300_000}, (3, 3)),
        (10, {"producersPerTopic": 8, "subscriptionsPerTopic": 3, "producerRate": 900_000}, (5, 3)),
        (64, {"producersPerTopic": 99, "consumerPerSubscription": 99, "producerRate": 9_000_000}, (8, 8)),
        (8, {"subscriptionsPerTopic": 0}, (1, 0)),
        (8, {"consumerPerSubscription": 0}, (1, 0)),
    ],
)
def test_the_default_number_of_workers_follows_the_cores(
    cores: int, fields: dict[str, Any], expected: tuple[int, int]
) -> None:
    """Server and parent keep a core each where there are enough; nobody is started who would have nothing to do."""
    assert roles(plan(None, cores, **fields)) == expected


@pytest.mark.parametrize(
    ("workers", "fields", "expected"),
    [
        (2, {}, (1, 1)),
        (5, {}, (1, 1)),  # there is no work for more
        (4, {"producersPerTopic": 9, "consumerPerSubscription": 9}, (2, 2)),
        (8, {"producersPerTopic": 9, "subscriptionsPerTopic": 3}, (5, 3)),
        (8, {"producersPerTopic": 9, "subscriptionsPerTopic": 3, "consumerPerSubscription": 9}, (2, 6)),
        (1, {"subscriptionsPerTopic": 0}, (1, 0)),
        (3, {"subscriptionsPerTopic": 0, "producersPerTopic": 2}, (2, 0)),
    ],
)
def test_a_given_number_of_workers_is_split_by_work(
    workers: int, fields: dict[str, Any], expected: tuple[int, int]
) -> None:
    """A delivered message weighs as much as a sent one."""
    assert roles(plan(workers, 2, **fields)) == expected


def spinning(streams: str = "", server: str = "server: {engine: valkey}") -> Setup:
    """A setup whose producing workers spin."""
    return Setup.parse(f"{{name: s, driver: redis-streams, {server}, client: {{pacing: spin}}{streams}}}", "s.yaml")


@pytest.mark.parametrize(
    ("cores", "setup", "fields", "fits"),
    [
        (2, spinning(), {"subscriptionsPerTopic": 0}, True),
        (2, spinning(), {}, False),
        (3, spinning(), {}, True),
        (2, spinning(server="server: {url: 'redis://elsewhere'}"), {}, True),
        (1, spinning(server="server: {url: 'redis://elsewhere'}"), {"subscriptionsPerTopic": 0}, False),
        (1, Setup.parse("{name: s, driver: memory, client: {pacing: spin}}", "s.yaml"), {}, False),
        (2, Setup.parse("{name: s, driver: memory, client: {pacing: spin}}", "s.yaml"), {}, True),
    ],
)
def test_spinning_is_refused_where_it_would_take_the_last_core(
    cores: int, setup: Setup, fields: dict[str, Any], fits: bool
) -> None:
    """The server that a run starts, and each process that reads, keeps one; where there are none, this process does."""
    if fits:
        workers = plan(None, cores, setup, **fields).workers
        assert [each.spins for each in workers] == [each.role != "consume" for each in workers]
    else:
        with pytest.raises(InputError, match=r"client.pacing: spin takes a core for each process that sends .* write"):
            plan(None, cores, setup, **fields)


def test_messages_are_sent_by_more_processes_before_they_are_bunched() -> None:
    """One for each 10,000 messages a second, where there are cores and producers."""
    fields = {"subscriptionsPerTopic": 0, "producersPerTopic": 9}
    for cores, rate, producing in ((16, 10_000, 1), (16, 10_001, 2), (16, 50_000, 5), (4, 50_000, 2), (2, 50_000, 1)):
        assert roles(plan(None, cores, producerRate=rate, **fields)) == (producing, 0)


@pytest.mark.parametrize("workers", [-1, 0, 1, MAX_WORKERS + 1])
def test_a_number_of_workers_that_cannot_be_is_refused(workers: int) -> None:
    """Producing and consuming never share a process."""
    with pytest.raises(InputError, match=f"--workers: {workers} is out of range: .*write 2 to 256, or leave it out"):
        plan(workers)


def test_the_loopback_is_one_process() -> None:
    """The memory driver lives within one process, which then holds everything."""
    planned = plan(None, 16, MEMORY, producersPerTopic=3, subscriptionsPerTopic=2)

    assert [worker.role for worker in planned.workers] == ["both"]
    assert (len(planned.workers[0].producers), len(planned.workers[0].consumers)) == (3, 2)
    assert plan(1, 16, MEMORY) == plan(None, 16, MEMORY)
    with pytest.raises(InputError, match="--workers: 2 is too many: this driver lives in one process"):
        plan(2, 16, MEMORY)


def test_a_plan_crosses_to_a_worker_without_yaml_and_pydantic() -> None:
    """Workers start fast: a plan is plain data, and reading it imports neither."""
    planned = plan()
    data = wire_format.encode(protocol.Job(planned, planned.workers[0], "redis-streams", {}))
    program = (
        "import sys; from ombdriver.bench.worker.wire_format import decode; "
        "plan = decode(sys.stdin.buffer.read()).plan; "
        "print(plan.run_id, sorted({'yaml', 'pydantic', 'click', 'rich'} & set(sys.modules)))"
    )

    done = subprocess.run([sys.executable, "-c", program], input=data, capture_output=True, check=True)

    assert done.stdout.decode().split() == [RUN, "[]"]


@pytest.mark.parametrize(
    ("retention", "rate", "partitions", "size", "keyed", "kept"),
    [
        ("auto", 2_000, 1, 1024, False, 120_000),  # a minute of the traffic
        ("auto", 2_000, 4, 1024, False, 30_000),  # a minute of the partition's share
        ("auto", 2_000, 4, 1024, True, 60_000),  # keys spread unevenly
        ("auto", 10, 1, 1024, False, 10_000),  # not less than this
        ("auto", 20_000, 1, 1024, False, MAX_KEPT_BYTES // entry_bytes(1024)),  # not more memory than this
        ("auto", 50_000, 1, 1024, False, 400_000),  # but never less than 8 s: a lagging group is looked at each second
        ("auto", 50, 1000, 65_536, False, LEAST_ENTRIES),  # but never less than this
        ("none", 2_000, 1, 1024, False, None),
        (5_000, 2_000, 1, 1024, False, 5_000),
    ],
)
def test_how_much_is_kept_follows_from_rate_and_size(
    retention: object, rate: int, partitions: int, size: int, keyed: bool, kept: int | None
) -> None:
    """A minute of traffic within 512 MiB, unless the setup says otherwise."""
    got = plan_trimming(parse_retention(retention), rate=rate, partitions=partitions, message_size=size, keyed=keyed)

    assert got.max_entries == kept


@pytest.mark.parametrize(
    ("client", "told"),
    [
        ("{}", "producers      1, 2,000 messages/s each\n"),
        ("{pacing: spin}", "producers      1, 2,000 messages/s each, in processes that spin\n"),
        (
            "{pacing: batched, batchInterval: 2.5ms}",
            "producers      1, 2,000 messages/s each, in batches every 2.5ms\n",
        ),
    ],
)
def test_a_plan_tells_how_messages_are_paced(client: str, told: str) -> None:
    """Where that is not by the load of the cores."""
    setup = Setup.parse(f"{{name: s, driver: redis-streams, server: {{engine: valkey}}, client: {client}}}", "s.yaml")
    load = workload(producerRate=2000)

    assert told in describe(make_plan(load, setup, RUN, workers=None, cores=4), load, setup)


def test_the_memory_of_a_run_is_what_it_keeps() -> None:
    """A short run keeps all that it sends, a long one what trimming leaves; without trimming it grows."""
    short = plan(producerRate=1000, warmupDuration="0s", testDuration="10s")
    long, longer = plan(testDuration="10h"), plan(testDuration="20h")
    kept = Setup.parse("name: k\ndriver: redis-streams\nserver: {engine: valkey}\nstreams: {retention: none}\n", "k")

    assert short.messages == 10_000
    assert 10_000 * 1024 < memory_estimate(short) < 2 * 10_000 * 1024
    assert memory_estimate(long) == memory_estimate(longer) < MARGIN * MAX_KEPT_BYTES
    assert memory_estimate(plan(setup=kept, testDuration="10h")) > 36_000_000 * 1024


@pytest.mark.parametrize(
    ("name", "setup", "cores"),
    [("1kb-3groups", EMBEDDED, 2), ("1kb-100topics", EMBEDDED, 16), ("64kb-1group", MEMORY, 4)],
)
def test_a_plan_reads_as_text(name: str, setup: Setup, cores: int) -> None:
    """`ombdriver plan` says what would run, one fact per line."""
    load = Workload.load(workload_path(name))

    text = describe(make_plan(load, setup, RUN, workers=None, cores=cores), load, setup)

    assert text == (GOLDEN / f"plan-{name}.txt").read_text()


def test_a_plan_for_the_highest_rate_is_laid_out_for_one_that_memory_allows(golden: Callable[[str, str], None]) -> None:
    """Streams can keep the least time of it; the search's own numbers are told."""
    made = workload(producerRate="max", slo="endToEndResponse.p99 < 10ms")
    small_messages, large = (plan(producerRate=0, messageSize=size) for size in (100, 1 << 20))

    golden("plan-search.txt", describe(make_plan(made, EMBEDDED, "RUNID", workers=None, cores=2), made, EMBEDDED))
    assert small_messages.rate == 50_000
    assert large.rate == 51
    assert large.search is not None
    assert large.search.start == 51
    assert large.trimming.max_entries == LEAST_ENTRIES


def test_a_plan_for_a_users_server_shows_no_password() -> None:
    """The URL is told, its password is not."""
    load, setup = workload(), EMBEDDED.with_url("redis://ann:hunter2@host:6379/0")

    text = describe(make_plan(load, setup, RUN, workers=40, cores=64), load, setup)

    assert "setup          url: driver redis-streams, the server at redis://ann:***@host:6379/0\n" in text
    assert "hunter2" not in text


def test_long_times_of_retention_are_whole_seconds() -> None:
    """Many partitions share little traffic; no power of ten is shown."""
    load = workload(partitionsPerTopic=200, producerRate=1000, testDuration="2h")

    text = describe(make_plan(load, EMBEDDED, RUN, workers=None, cores=4), load, EMBEDDED)

    assert re.search(r"^retention .* [1-9][0-9,]{2,} s of its even share", text, re.M), text
    assert "e+" not in text


def test_many_workers_are_told_in_one_line() -> None:
    """A list of forty would hide the rest."""
    load = workload(producersPerTopic=40, consumerPerSubscription=40)

    text = describe(make_plan(load, EMBEDDED, RUN, workers=40, cores=64), load, EMBEDDED)

    assert "workers        40\n               20 produce, 20 consume\n" in text


# -- a backlog that is built -------------------------------------------------------------------------------------------


def test_the_plan_tells_of_a_backlog(golden: Callable[[str, str], None]) -> None:
    """How large it is for each group, how long it takes to build, and the memory for it."""
    made = workload(consumerBacklogSizeGB=0.5, subscriptionsPerTopic=2, producerRate=10_000)

    golden("plan-backlog.txt", describe(make_plan(made, EMBEDDED, "RUNID", workers=None, cores=2), made, EMBEDDED))


def test_memory_is_estimated_for_the_backlog_and_what_comes_while_it_is_drained() -> None:
    """As much again as the backlog, or what the test brings if that is less; beside what is kept in any case."""
    setup = Setup.parse(
        "{name: s, driver: redis-streams, server: {engine: valkey}, streams: {retention: acknowledged}}", "s.yaml"
    )
    without = memory_estimate(plan(setup=setup))
    planned = plan(setup=setup, consumerBacklogSizeGB=0.1, testDuration="1h")
    more = memory_estimate(planned) - without

    assert planned.backlog is not None
    assert more == pytest.approx(MARGIN * 2 * planned.backlog.messages * entry_bytes(1024), abs=2)


@pytest.mark.parametrize(
    ("streams", "fields", "told"),
    [
        (
            "{retention: 50000}",
            {},
            "50,000 entries of a partition is kept .*; write maxlen: 104858 or more, retention: auto",
        ),
        ("{retention: {maxage: 30s}}", {}, "nothing older than 30 s is kept"),
        (
            "{}",
            {"consumerBacklogSizeGB": "0.00001"},
            "a backlog of 11 messages .*; write a larger consumerBacklogSizeGB",
        ),
    ],
)
def test_a_backlog_that_a_setup_can_not_hold_is_refused(streams: str, fields: dict[str, Any], told: str) -> None:
    """With the way out."""
    setup = Setup.parse(f"{{name: s, driver: redis-streams, server: {{engine: valkey}}, streams: {streams}}}", "s.yaml")

    with pytest.raises(InputError, match=f"small: consumerBacklogSizeGB: .*{told}"):
        plan(setup=setup, **{"consumerBacklogSizeGB": 0.1} | fields)


def test_the_memory_driver_holds_no_backlog() -> None:
    """Its producers wait for consumers."""
    with pytest.raises(InputError, match="the memory driver holds no backlog"):
        plan(setup=MEMORY, consumerBacklogSizeGB=0.1)


def test_on_a_cluster_a_consumer_of_a_backlog_has_one_partition() -> None:
    """It has a read under way for each, which a pause can't end; one is all right."""
    server = "{engine: valkey, topology: cluster}"
    cluster = Setup.parse(
        f"{{name: s, driver: redis-streams, server: {server}, streams: {{assignment: exclusive}}}}", "s.yaml"
    )
    backlog = {"consumerBacklogSizeGB": 0.1, "partitionsPerTopic": 2}

    with pytest.raises(InputError, match=r"on a cluster .*; use streams.assignment: exclusive"):
        plan(setup=cluster, **backlog)
    assert plan(setup=cluster, **backlog, consumerPerSubscription=2).backlog is not None
