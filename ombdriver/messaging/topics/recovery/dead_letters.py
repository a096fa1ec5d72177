"""Dead letters: messages that were given up. How they get there, and how they are read, redriven or purged.

A dead letter has the original fields, and `x-stream`, `x-id`, `x-group`, `x-consumer`, `x-deliveries`, `x-error` and
`x-time` (ms, by the server's clock). It lies in `{t:p}:dlq`, in the slot of the stream, so that one script moves it:
at no time it is in both places, or in none.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ombdriver.messaging.errors import tells_unknown_options
from ombdriver.messaging.streams.commands import Key, key_bytes, number
from ombdriver.messaging.streams.topic import Topic, topic_of
from ombdriver.messaging.topics.consumer.group import REDRIVEN, GroupMember, group_script, once_script
from ombdriver.messaging.topics.consumer.partition import Partition
from ombdriver.messaging.topics.record import Record, helper_key, parse_record
from ombdriver.messaging.transport.router import Router

CHUNK = 100
"""Dead letters that one script moves."""

# KEYS: stream, dead letters. ARGV: group or nothing, first and last id, count, idle time in ms, the consumer.
_REDRIVE = once_script("""
local added = {['x-stream'] = 1, ['x-id'] = 1, ['x-group'] = 1, ['x-consumer'] = 1, ['x-deliveries'] = 1,
  ['x-error'] = 1, ['x-time'] = 1}
local rows = redis.call('XRANGE', KEYS[2], ARGV[2], ARGV[3], 'COUNT', ARGV[4])
local moved = 0
redis.call('XDEL', KEYS[2], '0-0')  -- a missing permission ends the script here, before anything is sent
redis.call('DEL', KEYS[1] .. ':moved')
for _, row in ipairs(rows) do
  local entry, origin = {}, {}
  for i = 1, #row[2], 2 do
    if added[row[2][i]] then
      origin[row[2][i]] = row[2][i + 1]
    else
      entry[#entry + 1] = row[2][i]
      entry[#entry + 1] = row[2][i + 1]
    end
  end
  if ARGV[1] == '' or origin['x-group'] == ARGV[1] then
    local group, id = origin['x-group'], origin['x-id']
    local pending = group and id and fields(id) and attempt('XPENDING', KEYS[1], group, id, id, 1)
    if not pending then
      if #entry > 0 then redis.call('XADD', KEYS[1], '*', unpack(entry)) end
    elseif not pending[1] then
      redis.call('XCLAIM', KEYS[1], group, ARGV[6], 0, id, 'IDLE', ARGV[5], 'RETRYCOUNT', 0, 'FORCE', 'JUSTID')
    end
    redis.call('XDEL', KEYS[2], row[1])
    if group and id then redis.call('DEL', KEYS[1] .. ':moved:' .. group .. ':' .. id) end
    moved = moved + 1
  end
end
return {moved, rows[#rows] and rows[#rows][1] or false}
""")

IDLE_MS = 7 * 24 * 3600 * 1000
"""The idle time of a redriven entry: longer than any visibility time-out, so that the next sweep claims it."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One message that was given up.

    Attributes:
        partition: its partition.
        letter_id: its id among the dead letters.
        id: the id that it had in the stream.
        group: whose member gave it up.
        consumer: which member.
        deliveries: how often it was delivered.
        error: why it was given up.
        time_ms: when, by the server's clock.
        record: its value, key, headers and fields.
    """

    partition: int
    letter_id: str
    id: str
    group: str
    consumer: str
    deliveries: int
    error: str
    time_ms: int
    record: Record


class DeadLetters:
    """The dead letters of a topic: reads, redrives and purges them. `MQClient.dead_letters` makes it.

    Args:
        router: gives the connections.
        topic: whose; the name of one with a single partition, or a `Topic`.
    """

    def __init__(self, router: Callable[[], Router], topic: Topic | str) -> None:
        self._router = router
        self._topic = topic_of(topic)

    def __repr__(self) -> str:
        return f"<DeadLetters of {self._topic.name!r}>"

    async def count(self) -> int:
        """How many there are, of all groups and partitions.

        Raises:
            redis.exceptions.RedisError: if a server can't be reached, or refuses; so do all of these.
        """
        counts = [await self._router().execute_idempotent(dlq, "XLEN", dlq) for _, _, dlq in self._keys()]
        return sum(counts)

    async def read(self, count: int = 100) -> list[DeadLetter]:
        """The oldest ones, up to `count` of each partition.

        Raises:
            MessagingValueError: if `count` is not 1 or more.
            redis.exceptions.RedisError: as `count`.
        """
        number("count", count, 1)
        found = []
        for partition, _, dlq in self._keys():
            rows = await self._router().execute_idempotent(dlq, "XRANGE", dlq, "-", "+", "COUNT", count)
            found += [_letter(partition, letter_id, fields) for letter_id, fields in rows]
        return found

    async def redrive(self, group: Key | None = None, count: int | None = None) -> int:
        """Sends dead letters again, the oldest first; gives how many.

        One whose message still stands in its stream becomes pending for its group again, with its id and a delivery
        count of 0: no other group hears of it. One whose message was trimmed, or whose group is gone, is sent anew, to
        all groups. One whose message is pending for its group already, since the group was set back, is only removed.

        Args:
            group: only those that this group gave up; None for all.
            count: so many at most; None for all that there are at the start.

        Raises:
            MessagingValueError: if an argument can't be.
            redis.exceptions.RedisError: as `count`; some may have been sent by then, none of them twice. What the user
                may not do is no reason to send one anew: it stays.
        """
        number("count", count, 1)
        name = b"" if group is None else key_bytes(group, "group")
        moved = 0
        for _, stream, dlq in self._keys():
            last = await self._last(dlq)
            start = b"-"
            while last is not None and (count is None or moved < count):
                step = CHUNK if count is None else min(CHUNK, count - moved)
                arguments = (name, start, last, step, IDLE_MS, REDRIVEN)
                found, reached = await _REDRIVE.run(self._router(), (stream, dlq), arguments)
                moved += found
                if reached is None or reached == last:
                    break
                start = b"(" + reached
        return moved

    async def purge(self, group: Key | None = None) -> int:
        """Deletes dead letters; gives how many.

        Args:
            group: only those that this group gave up; None for all.

        Raises:
            MessagingValueError: if `group` is empty.
            redis.exceptions.RedisError: as `count`; some may have been deleted by then.
        """
        purged = 0
        for _, _, dlq in self._keys():
            router = self._router()
            start = b"-"
            last = await self._last(dlq)
            while last is not None and (
                rows := await router.execute_idempotent(dlq, "XRANGE", dlq, start, last, "COUNT", CHUNK)
            ):
                chosen = [row[0] for row in rows if group is None or _field(row[1], b"x-group") == key_bytes(group)]
                if chosen:
                    await router.execute_idempotent(dlq, "XDEL", dlq, *chosen)
                    purged += len(chosen)  # the reply is 0 if it was sent again
                start = b"(" + rows[-1][0]
        return purged

    async def _last(self, dlq: bytes) -> bytes | None:
        rows = await self._router().execute_idempotent(dlq, "XREVRANGE", dlq, "+", "-", "COUNT", 1)
        last: bytes | None = rows[0][0] if rows else None
        return last

    def _keys(self) -> list[tuple[int, bytes, bytes]]:
        return [(p, key.encode(), helper_key(key, "dlq")) for p, key in enumerate(self._topic.keys)]


def _field(fields: list[bytes], name: bytes) -> bytes:
    return dict(zip(fields[::2], fields[1::2], strict=True)).get(name, b"")


def _letter(partition: int, letter_id: bytes, fields: list[bytes]) -> DeadLetter:
    record = dict(zip(fields[::2], fields[1::2], strict=True))
    added = {
        name: record.pop(b"x-" + name.encode(), b"").decode("utf-8", "surrogateescape")
        for name in ("stream", "id", "group", "consumer", "deliveries", "error", "time")
    }
    return DeadLetter(
        partition,
        letter_id.decode(),
        added["id"],
        added["group"],
        added["consumer"],
        int(added["deliveries"] or 0),
        added["error"],
        int(added["time"] or 0),
        parse_record(record),
    )


ERROR_CHARACTERS = 2_000
"""Of an error's text so many are kept."""
MOVED_MS = 600_000
"""For so long it is known who moved an entry, so that a lost reply does not hide it."""

# KEYS: stream, dead letters, who moved the entry. ARGV: group, member, id, reason, maxlen or nothing, for how many ms
# the mover is known; if the entry turned out to be gone, also its deliveries and fields. Gives 1 if the member has
# moved it, 0 if it was not the member's, 2 if the entry is gone and was not given.
_MOVE = group_script("""
local row = pending_row(ARGV[3])
local is_gone = not row and redis.call('EXISTS', gone_key(ARGV[3])) == 1
if not is_gone and (not row or row[2] ~= ARGV[2]) then return redis.call('GET', KEYS[3]) == ARGV[2] and 1 or 0 end
local letter, deliveries = row and fields(ARGV[3]), row and row[4]
if not letter then
  if #ARGV == 6 then return 2 end
  letter, deliveries = {unpack(ARGV, 8)}, ARGV[7]
end
for _, word in ipairs({'x-stream', KEYS[1], 'x-id', ARGV[3], 'x-group', ARGV[1], 'x-consumer', ARGV[2],
  'x-deliveries', deliveries, 'x-error', ARGV[4], 'x-time', string.format('%.0f', now())}) do
  letter[#letter + 1] = word
end
redis.call('SET', KEYS[3], ARGV[2], 'PX', ARGV[6])
if ARGV[5] == '' then
  redis.call('XADD', KEYS[2], '*', unpack(letter))
else
  redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[5], '*', unpack(letter))
end
redis.call('XACK', KEYS[1], ARGV[1], ARGV[3])
redis.call('DEL', gone_key(ARGV[3]))
return 1
""")


@tells_unknown_options(
    {
        "name queue stream topic": "dead letters lie beside the stream of their partition, read them by"
        " client.dead_letters(topic)",
        "max_length max_len": "give maxlen, in dead letters of a partition",
        "max_deliveries max_retries max_attempts": "give the runner retry=RetryPolicy(max_deliveries=…)",
    }
)
@dataclass(frozen=True, slots=True)
class DeadLetterPolicy:
    """What becomes of messages that are given up: they go to `{t:p}:dlq`, beside the stream of their partition.

    Attributes:
        maxlen: keep about so many dead letters per partition, the newest; None keeps all.

    Raises:
        MessagingValueError: if `maxlen` is not None or 1 or more.
    """

    maxlen: int | None = None

    def __post_init__(self) -> None:
        number("maxlen", self.maxlen, 1)


async def move_to_dead_letters(
    member: GroupMember,
    partition: Partition,
    entry_id: bytes,
    error: str,
    policy: DeadLetterPolicy,
    deliveries: int,
    fields: Sequence[bytes],
) -> bool:
    """Moves an entry to the dead letters and acknowledges it; False if the member has no lease of it.

    An entry that was trimmed or deleted meanwhile is written as it is known here.

    Args:
        member: whose it is.
        partition: where it is.
        entry_id: its id.
        error: why it is given up.
        policy: what is kept.
        deliveries: how many handlings of it have begun.
        fields: its names and values in turn.
    """
    keys = [partition.key, helper_key(partition.key, "dlq"), _moved_key(partition.key, member.group, entry_id)]
    reason = _reason(error[:ERROR_CHARACTERS])
    words = (entry_id, reason, "" if policy.maxlen is None else policy.maxlen, MOVED_MS)
    done = await member.run(_MOVE, keys, *words)
    if done == _IS_GONE:
        done = await member.run(_MOVE, keys, *words, deliveries, *fields)
    return bool(done)


def _reason(text: str) -> bytes:
    """In UTF-8, with escapes for surrogates that stand for no byte: a text is no reason not to give a message up."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "backslashreplace")


_IS_GONE = 2


def _moved_key(stream: bytes, group: bytes, entry_id: bytes) -> bytes:
    return b":".join((stream, b"moved", group, entry_id))
