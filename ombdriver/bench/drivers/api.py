"""The seam between the harness and a messaging system, in the shape of OMB's driver API, by block.

Knows no plan, rate, histogram or server; never imports a driver at top level. A driver receives bytes.
Nothing per message is a task or a future: a producer takes many payloads at once and reports replies by block, a
consumer hands over whole batches with one arrival time.
"""

from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Any, Protocol

from ombdriver.bench.drivers.sample import ServerMemory, ServerSample, TopicPartition
from ombdriver.errors import InputError

ENTRY_POINT_GROUP = "ombdriver.drivers"
"""Third parties register a `DriverFactory` under this entry-point group; its name is the driver's name."""

OnReplies = Callable[[int, int, int, Exception | None, int, Any], None]
"""`on_replies(partition, first, count, error, time_ns, answer)`: replies of `count` messages of a partition arrived.

`first` is the index, from 0, of the first of them among all that this producer sent to that partition (in the order
sent); `error` is None when all of them were acknowledged, else the one error that all of them met; `time_ns` is when
the replies were read (`time.monotonic_ns()`); `answer` is what the system said to the last of them, from which
`Inspector.reference` can tell where that message is kept, or None; plain data, since it goes to another process.

An error that leaves open whether the system took the message is an `errors.OutcomeUnknown`; so is one that says that it
did, but not as safely as was asked (`errors.UnderReplicated`).
"""


OnAcknowledged = Callable[[int], None]
"""`done(time_ns)`: an acknowledgement was confirmed; `time_ns` is when that was read (`time.monotonic_ns()`)."""


AskTime = Callable[[], Awaitable[int | None]]
"""Asks a server for its wall clock, in ns; None where it does not tell."""


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """A topic as the plan names it.

    Attributes:
        name: its name.
        partitions: how many it has, 1 or more.
        existing: it is somebody else's: it is neither created, trimmed nor deleted, and the run's subscriptions on it
            are taken away at the end. Where its messages lie follows from the name by the driver's rule for such.
    """

    name: str
    partitions: int = 1
    existing: bool = False


@dataclass(slots=True)
class Batch:
    """What one read of a consumer brought.

    Attributes:
        payloads: the message bodies as sent, in the order in which the server gave them.
        arrival_ns: `time.monotonic_ns()` taken once, when the whole reply had been parsed.
        receipt: what the driver needs to acknowledge the batch; opaque to the harness.
        again: indexes into `payloads`, rising, of those that came of an entry that is not new: this consumer was given
            that entry, or a later one of its partition, by an earlier batch.
        claimed: all of them were given to a consumer that is gone, which may have delivered them or not.
    """

    payloads: list[bytes]
    arrival_ns: int
    receipt: object
    again: Sequence[int] = ()
    claimed: bool = False


class DriverProducer(Protocol):
    """Sends to one topic."""

    def route(self, count: int, keys: Sequence[bytes] | None) -> Sequence[int] | None:
        """The partition of each of the next `count` messages; None when all go to partition 0.

        `keys`, when given, has `count` items; without keys the partitioner's own rule holds (round robin).
        """
        ...

    def room(self) -> int:
        """How many messages may be sent right now without passing the in-flight limit or a paused transport."""
        ...

    def send(self, partition: int, payloads: Sequence[bytes], keys: Sequence[bytes] | None) -> None:
        """Queues `payloads` for `partition`, in order; returns at once. They leave in the same turn of the loop."""
        ...

    def when_room(self, callback: Callable[[], None]) -> None:
        """Calls `callback` once, in a later turn of the loop, as soon as `room()` is above 0."""
        ...

    def shared_room(self) -> Hashable:
        """What the room is of: producers of a process that give equal values have their room together.

        When one of them has none, the others are not asked; nobody else waits for it. A producer may do without this
        method: its room is its own then.
        """
        ...

    def keep_everything(self, keep: bool) -> None:
        """While `keep` is set, sending trims nothing; the harness asks for it when a group falls far behind."""
        ...

    async def aclose(self) -> None:
        """Ends the producer. What is in flight is reported with an error."""
        ...


class DriverConsumer(Protocol):
    """Reads one or more topics as one member of one subscription."""

    async def receive(self) -> Batch | None:
        """The next batch; None when nothing came within the driver's block time, so that the caller may look up.

        A caller may pause after a None: no read should be under way then, since that would hold what comes meanwhile.
        Readers that were joined can't promise that; the planner refuses a backlog for them.

        Raises:
            DriverError: if the subscription can no longer be read.
        """
        ...

    def acknowledge(self, batch: Batch, done: OnAcknowledged) -> None:
        """Acknowledges every message of `batch`; returns at once.

        `done` is called when the system has confirmed all of it; never after a failure, which `Driver.statistics()`
        tells.
        """
        ...

    async def aclose(self) -> None:
        """Ends the consumer, after the acknowledgements given so far have been answered."""
        ...


class KillableConsumer(DriverConsumer, Protocol):
    """A consumer that faults can kill: it ends alone, in a process that goes on."""

    def abandon(self) -> None:
        """Ends the consumer as a crash would: its connections are closed, and nothing is acknowledged any more.

        The next consumer that is made with its name begins with what is pending for it (`Batch.claimed`).
        """
        ...


Reference = Any
"""Where a message is kept: a value that sorts as the messages of one partition lie."""


class Inspector(Protocol):
    """Looks at what the system holds, so that a message which did not arrive can be accounted for."""

    def reference(self, answer: object) -> Reference:
        """The reference of the message whose sending was answered so (`OnReplies`)."""
        ...

    async def held(
        self, topic: TopicSpec, partition: int, first: Reference | None, last: Reference | None, count: int
    ) -> Sequence[tuple[Reference, bytes]]:
        """Up to `count` messages that are held, by rising reference, with their payloads.

        From `first` to `last`, both among them; None is the beginning, or the end.

        Raises:
            DriverError: if the system can't be asked; so do the next two.
        """
        ...

    def after(self, reference: Reference) -> Reference:
        """The least reference beyond `reference`."""
        ...

    async def position(self, topic: TopicSpec, partition: int, subscription: str) -> Reference | None:
        """How far a subscription has been given messages; None when it was given none yet."""
        ...

    async def pending(
        self, topic: TopicSpec, partition: int, subscription: str, references: Sequence[Reference]
    ) -> set[Reference]:
        """Of `references`, those that were given to a consumer of the subscription and not acknowledged."""
        ...


class Driver(Protocol):
    """One process's connection to the messaging system."""

    async def create_topics(self, topics: Sequence[TopicSpec], subscriptions: Sequence[str]) -> None:
        """Creates topics and their subscriptions, empty; of topics that exist (all or none) the subscriptions alone.

        Raises:
            DriverError: if one of the names exists already, or, of those that are to exist, does not; or the server
                refuses.
        """
        ...

    async def create_producer(self, topic: TopicSpec, on_replies: OnReplies) -> DriverProducer:
        """A producer for `topic`, which exists."""
        ...

    async def create_consumer(
        self, topics: Sequence[TopicSpec], subscription: str, name: str, partitions: Sequence[int] | None = None
    ) -> DriverConsumer:
        """A consumer called `name` of `subscription` over all of `topics`, which exist.

        With `partitions` it reads these of each topic, and no other consumer of the subscription does.
        """
        ...

    async def backlog(self, topics: Sequence[TopicSpec], subscription: str) -> int | None:
        """Messages that the server holds for `subscription`: not yet delivered, or delivered and not acknowledged.

        None when it can't tell.
        """
        ...

    def inspector(self) -> Inspector | None:
        """What looks at the messages that are held; None when the system can't tell."""
        ...

    def key_of(self, topic: str, partition: int) -> str:
        """What the server calls a partition of a topic that was created; asked for by faults that name a partition.

        A driver may do without this method: then faults can't name any.
        """
        ...

    async def describe(self) -> Mapping[str, object]:
        """What the server says of itself: plain values, fit for a result, without secrets; None for what is not known.

        A driver on a Redis server gives `engine`, `version`, `usedMemoryBytes`, `maxMemoryBytes` (0: no limit) and
        `evictionPolicy` among them. `config`, if it is there, maps names of settings to their values as text.
        """
        ...

    async def observe(self, streams: Sequence[TopicPartition]) -> ServerSample | None:
        """A sample of the server, and of the partitions `streams`, some tens at most; None when there is no server.

        Asked for once a second during a run, in the parent alone, and never while an earlier one is under way. It must
        travel on a connection of its own, and change nothing on the server. A driver may do without this method.

        Raises:
            DriverError: if the server can't be reached. What it merely refuses to tell is noted in the sample.
        """
        ...

    async def memory(self) -> Sequence[ServerMemory]:
        """The memory of each server that has messages, replicas among them, as far as they tell.

        Asked for some times a second at most, in the parent alone, never while an earlier one is under way, and by the
        connection of `observe`, or by some of its own. A driver may do without this method.

        Raises:
            DriverError: if a server can't be reached.
        """
        ...

    async def server_clocks(self) -> Mapping[str, AskTime]:
        """What asks each server that takes messages for its wall clock, by its name, which is alike on every host.

        Those that do not tell are left out. Asked for when a run begins, of several hosts alone. A driver may do
        without this method.

        Raises:
            DriverError: if a server can't be reached.
        """
        ...

    async def delete_created(self) -> int:
        """Deletes exactly what this driver's `create_topics` made; returns how many topics' partitions that were.

        Of topics that existed, these are the partitions on which it had subscriptions.
        """
        ...

    def may_pass(self, error: BaseException) -> bool:
        """Whether a message that met `error` may be taken a little later, as by a server that loads or fails over.

        Asked for probes alone, which are sent again then; what is measured never is. A driver may do without this
        method: then only what is an `errors.OutcomeUnknown` may pass.
        """
        ...

    def statistics(self) -> Mapping[str, int]:
        """Counters worth telling in a result (failed acknowledgements, reconnects, trim suspended, ...)."""
        ...

    def way_out(self, error: str) -> str | None:
        """What a user can do about an error that messages met, by its text as it stands in a result; None if unknown.

        A driver may do without this method.
        """
        ...

    async def aclose(self) -> None:
        """Closes every connection. What was created stays."""
        ...


DriverFactory = Callable[[Mapping[str, object]], Awaitable[Driver]]
"""Opens a driver from its options (`runner.driver_options`)."""


def load_driver(name: str) -> DriverFactory:
    """The factory registered as `name`.

    Raises:
        InputError: if no installed package registers that name.
    """
    found = {entry.name: entry for entry in entry_points(group=ENTRY_POINT_GROUP)}
    if name not in found:
        known = ", ".join(sorted(found)) or "none"
        raise InputError(f"there is no driver {name!r}; installed are: {known}")
    factory: DriverFactory = found[name].load()
    return factory
