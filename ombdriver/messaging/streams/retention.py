"""How much a topic keeps, as an option of the topic, or of whoever sends to it. Pure."""

import math
from dataclasses import dataclass

from ombdriver.messaging.errors import MessagingValueError, tells_unknown_options
from ombdriver.messaging.streams import commands
from ombdriver.messaging.transport.connection import Argument


@tells_unknown_options(
    {
        "length max_len maxlen size": "give max_length, in entries",
        "age max_age maxage minid retention_ms ttl": "give max_age_s, in seconds",
        "approximate": "give exact=True, where whole nodes of a stream will not do",
    }
)
@dataclass(frozen=True, slots=True)
class Retention:
    """What producers trim in each partition: with each batch, read or not; or what all groups have acknowledged.

    Args:
        max_length: entries that a partition keeps.
        max_age_s: what is older goes, in seconds, by this machine's clock against the server's; in place of
            `max_length`.
        exact: to the entry; otherwise whole nodes of the stream only, which is much cheaper, and more may stay.
        acknowledged: what every group has read and acknowledged goes, once a second as long as the producer is open,
            and nothing that a group still needs; the other two are bounds then, past which is cut what only groups
            without live consumers need, and both may be given, or neither. See `MQClient.keep_trimmed`.

    Raises:
        MessagingValueError: unless one of the two is given, 1 or more (an age: more than 0).
    """

    max_length: int | None = None
    max_age_s: float | None = None
    exact: bool = False
    acknowledged: bool = False

    def __post_init__(self) -> None:
        commands.number("max_length", self.max_length, 1)
        if not self.acknowledged and (self.max_length is None) == (self.max_age_s is None):
            raise MessagingValueError("a retention has max_length or max_age_s; give one of them, or acknowledged=True")
        age = self.max_age_s
        if age is not None and (not isinstance(age, int | float) or isinstance(age, bool) or not 0 < age < math.inf):
            raise MessagingValueError(f"max_age_s is {self.max_age_s!r}; give seconds, more than 0")

    def words(self, now_s: float) -> tuple[Argument, ...]:
        """The bounds of XADD or XTRIM at `now_s`, seconds since 1970; ages in whole seconds, never too short."""
        if self.acknowledged:
            return ()
        minid = None if self.max_age_s is None else max(0, int(now_s - self.max_age_s) * 1000)
        return tuple(commands.trimming(self.max_length, minid, not self.exact, None))
