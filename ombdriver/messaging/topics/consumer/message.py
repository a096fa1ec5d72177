"""`Message`: one entry of a partition, delivered to a member of a group, until it is settled.

Holds the state of one delivery; what settling means for the server is the consumer's `Acknowledger`.
"""

from collections.abc import Awaitable, Generator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from ombdriver.messaging.errors import MessagingError
from ombdriver.messaging.topics.consumer.partition import Partition
from ombdriver.messaging.topics.record import VALUE, Record, parse_record

if TYPE_CHECKING:
    from ombdriver.messaging.topics.consumer.acks import Acknowledger
    from ombdriver.messaging.topics.consumer.leases import Claim

Value_co = TypeVar("Value_co", covariant=True)

_NOT_DECODED: Any = object()

UNCOUNTED, OPEN, LOST, ACKNOWLEDGED, GIVEN_BACK, REJECTED = range(6)
"""States of a message. `UNCOUNTED`: it was claimed, and the server does not know of this delivery yet. Up to `LOST` it
may still be settled: what is handled late is handled all the same.
"""
_STATES = ("", "", " lost", " acknowledged", " given back", " rejected")


class Done:
    """An awaitable that is done already, and costs nothing."""

    __slots__ = ()

    def __await__(self) -> Generator[None, None, None]:
        return
        yield


DONE = Done()


class Message(Generic[Value_co]):
    """A message of a topic, pending for this consumer until it is acknowledged.

    Attributes:
        delivery_count: how often it was delivered, this time included; 1 for a new one.
    """

    __slots__ = (
        "_acknowledger",
        "_entry_id",
        "_fields",
        "_generation",
        "_partition",
        "_record",
        "_state",
        "_value",
        "delivery_count",
    )

    _record: Record | None
    _value: Any
    _is_suspect: ClassVar[bool] = False

    def __init__(
        self,
        acknowledger: "Acknowledger",
        partition: Partition,
        entry_id: bytes,
        fields: Sequence[bytes],
        delivery_count: int,
    ) -> None:
        self._acknowledger = acknowledger
        self._partition = partition
        self._generation = partition.generation
        self._entry_id = entry_id
        self._fields = fields
        self.delivery_count = delivery_count
        self._state = OPEN
        self._record = None
        self._value = _NOT_DECODED

    def __repr__(self) -> str:
        return f"<Message {self.stream} {self.id} delivery_count={self.delivery_count}{_STATES[self._state]}>"

    @property
    def stream(self) -> str:
        """The key of the stream."""
        return self._partition.stream

    @property
    def partition(self) -> int:
        """The partition's number."""
        return self._partition.number

    @property
    def id(self) -> str:
        """The entry's id, `milliseconds-sequence`."""
        return self._entry_id.decode()

    @property
    def timestamp(self) -> int:
        """When it was stored by the server's clock: milliseconds since 1970, the first part of the id."""
        return int(self._entry_id.partition(b"-")[0])

    @property
    def record(self) -> Record:
        """The entry as a record: encoded value, key, headers, and all fields as they are."""
        if self._record is None:
            self._record = parse_record(self._fields)
        return self._record

    @property
    def value(self) -> Value_co:
        """The value, decoded when it is first asked for; None if the entry is of another program and has no value.

        Raises:
            Exception: what the codec raises, if it can't be decoded: here, so that its handler can `reject` it.
        """
        value = self._value
        if value is _NOT_DECODED:
            fields = self._fields
            raw = fields[1] if fields[0] == VALUE else self.record.value
            value = self._value = None if raw is None else self._acknowledger.decode(raw)
        return value  # type: ignore[no-any-return]

    @property
    def key(self) -> bytes | None:
        """The key that picked the partition; None without one."""
        return self.record.key

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers."""
        return self.record.headers

    @property
    def fields(self) -> Mapping[bytes, bytes]:
        """All fields of the entry as they are."""
        return self.record.fields

    @property
    def is_settled(self) -> bool:
        """Whether it was acknowledged, given back or rejected."""
        return self._state > LOST

    @property
    def is_lost(self) -> bool:
        """Whether another consumer is known to have it, because this one could not renew its lease in time.

        Also when its stream was deleted: what has its id by now is another message.
        """
        if self._state < LOST and self._entry_id not in self._partition.leased:
            self._state = LOST  # for good: if it comes here again, that is another delivery
        return self._state == LOST or self._is_stale

    @property
    def _is_stale(self) -> bool:
        """Whether the partition has another stream than the one that this came from."""
        return self._generation != self._partition.generation

    def ack(self) -> Awaitable[None]:
        """Acknowledges it: it does not come again.

        Never waits: acknowledgements are sent in batches, a few milliseconds later, and again while connections get
        lost. `Consumer.flush` waits for them. If the process dies before, the message is delivered again. To
        acknowledge twice does nothing.

        Raises:
            MessagingError: at once, if it was given back or rejected, or in another thread than that of its consumer.
        """
        if self._state > LOST:
            if self._state == ACKNOWLEDGED:
                return DONE
            raise MessagingError(f"{self!r} can't be acknowledged any more")
        partition = self._partition
        if self._generation != partition.generation:
            done = self._acknowledger.acknowledge_stale()
        else:
            done = self._acknowledger.acknowledge(partition, self._entry_id)
        self._state = ACKNOWLEDGED
        return done

    async def nack(self, delay: float = 0.0) -> None:
        """Gives it back: it is delivered again after `delay` seconds, to this consumer or another.

        Raises:
            MessagingError: if it was settled already.
            MessagingValueError: if `delay` is no finite number of 0 or more.
            redis.exceptions.RedisError: if the server can't be reached, or refuses; it stays this consumer's then.
        """
        self._check_open()
        await self._acknowledger.give_back(self, delay)

    async def in_progress(self) -> bool:
        """Renews its lease, since it is being worked on: the visibility time-out starts anew.

        Returns:
            whether it is still this consumer's; False when another one has it, or it was settled.

        Raises:
            redis.exceptions.RedisError: if the server can't be reached, or refuses.
        """
        return self._state <= LOST and await self._acknowledger.renew(self)

    async def reject(self, reason: str) -> bool:
        """Puts it into the dead letters of its partition and acknowledges it, in one step on the server.

        A dead letter has the fields of the entry, and `x-stream`, `x-id`, `x-group`, `x-consumer`, `x-deliveries`,
        `x-error` (the reason) and `x-time` (ms).

        Returns:
            False if there was nothing to reject: somebody else has settled it, or has it by now.

        Raises:
            MessagingError: if it was settled already.
            redis.exceptions.RedisError: if the server can't be reached, or refuses; it stays this consumer's then.
        """
        self._check_open()
        return await self._acknowledger.reject(self, reason)

    def _check_open(self) -> None:
        if self._state > LOST:
            raise MessagingError(f"{self!r} can't be settled twice")


class _Suspect(Message[Value_co]):
    """A message whose handling was begun more than once and never came to an end: it may kill its process."""

    __slots__ = ()
    _is_suspect = True


def claimed_messages(
    acknowledger: "Acknowledger", partition: Partition, claim: "Claim", *, was_ended: bool
) -> list[Message[Any]]:
    """The messages of claimed entries that are not known here; their leases are noted, their deliveries not counted.

    Args:
        acknowledger: of the messages.
        partition: where they are.
        claim: the entries.
        was_ended: each handling of them has come to an end, by a failure or `nack`. Where that is not known, those that
            were begun twice are suspects.
    """
    messages = []
    for entry in claim.entries:
        if not partition.is_known(entry.id):
            partition.lease(entry.id)
            kind = _Suspect if entry.deliveries > 1 and not was_ended else Message
            message: Message[Any] = kind(acknowledger, partition, entry.id, entry.fields, entry.deliveries + 1)
            message._state = UNCOUNTED
            messages.append(message)
    return messages
