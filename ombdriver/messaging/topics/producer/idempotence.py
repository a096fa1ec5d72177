"""A batch as one call of a script that stores it once, however often it is sent.

Pure. Each producer has a key beside each partition's stream that holds the sequence number and the ids of its last
batch. Only one batch of a partition is in flight at a time and sequence numbers rise, so the last one is enough: a
batch that comes again gets the ids that it has, and one that comes late, over a connection that was given up, is
refused.
"""

from typing import Any

from redis.exceptions import NoScriptError

from ombdriver.messaging.streams.scripts import Script
from ombdriver.messaging.topics.producer.batch import BatchReply, RecordBatch, RecordOutcome
from ombdriver.messaging.transport.connection import Argument, ReplyError, pack, server_error
from ombdriver.messaging.transport.retry import was_not_carried_out

_STORE = Script("""
local number = tonumber(ARGV[1])
local known = redis.call('GET', KEYS[2])
if known then
  local last = cmsgpack.unpack(known)
  if last[1] == number then
    last[2][1] = '1'
    return last[2]
  elseif last[1] > number then
    return redis.error_reply('ERR a later batch of this producer is stored already')
  end
end
local at = 4 + tonumber(ARGV[3])
local answers = {'0'}
while at <= #ARGV do
  local first, last = at + 1, at + 2 * tonumber(ARGV[at])
  local id = redis.pcall('XADD', KEYS[1], '*', unpack(ARGV, first, last))
  if type(id) == 'table' then
    local why = string.gsub(id.err, '^@[^:]*: %d+: ', '') -- Redis 6.2 names the line
    why = string.gsub(string.gsub(why, '^%-', ''), '%s+$', '')
    if string.sub(why, 1, 8) == 'READONLY' then
      return redis.error_reply(why)
    end
    id = '-' .. why
  end
  answers[#answers + 1] = id
  at = last + 1
end
if ARGV[3] ~= '0' then
  redis.pcall('XTRIM', KEYS[1], unpack(ARGV, 4, 3 + tonumber(ARGV[3])))
end
redis.pcall('SET', KEYS[2], cmsgpack.pack({number, answers}), 'PX', ARGV[2])
return answers
""")
"""KEYS: the stream, the producer's key beside it. ARGV: the batch's sequence number, for how many ms to keep it, the
number of words of XTRIM that follow, these words, then for each message the number of its fields, and the fields.
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
        self._is_unknown = False  # whether the last server did not know the script; kept until a batch was carried out

    def encode(self, batch: RecordBatch, trimming: tuple[Argument, ...]) -> tuple[bytes, int]:
        """See `batch.BatchEncoding`. A server that does not know the script gets its text."""
        words = (
            *_STORE.words(by_text=self._is_unknown),
            *self._keys,
            batch.sequence,
            self._remember_ms,
            len(trimming),
            *trimming,
        )
        arguments = len(words) + len(batch) + 2 * sum(batch.field_counts)
        parts = [b"*%d\r\n%b" % (arguments, pack(words).split(b"\r\n", 1)[1])]
        for count, payload in zip(batch.field_counts, batch.payloads, strict=True):
            parts += (_number(count), payload)
        return b"".join(parts), 1

    def decode(self, batch: RecordBatch, errors: dict[int, Exception], last: Any) -> BatchReply:
        """See `batch.BatchEncoding`."""
        error = errors.get(0)
        self._is_unknown = isinstance(error, NoScriptError) or (self._is_unknown and error is not None)
        if error is None:
            outcomes: list[RecordOutcome] = [_error(one) if one[:1] == b"-" else one for one in last[1:]]
            return BatchReply(outcomes, is_duplicate=last[0] == b"1")
        if isinstance(error, NoScriptError):
            return BatchReply([None] * len(batch))
        if was_not_carried_out(error):
            return BatchReply([None] * len(batch), error)
        return BatchReply([error] * len(batch))


def _number(count: int) -> bytes:
    digits = b"%d" % count
    return b"$%d\r\n%b\r\n" % (len(digits), digits)


def _error(text: bytes) -> Exception:
    return server_error(ReplyError(text[1:].decode(errors="replace")))
