"""`Receiver` with a consumer that hands over what the test gives it."""

import asyncio
import itertools
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ombdriver.bench.drivers.api import Batch, OnAcknowledged
from ombdriver.bench.load.flow import Flows
from ombdriver.bench.load.host_clock import SAME_HOST, HostClock
from ombdriver.bench.load.message import STAMP, with_checksum
from ombdriver.bench.load.phase import Phase
from ombdriver.bench.load.processing_time import ProcessingTime
from ombdriver.bench.metrics.histogram import Histogram
from ombdriver.bench.metrics.recorder import OF_OTHER_HOSTS, Metrics, Recorder
from ombdriver.bench.worker.consumer import FLUSH_AT, Consumers, Receiver, SimulatedProcessing
from ombdriver.bench.worker.publisher import PROBE_SEQUENCE
from ombdriver.errors import DriverError

RUN = 7
FLOWS = Flows(RUN, producers=8, partitions=8)
SECOND = 10**9
START = 10 * SECOND


class ScriptedConsumer:
    """Hands over batches, empty reads (None) and errors in turn; after the last of them the receiver stops."""

    def __init__(self, reader: Receiver, script: Sequence[Batch | Exception | None]) -> None:
        self._reader, self._script = reader, list(script)
        self.acknowledged: list[Batch] = []

    async def receive(self) -> Batch | None:
        """The next thing of the script."""
        given = self._script.pop(0)
        if not self._script:
            self._reader.stop()
        if isinstance(given, Exception):
            raise given
        return given

    def acknowledge(self, batch: Batch, done: OnAcknowledged) -> None:
        """Notes what was acknowledged; that is confirmed 3 ns after the batch arrived."""
        self.acknowledged.append(batch)
        done(batch.arrival_ns + 3)

    async def aclose(self) -> None:
        """Nothing to end."""


def message(intended: int, sent: int, run: int = RUN, producer: int = 0, sequence: int = 0) -> bytes:
    """A message with its stamp; times from the start of the phase."""
    return STAMP.pack(START + intended, START + sent, run, producer, 0, 0, sequence) + b"body"


def probe(producer: int, partition: int) -> bytes:
    """A probe of this run."""
    return STAMP.pack(0, 5, RUN, producer, partition, 0, PROBE_SEQUENCE)


def batch(arrived: int, *payloads: bytes) -> Batch:
    """A batch that arrived so long after the start of the phase."""
    return Batch(list(payloads), START + arrived, object())


async def consumed(
    *script: Batch | Exception | None,
    flows: Flows = FLOWS,
    shared_topics: bool = False,
    host_clock: HostClock = SAME_HOST,
    counted: Sequence[int] | None = None,
) -> tuple[Receiver, ScriptedConsumer, Metrics]:
    """What a receiver makes of the script."""
    recorder = Recorder(SECOND)
    recorder.begin_phase(Phase(0, "measure", START, 10 * SECOND, 1000))
    reader = Receiver(flows, "group-1", recorder, shared_topics=shared_topics, host_clock=host_clock, counted=counted)
    consumer = ScriptedConsumer(reader, script)
    await reader.run(consumer)
    reader.flush()
    return reader, consumer, recorder.take()


async def test_latencies_are_from_both_send_times_to_the_arrival_of_the_batch() -> None:
    """End-to-end from the actual send, response from the intended one; counts go by arrival."""
    reader, _, figures = await consumed(batch(1_000, message(0, 100), message(200, 300)), batch(SECOND, message(5, 9)))

    service, response = (figures.histograms[0, name, "group-1", 0] for name in ("endToEnd", "endToEndResponse"))
    assert service.sum_ns == 900 + 700 + SECOND - 9
    assert response.sum_ns == 1_000 + 800 + SECOND - 5
    assert figures.counts == {(0, "received", "group-1", 0): 2, (0, "received", "group-1", 1): 1}
    assert (reader.received, reader.foreign) == (3, 0)
    assert repr(reader) == "<Receiver group-1: 3 received>"


@given(st.sets(st.integers(0, 7)), st.lists(st.tuples(st.integers(0, 7), st.integers(0, 2)), max_size=50))
def test_of_producers_that_are_not_counted_nothing_is_told_but_that_it_came(
    counted: set[int], messages: list[tuple[int, int]]
) -> None:
    """By the interval in which it was intended; rates and the ledger have all of it."""
    numbers = itertools.count()
    sent = [message(s * SECOND, s * SECOND, producer=p, sequence=next(numbers)) for p, s in messages]
    reader, _, figures = asyncio.run(consumed(batch(3 * SECOND, *sent), counted=sorted(counted)))

    for at in range(3):
        here = sum(producer in counted for producer, second in messages if second == at)
        elsewhere = sum(producer not in counted for producer, second in messages if second == at)
        found = figures.histograms.get((0, "endToEnd", "group-1", at), Histogram.zero())
        assert (found.count, found.sum_ns) == (here, here * (3 - at) * SECOND)
        assert figures.counts.get((0, OF_OTHER_HOSTS, "group-1", at), 0) == elsewhere
    assert figures.counts.get((0, "received", "group-1", 3), 0) == reader.received == len(messages)
    assert reader.deliveries.take().ranges[:, 2].sum() == len(messages)


@pytest.mark.parametrize("offset_ns", [3 * 86_400 * SECOND, -3 * 86_400 * SECOND])
async def test_stamps_of_the_run_are_translated_to_the_clock_of_the_host(offset_ns: int) -> None:
    """A host whose clock is days off records what the host that commands would; a negative latency stays one."""
    here = batch(1_000, message(0, 100), message(200, 1_300), probe(0, 3))
    there = batch(1_000, message(offset_ns, offset_ns + 100), message(offset_ns + 200, offset_ns + 1_300), probe(0, 3))

    reader, _, figures = await consumed(there, host_clock=HostClock(offset_ns))
    _, _, expected = await consumed(here)

    assert reader.take_probes() == {(0, 3)}
    assert figures.counts == expected.counts == {(0, "received", "group-1", 0): 2}
    for key in ((0, name, "group-1", 0) for name in ("endToEnd", "endToEndResponse")):
        found, wanted = figures.histograms[key], expected.histograms[key]
        assert (found.sum_ns, found.count, found.negative) == (wanted.sum_ns, wanted.count, wanted.negative)
    assert figures.histograms[0, "endToEnd", "group-1", 0].negative == 1


class Work(SimulatedProcessing):
    """Takes 2 ms a message, of a clock of its own; recorded is what there is whenever a worker is asked."""

    def __init__(self, recorder: Recorder) -> None:
        self.at_ns = START
        super().__init__(ProcessingTime.parse("2ms"), (0,), lambda: self.at_ns)
        self.seen: list[int] = []
        self._recorder, self.reader = recorder, Receiver(FLOWS, "group-1", recorder, self)
        self.found = Metrics()

    async def process(self, messages: int, _stopping: Callable[[], bool]) -> None:
        """Time passes, and the worker is asked."""
        self.at_ns += messages * self.mean_ns
        self.reader.flush()
        self.found += self._recorder.take()
        self.seen.append(self.reader.received)


async def test_a_message_that_waits_for_others_of_its_batch_comes_when_it_is_its_turn() -> None:
    """So a slow consumer's rate is told as it is, and its latencies contain the wait; however large its reads are."""
    recorder = Recorder(SECOND)
    recorder.begin_phase(Phase(0, "measure", START, 10 * SECOND, 1000))
    work = Work(recorder)
    sent = [message(0, 0, sequence=number) for number in range(1500)]
    large = Batch(sent, START, object(), again=[3, 700])
    others = batch(1_000, b"no stamp")
    consumer = ScriptedConsumer(work.reader, [large, others, None])

    await work.reader.run(consumer)

    response = work.found.histograms[0, "endToEndResponse", "group-1", 0]
    assert [work.found.counts[0, "received", "group-1", second] for second in range(3)] == [499, 499, 500]
    assert work.reader.received == 1498
    assert (response.count, response.percentiles([100.0])[0]) == (1498, pytest.approx(1499 * 2_000_000, rel=0.002))
    assert np.diff(work.seen).max() <= 25
    assert consumer.acknowledged == [large, others]
    assert work.reader.deliveries.take().redelivered[:, 1:].tolist() == [[3, 1], [700, 1]]


async def test_what_waits_for_its_turn_when_a_consumer_stops_has_been_delivered() -> None:
    """It is received at that moment, so none of it is missing in the account."""
    recorder = Recorder(SECOND)
    recorder.begin_phase(Phase(0, "measure", START, 10 * SECOND, 1000))
    reader = Receiver(FLOWS, "group-1", recorder, SimulatedProcessing(ProcessingTime.parse("60s"), (0,)))
    sent = [message(0, 0, sequence=number) for number in range(100)]
    consumer = ScriptedConsumer(reader, [batch(1_000, *sent), None])
    reading = asyncio.create_task(reader.run(consumer))
    await asyncio.sleep(0)
    assert reader.received == 1

    reader.stop()
    reader.flush()

    assert reader.received == 100
    assert reader.deliveries.take().ranges[:, 1:].tolist() == [[0, 100]]
    await reading


async def test_messages_of_others_are_counted_by_the_time_at_which_they_came() -> None:
    """On shared topics they are not counted as foreign; without a stamp there is nothing else to know of them."""
    script = batch(1_000, message(0, 100), b"short", message(0, 0, run=RUN + 1)), batch(SECOND, b"x" * 100)

    reader, consumer, figures = await consumed(*script, shared_topics=True)

    assert figures.counts == {
        (0, "received", "group-1", 0): 1,
        (0, "foreign", "group-1", 0): 2,
        (0, "foreign", "group-1", 1): 1,
    }
    assert (reader.received, reader.foreign) == (1, 0)
    assert figures.histograms[0, "endToEnd", "group-1", 0].count == 1
    assert len(consumer.acknowledged) == 2


async def test_where_the_run_sends_nothing_what_others_sent_is_what_is_received() -> None:
    """So the rate of a run that only reads is that of everything that came."""
    flows = Flows(RUN, producers=0, partitions=1)

    reader, _, figures = await consumed(batch(1_000, b"a" * 100, b"b"), flows=flows, shared_topics=True)

    assert figures.counts == {(0, "foreign", "group-1", 0): 2, (0, "received", "group-1", 0): 2}
    assert (reader.received, len(figures.histograms)) == (0, 1)  # that of acknowledgements


async def test_latencies_far_below_a_millisecond_are_kept() -> None:
    """None is dropped or rounded to milliseconds, not even one of 0 or of a few nanoseconds."""
    _, _, figures = await consumed(batch(100, message(0, 100), message(50, 97)))

    assert figures.histograms[0, "endToEnd", "group-1", 0].index.tolist() == [0, 3]


async def test_every_batch_is_acknowledged_once_and_an_empty_read_is_none() -> None:
    """What was handed over is acknowledged whole, foreign messages too: they are read, after all."""
    batches = [batch(1, message(0, 0)), batch(2, b"tiny"), batch(3, message(0, 0, run=RUN + 1))]

    _, consumer, _ = await consumed(None, *batches, None)

    assert consumer.acknowledged == batches


async def test_messages_of_others_are_counted_and_not_measured() -> None:
    """Too short for a stamp, or of another run: foreign, and no sample."""
    reader, _, figures = await consumed(
        batch(50, b"", b"tiny", message(0, 10)), batch(60, message(0, 10, run=RUN + 1), message(0, 20)), batch(70, b"x")
    )

    assert reader.foreign == 4
    assert figures.histograms[0, "endToEnd", "group-1", 0].count == 2
    assert figures.counts == {(0, "received", "group-1", 0): 2}
    assert reader.received == 2


async def test_probes_are_told_and_not_measured() -> None:
    """A probe says from which producer and partition it came, and is in no figure of the phase."""
    reader, _, figures = await consumed(batch(5, probe(1, 0), probe(1, 3)), batch(9, message(0, 1), probe(2, 0)))

    assert reader.take_probes() == {(1, 0), (1, 3), (2, 0)}
    assert reader.take_probes() == set(), "each is told once"
    assert figures.histograms[0, "endToEnd", "group-1", 0].count == 1
    assert reader.received == 4


async def test_thousands_are_recorded_without_being_asked() -> None:
    """Stamps kept in memory stay few, however many messages come between two polls."""
    recorder = Recorder(SECOND)
    recorder.begin_phase(Phase(0, "measure", START, SECOND, 1000))
    reader = Receiver(FLOWS, "group-1", recorder)
    many = batch(5, *[message(0, 1)] * FLUSH_AT)

    await reader.run(ScriptedConsumer(reader, [many]))

    assert recorder.take().histograms[0, "endToEnd", "group-1", 0].count == FLUSH_AT


async def test_a_merged_histogram_of_all_batches_is_that_of_all_messages() -> None:
    """Nothing depends on how messages were cut into batches."""
    times = np.random.default_rng(5).integers(0, 10**8, 3_000)
    messages = [message(0, int(sent)) for sent in times]
    cuts = [0, 1, 7, 500, 2_999, 3_000]
    parts = [batch(2 * 10**8, *messages[a:b]) for a, b in itertools.pairwise(cuts)]

    _, _, figures = await consumed(*parts)

    expected = Histogram.of(2 * 10**8 - times)
    found = figures.histograms[0, "endToEnd", "group-1", 0]
    assert (found.index.tolist(), found.counts.tolist()) == (expected.index.tolist(), expected.counts.tolist())


async def test_a_consumer_that_can_no_longer_read_is_told() -> None:
    """Its error reaches the worker; to stop in order or to be cancelled is no failure."""
    recorder = Recorder(SECOND)
    told: list[BaseException] = []
    failing, stopping, waiting = (Receiver(FLOWS, "g", recorder) for _ in range(3))
    error = DriverError("gone")
    consumers = Consumers(told.append)
    consumers.add(ScriptedConsumer(failing, [error, None]), failing)
    consumers.add(ScriptedConsumer(stopping, [None]), stopping)
    consumers.add(ScriptedConsumer(waiting, [None, batch(1)]), waiting)
    waiting.pause()

    consumers.start()
    while not (told and waiting.paused):  # noqa: ASYNC110 - a few turns of the loop
        await asyncio.sleep(0)
    await consumers.aclose()

    assert told == [error]


async def test_the_ledger_is_told_which_sequences_came() -> None:
    """Ranges by flow; entries that are not new are kept apart, and foreign messages leave no trace."""
    first = batch(5, *(message(0, 1, producer=2, sequence=n) for n in range(10)), b"tiny", probe(1, 0))
    second = batch(9, b"tiny", *(message(0, 1, producer=2, sequence=n) for n in (8, 9, 10)))
    second.again = (1, 2)

    reader, _, _ = await consumed(first, second)

    told = reader.deliveries.take()
    flow = 2 * FLOWS.partitions
    assert told.ranges.tolist() == [[flow, 0, 11]]
    assert told.redelivered.tolist() == [[flow, 8, 2]]
    assert (told.out_of_order, told.corrupt) == (2, 0)


async def test_a_stamp_that_can_t_be_ours_is_foreign() -> None:
    """A producer, partition or sequence beyond what the run has is not taken for a message of it."""
    alien = STAMP.pack(START, START, RUN, 0, FLOWS.partitions, 0, 0)

    reader, _, figures = await consumed(
        batch(5, message(0, 1, producer=FLOWS.producers), alien, message(0, 1, sequence=2**60), message(0, 1))
    )

    assert (reader.foreign, reader.received) == (3, 1)
    assert figures.histograms[0, "endToEnd", "group-1", 0].count == 1


async def test_messages_with_a_wrong_checksum_are_corrupt() -> None:
    """They have arrived all the same; a message of another run is none of ours."""
    recorder = Recorder(SECOND)
    reader = Receiver(FLOWS, "group-1", recorder, checksums=True)
    good = with_checksum(message(0, 1))
    broken = good[:-1] + b"?"
    consumer = ScriptedConsumer(reader, [batch(5, good, broken, message(0, 1, run=RUN + 1), b"tiny")])

    await reader.run(consumer)

    assert reader.deliveries.take().corrupt == 1
    assert reader.received == 3


async def test_empty_reads_are_counted_until_something_comes() -> None:
    """So that a drain knows that nothing more is to be expected."""
    waiting, _, _ = await consumed(None, batch(1, message(0, 0)), None, None, None)
    busy, _, _ = await consumed(None, None, batch(1, message(0, 0)))

    assert (waiting.empty_reads, busy.empty_reads) == (3, 0)


async def test_the_time_to_the_confirmed_acknowledgement_counts_for_each_message() -> None:
    """By the time of arrival, over all groups together."""
    _, _, figures = await consumed(batch(5, message(0, 1), message(0, 2)), batch(9, message(0, 1)))

    histogram = figures.histograms[0, "consumerAck", None, 0]
    assert (histogram.count, histogram.min_ns, histogram.max_ns) == (3, 3, 3)


async def test_the_same_entry_once_more_is_no_delivery() -> None:
    """It is in no latency, rate or count of messages, or it would stand for one that was lost; the ledger knows it."""
    second = batch(9, *(message(0, 1, sequence=n) for n in (0, 1, 2)))
    second.again = (0, 1)

    reader, consumer, figures = await consumed(batch(5, message(0, 1), message(0, 1, sequence=1)), second)

    assert reader.received == 3
    assert figures.histograms[0, "endToEnd", "group-1", 0].count == 3
    assert figures.histograms[0, "endToEndResponse", "group-1", 0].count == 3
    assert figures.counts == {(0, "received", "group-1", 0): 3}
    assert reader.deliveries.take().redelivered[:, 2].sum() == 2
    assert len(consumer.acknowledged) == 2


# -- a pause -----------------------------------------------------------------------------------------------------------


class PausedConsumer(ScriptedConsumer):
    """Pauses the receiver when it is first asked, and counts how often it is asked."""

    reads = 0

    async def receive(self) -> Batch | None:
        """The next thing of the script."""
        self.reads += 1
        if self.reads == 1:
            self._reader.pause()
        return await super().receive()


async def test_a_pause_begins_when_nothing_is_left_to_read() -> None:
    """What was read by then, be it after the command, is recorded and acknowledged; after the resume it goes on."""
    recorder = Recorder(SECOND)
    recorder.begin_phase(Phase(0, "measure", START, 10 * SECOND, 1000))
    reader = Receiver(FLOWS, "group-1", recorder)
    some = [batch(at, message(at, at, sequence=at)) for at in range(3)]
    consumer = PausedConsumer(reader, [some[0], some[1], None, some[2]])
    consuming = asyncio.create_task(reader.run(consumer))
    while not reader.paused:  # noqa: ASYNC110 - a few turns of the loop
        await asyncio.sleep(0)

    assert (consumer.reads, reader.received, consumer.acknowledged) == (3, 2, some[:2])
    reader.resume()
    await consuming
    assert (reader.received, consumer.acknowledged, reader.paused) == (3, some, False)


async def test_a_paused_receiver_stops_at_once() -> None:
    """Nothing has to come for that."""
    reader = Receiver(FLOWS, "group-1", Recorder(SECOND))
    consumer = PausedConsumer(reader, [None, batch(0, message(0, 0))])
    consuming = asyncio.create_task(reader.run(consumer))
    while not reader.paused:  # noqa: ASYNC110 - a few turns of the loop
        await asyncio.sleep(0)

    reader.stop()
    await consuming
    assert consumer.reads == 1
