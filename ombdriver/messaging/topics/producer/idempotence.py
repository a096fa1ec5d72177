"""A batch as one call of a script that stores it once, however often it is sent.

Pure. Each producer has a key beside each partition's stream that holds the sequence number and the ids of its last
batch. Only one batch of a partition is in flight at a time and sequence numbers rise, so the last one is enough: a
batch that comes again gets the ids that it has, and one that comes late, over a connection that was given up, is
refused.
"""

from typing import Any

from redis.exceptions import NoScriptError, TryAgainError

from ombdriver.messaging.streams.scripts import Script
from ombdriver.messaging.streams.xadd import PartCache
from ombdriver.messaging.topics.producer.batch import BatchReply, RecordBatch, RecordOutcome
from ombdriver.messaging.topics.producer.transaction import TransactionEncoding
from ombdriver.messaging.transport.connection import Argument, ReplyError, pack, server_error
from ombdriver.messaging.transport.retry import was_not_carried_out

# The key is written before anything is stored, so that whatever refuses it (a missing permission, no memory, the role
# of a replica) refuses the batch as a whole; and again when the ids are known.
_STORE = Script("""
local function words_of(refusal) -- as the server has them for a command alone
  local why = string.gsub(refusal.err, '^@[^:]*: %d+: ', '') -- Redis 6.2 names the line
  why = string.gsub(why, '^%-', '')
  return (string.gsub(why, '%s+$', ''))
end
local number = tonumber(ARGV[1])
local known = redis.pcall('GET', KEYS[2])
if type(known) == 'table' then return redis.error_reply(words_of(known)) end
if known then
  local last = cmsgpack.unpack(known)
  if last[1] == number then
    last[2][1] = '1'
    return last[2]
  elseif last[1] > number then
    return redis.error_reply('ERR a later batch of this producer is stored already')
  end
end
local begun = redis.pcall('SET', KEYS[2], cmsgpack.pack({number, {}}), 'PX', ARGV[2])
if begun.err then return redis.error_reply(words_of(begun)) end
local answers, at = {'0'}, 3
while at <= #ARGV do
  local last = at + tonumber(ARGV[at])
  local id = redis.pcall('XADD', KEYS[1], unpack(ARGV, at + 1, last))
  answers[#answers + 1] = type(id) == 'table' and '-' .. words_of(id) or id
  at = last + 1
end
redis.call('SET', KEYS[2], cmsgpack.pack({number, answers}), 'PX', ARGV[2])
return answers
""")
"""KEYS: the stream, the producer's key beside it. ARGV: the batch's sequence number, for how many ms to keep it, then
for each message the number of its words, and the words of XADD from the bounds or `*` on.
Returns '1' if the batch was stored before, else '0', then for each message its id, or '-' and its error.
"""


class IdempotentEncoding:
    """How idempotent producers write batches (`batch.BatchEncoding`).

    Args:
        stream: key of the partition's stream.
        dedupe_key: holds the last batch; of the same slot.
        remember_ms: for how long after a batch; longer than the time in which it may be sent again.
    """

    def __init__(self, stream: bytes, dedupe_key: bytes, remember_ms: int) -> None:
        self._keys = (2, stream, dedupe_key)
        self._remember_ms = remember_ms
        self._unnumbered = TransactionEncoding(stream)
        self._is_unknown = False  # whether the last server did not know the script; kept until a batch was carried out

    def encode(self, batch: RecordBatch, trimming: tuple[Argument, ...]) -> tuple[bytes, int]:
        """See `batch.BatchEncoding`. Only the last XADD trims. A server that does not know the script gets its text.

        While their slot moves, the stream is at one server and a new key can only be made at the other: TRYAGAIN, for
        as long as that takes. A batch that meets it goes to the stream alone, unless it may be stored already.
        """
        batch.is_unnumbered |= isinstance(batch.retriable_error, TryAgainError) and batch.loss is None
        if batch.is_unnumbered:
            return self._unnumbered.encode(batch, trimming)
        words = (*_STORE.words(by_text=self._is_unknown), *self._keys, batch.sequence, self._remember_ms)
        counts, payloads = batch.field_counts, batch.payloads
        arguments = len(words) + len(trimming) + 2 * len(batch) + 2 * sum(counts)
        parts = [b"*%d\r\n%b" % (arguments, pack(words).split(b"\r\n", 1)[1])]
        for count, payload in zip(counts[:-1], payloads[:-1], strict=True):
            parts += (_heads[count], payload)
        last = pack((len(trimming) + 1 + 2 * counts[-1], *trimming, "*")).split(b"\r\n", 1)[1]
        parts += (last, payloads[-1])
        return b"".join(parts), 1

    def decode(self, batch: RecordBatch, errors: dict[int, Exception], last: Any) -> BatchReply:
        """See `batch.BatchEncoding`."""
        if batch.is_unnumbered:
            return self._unnumbered.decode(batch, errors, last)
        error = errors.get(0)
        self._is_unknown = isinstance(error, NoScriptError) or (self._is_unknown and error is not None)
        if error is None:
            outcomes: list[RecordOutcome] = [_error(one) if one[:1] == b"-" else one for one in last[1:]]
            return BatchReply(outcomes, is_duplicate=last[0] == b"1", is_of_all_attempts=True)
        if isinstance(error, NoScriptError):
            return BatchReply([None] * len(batch))
        if was_not_carried_out(error):
            return BatchReply([None] * len(batch), error)
        return BatchReply([error] * len(batch))


def _head(count: int) -> bytes:
    """What goes before the fields of a message, of which there are `count`."""
    return pack((1 + 2 * count, "*")).split(b"\r\n", 1)[1]


_heads: PartCache[int] = PartCache(_head)


def _error(text: bytes) -> Exception:
    return server_error(ReplyError(text[1:].decode(errors="replace")))
