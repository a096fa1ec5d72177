"""Scripts that the server carries out whole, on keys of one slot.

Each of them may be carried out twice without harm, since a lost reply makes it be sent again: what was moved, removed,
claimed or acknowledged the first time is not there the second time. Where the second time would do more, or tell less
of what its caller acts on, the script is a `OnceScript`.
"""

import hashlib
import secrets
from collections.abc import Sequence
from typing import Any

from redis.exceptions import NoPermissionError, NoScriptError, RedisError

from ombdriver.messaging.errors import OutcomeUnknownError
from ombdriver.messaging.transport.connection import Argument, pack
from ombdriver.messaging.transport.retry import unknown_after
from ombdriver.messaging.transport.router import Router


class Script:
    """One Lua script; only its hash travels, once a server knows it.

    Args:
        text: in Lua 5.1, for commands of Redis 6.2. `attempt(...)` in it carries out a command, and gives nil where the
            stream or the group is not there; any other error of the server's ends the script.
    """

    def __init__(self, text: str) -> None:
        self._text = (_PRELUDE + text).encode()
        self._sha = hashlib.sha1(self._text, usedforsecurity=False).hexdigest()

    async def run(
        self,
        router: Router,
        keys: Sequence[bytes],
        arguments: Sequence[Argument],
        *,
        stores: bool = False,
        once: bool = False,
    ) -> Any:
        """The script's reply, with bytes.

        Args:
            router: the connections.
            keys: of one slot; the first is the stream.
            arguments: ARGV.
            stores: a caller wants to know whether it was carried out.
            once: not sent again when its reply was lost: its caller does that.

        Raises:
            OutcomeUnknownError: if an attempt was lost, with no later one that was carried out; with `stores` also if
                the later one was refused.
            redis.exceptions.RedisError: the server's error, or that of the connection.
        """
        keys = (*keys, *self._keys_of_call(keys[0]))
        words = (len(keys), *keys, *arguments)
        unknown: OutcomeUnknownError | None = None
        for by_text in (False, True):  # a server may not know it, a user may have permission for EVAL alone
            data = pack((*self.words(by_text=by_text), *words))
            sent = router.send(keys[0], data, bulk=False, idempotent=not once)
            try:
                return await sent
            except RedisError as error:
                unknown = unknown or getattr(sent, "unknown", None)
                if isinstance(error, NoScriptError | NoPermissionError) and not by_text:
                    continue
                if stores and unknown is not None and not isinstance(error, OutcomeUnknownError):
                    raise unknown_after(unknown, error) from error
                raise
        raise AssertionError("unreachable")

    def _keys_of_call(self, first: bytes) -> tuple[bytes, ...]:
        """What a call has of KEYS beside those that it is given; `first` is the first of these."""
        return ()

    def words(self, *, by_text: bool) -> tuple[str, Argument]:
        """The first words of the command: EVALSHA and the hash, or EVAL and the text for a server without it."""
        return ("EVAL", self._text) if by_text else ("EVALSHA", self._sha)


class OnceScript(Script):
    """A script that is carried out once: when it is sent again, it gives the reply that was lost.

    The reply is kept for a minute, in a key beside the first one, which has a hash tag.

    Args:
        text: as for `Script`, but the body of a function; it has one more of KEYS.
    """

    def __init__(self, text: str, functions: str = "") -> None:
        super().__init__(f"{functions}local function work()\n{text}\nend\n{_ONCE}")

    def _keys_of_call(self, first: bytes) -> tuple[bytes, ...]:
        return (first + b":once:" + secrets.token_hex(8).encode(),)


# A missing permission ends the script before anything is done.
_ONCE = """
local kept = redis.call('GET', KEYS[#KEYS])
if kept and kept ~= '' then return cmsgpack.unpack(kept) end
redis.call('SET', KEYS[#KEYS], '', 'PX', 1)
local reply = work()
redis.call('SET', KEYS[#KEYS], cmsgpack.pack(reply), 'PX', 60000)
return reply
"""

# Carried out again, a refused command raises its error as the server words it.
_PRELUDE = """
local function attempt(...)
  local reply = redis.pcall(...)
  if type(reply) ~= 'table' or not reply.err then return reply end
  if string.find(reply.err, 'NOGROUP', 1, true) or string.find(reply.err, 'no such key', 1, true) then return nil end
  return redis.call(...)
end
"""

COMPARE_IDS = """
local function is_less(a, b)
  if #a ~= #b then return #a < #b end
  return a < b
end
local function is_below(a, b)
  local ms_a, sequence_a = string.match(a, '(%d+)-(%d+)')
  local ms_b, sequence_b = string.match(b, '(%d+)-(%d+)')
  if ms_a ~= ms_b then return is_less(ms_a, ms_b) end
  return is_less(sequence_a, sequence_b)
end
"""
"""Lua for scripts: whether one entry id is below another, as text, since numbers of Lua are exact to 2^53 only."""
