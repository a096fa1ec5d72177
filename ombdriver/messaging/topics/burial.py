"""What becomes of a message that is given up: it is kept among the dead letters, beside the stream of its partition.

A dead letter has the original fields, and `x-stream`, `x-id`, `x-group`, `x-consumer`, `x-deliveries`, `x-error` and
`x-time` (ms, by the server's clock). It lies in `{t:p}:dlq`, in the slot of the stream, so that one script moves it:
there is no moment in which it is in both places, or in none.
"""

from dataclasses import dataclass

from ombdriver.messaging.commands import number
from ombdriver.messaging.topics.keys import helper_key
from ombdriver.messaging.topics.member import Member
from ombdriver.messaging.topics.partition import Partition
from ombdriver.messaging.topics.scripts import Script

ERROR_CHARACTERS = 2_000
"""Of an error's text so many are kept."""
_BURY = Script("""
local row = held(ARGV[3])
if not row or row[2] ~= ARGV[2] then return 0 end
local letter = fields(ARGV[3])
if letter then
  local more = {'x-stream', KEYS[1], 'x-id', ARGV[3], 'x-group', ARGV[1], 'x-consumer', ARGV[2],
    'x-deliveries', row[4], 'x-error', ARGV[4], 'x-time', string.format('%.0f', now())}
  for _, word in ipairs(more) do letter[#letter + 1] = word end
  if ARGV[5] == '' then
    redis.call('XADD', KEYS[2], '*', unpack(letter))
  else
    redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[5], '*', unpack(letter))
  end
end
redis.call('XACK', KEYS[1], ARGV[1], ARGV[3])
return letter and 1 or 2
""")


@dataclass(frozen=True, slots=True)
class DeadLetterPolicy:
    """What becomes of messages that are given up: they go to `{t:p}:dlq`, beside the stream of their partition.

    Attributes:
        maxlen: keep about so many dead letters per partition, the newest; None keeps all.

    Raises:
        AioRedisMQValueError: if `maxlen` is not None or 1 or more.
    """

    maxlen: int | None = None

    def __post_init__(self) -> None:
        number("maxlen", self.maxlen, 1)


async def bury(member: Member, partition: Partition, entry_id: bytes, error: str, policy: DeadLetterPolicy) -> bool:
    """Moves an entry to the dead letters and acknowledges it; False if it is no longer this member's.

    An entry whose content was trimmed or deleted is only acknowledged.
    """
    told = error[:ERROR_CHARACTERS].encode("utf-8", "surrogateescape")
    most = "" if policy.maxlen is None else policy.maxlen
    return bool(await _BURY.run_for(member, [partition.key, helper_key(partition.key, "dlq")], entry_id, told, most))
