"""A publisher with everything scripted around it: the clock, the pacer, and producers that do as they are told."""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field

import numpy as np

from ombdriver.bench.load.host_clock import SAME_HOST, HostClock
from ombdriver.bench.load.message import STAMP, STAMP_DTYPE, KeySource, PayloadPool, PayloadSpec
from ombdriver.bench.load.phase import Phase
from ombdriver.bench.load.profile import constant
from ombdriver.bench.load.schedule import Schedule
from ombdriver.bench.metrics.recorder import Metrics, Recorder
from ombdriver.bench.worker.pacing import EachPacing
from ombdriver.bench.worker.publisher import Publisher
from ombdriver.bench.worker.sender import Sender

RUN = 77
START = 10**9
SECOND = 10**9
MS = 10**6


class Clock:
    """A clock that stands still until it is moved, or goes on by `step_ns` whenever it is read."""

    def __init__(self) -> None:
        self.now_ns = self.step_ns = 0

    def __call__(self) -> int:
        """The time now."""
        self.now_ns += self.step_ns
        return self.now_ns


class ScriptedPacer:
    """Remembers for when it was armed."""

    def __init__(self, callback: Callable[[], None]) -> None:
        self.fire = callback
        self.at_ns: int | None = None
        self.closed = False

    def arm(self, at_ns: int) -> None:
        """See `pacer.Pacer`."""
        self.at_ns = at_ns

    def close(self) -> None:
        """See `pacer.Pacer`."""
        self.closed = True


@dataclass
class ScriptedProducer:
    """Takes what there is room for; replies come when the test says so."""

    sender: Sender
    clock: Clock
    partitions: int = 1
    limit: int = 10**9
    sent: list[tuple[int, int, bytes, bytes | None]] = field(default_factory=list)
    blocks: list[tuple[int, int]] = field(default_factory=list)
    waiters: list[Callable[[], None]] = field(default_factory=list)
    in_flight: int = 0
    most_in_flight: int = 0
    keeping: bool = False
    shared: Hashable = None
    _counts: dict[int, int] = field(default_factory=dict)

    def route(self, count: int, keys: Sequence[bytes] | None) -> Sequence[int] | None:
        """In turn, or by the first byte of the key."""
        if self.partitions == 1:
            return None
        if keys is not None:
            return [key[0] % self.partitions for key in keys]
        return [(len(self.sent) + at) % self.partitions for at in range(count)]

    def room(self) -> int:
        """What the test left of the limit."""
        return self.limit - self.in_flight

    def send(self, partition: int, payloads: Sequence[bytes], keys: Sequence[bytes] | None) -> None:
        """Notes what was sent, and when."""
        told = keys if keys is not None else [None] * len(payloads)
        self.sent += [(self.clock.now_ns, partition, payload, key) for payload, key in zip(payloads, told, strict=True)]
        self.blocks.append((partition, len(payloads)))
        self.in_flight += len(payloads)
        self.most_in_flight = max(self.most_in_flight, self.in_flight)

    def when_room(self, callback: Callable[[], None]) -> None:
        """Remembers who waits."""
        self.waiters.append(callback)

    def shared_room(self) -> Hashable:
        """Its own, or what the test says."""
        return self.shared or id(self)

    def keep_everything(self, keep: bool) -> None:
        """Notes what was asked last."""
        self.keeping = keep

    async def aclose(self) -> None:
        """Nothing to end."""

    def reply(self, count: int, error: Exception | None = None) -> None:
        """Answers the next `count` messages, however their blocks were cut."""
        while count:
            partition, size = self.blocks[0]
            taken = min(size, count)
            first = self._counts.get(partition, 0)
            self._counts[partition] = first + taken
            self.in_flight -= taken
            self.blocks[0] = (partition, size - taken)
            if taken == size:
                self.blocks.pop(0)
            count -= taken
            self.sender.on_replies(partition, first, taken, error, self.clock.now_ns, None)

    def wake(self) -> None:
        """Tells who waits that it is worth looking again."""
        woken, self.waiters = self.waiters, []
        for callback in woken:
            callback()

    @property
    def stamps(self) -> np.ndarray:
        """What the messages say of themselves, in the order in which they were sent."""
        return np.frombuffer(b"".join(payload[: STAMP.size] for _, _, payload, _ in self.sent), STAMP_DTYPE)


class Bench:
    """A publisher with everything scripted around it; `producers` of `total` are its own, by `mine`."""

    def __init__(
        self,
        mine: Sequence[int] = (0,),
        total: int = 1,
        partitions: int = 1,
        limit: int = 10**9,
        spec: PayloadSpec | None = None,
        clock: Clock | None = None,
        max_in_flight: int | None = None,
        batch_ns: int = 0,
        host_clock: HostClock = SAME_HOST,
    ) -> None:
        spec = spec or PayloadSpec(size=STAMP.size + 8)
        self.clock = clock or Clock()
        self.recorder = Recorder(SECOND)
        senders = [
            Sender(
                index,
                range(index * partitions, (index + 1) * partitions),
                KeySource.make(spec, index),
                max_in_flight,
            )
            for index in mine
        ]
        self.handles = [ScriptedProducer(sender, self.clock, partitions, limit) for sender in senders]
        for sender, handle in zip(senders, self.handles, strict=True):
            sender.handle = handle
        self.pacers: list[ScriptedPacer] = []
        self.held_up_ns = 0
        pool = PayloadPool(spec)
        self.publisher = Publisher(
            RUN,
            senders,
            total,
            pool,
            self.recorder,
            self.clock,
            self._make_pacer,
            EachPacing(),
            lambda: self.held_up_ns,
            batch_ns,
            host_clock,
        )

    def _make_pacer(self, callback: Callable[[], None]) -> ScriptedPacer:
        self.pacers.append(ScriptedPacer(callback))
        return self.pacers[-1]

    @property
    def handle(self) -> ScriptedProducer:
        """The first producer."""
        return self.handles[0]

    @property
    def pacer(self) -> ScriptedPacer:
        """The publisher's pacer."""
        return self.pacers[0]

    def begin(self, rate: int, duration_ns: int, index: int = 0, start_ns: int = START) -> Schedule:
        """Starts a phase."""
        phase = Phase(index, "measure", start_ns, duration_ns, rate)
        self.recorder.begin_phase(phase)
        self.publisher.begin_phase(phase)
        return Schedule(start_ns, constant(rate, duration_ns))

    def tick(self, now_ns: int) -> None:
        """Time goes on to `now_ns`, and the pacer fires."""
        self.clock.now_ns = now_ns
        self.pacer.fire()

    def figures(self) -> Metrics:
        """What has been recorded."""
        self.publisher.flush()
        return self.recorder.take()


def total(figures: Metrics, family: str) -> int:
    """How many samples of a family there are."""
    return sum(histogram.count for (_, name, _, _), histogram in figures.histograms.items() if name == family)


def greatest(figures: Metrics, family: str) -> int:
    """The greatest sample of a family."""
    return max(histogram.max_ns for (_, name, _, _), histogram in figures.histograms.items() if name == family)


def events(figures: Metrics, kind: str) -> int:
    """How many events of a kind there are."""
    return sum(count for (_, name, _, _), count in figures.counts.items() if name == kind)
