"""Where a group starts or is set to: earliest, latest, after an id, from a time on. Pure.

Apart from what its members read, which is always what nobody in the group was given yet.
"""

import re
from datetime import UTC, datetime, timedelta

from ombdriver.messaging.errors import MessagingValueError
from ombdriver.messaging.streams.resumption import BEGINNING, before

Position = str | bytes | datetime
"""`earliest`, `latest`, an id (what comes after it), or a time with its zone (what was stored from then on)."""

EARLIEST = BEGINNING
LATEST = b"$"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ID = re.compile(rb"\d{1,20}(-\d{1,20})?")


def id_of(position: Position) -> bytes:
    """The id that XGROUP CREATE and SETID take: entries after it are those that come.

    Raises:
        MessagingValueError: if it is no position.
    """
    if isinstance(position, datetime):
        if position.tzinfo is None:
            raise MessagingValueError(f"{position!r} has no time zone; give one, as datetime.now(timezone.utc) has")
        return before((max(0, (position - _EPOCH) // timedelta(milliseconds=1)), 0))
    word = position.encode() if isinstance(position, str) else position
    if word == b"earliest":
        return EARLIEST
    if word == b"latest":
        return LATEST
    if isinstance(word, bytes) and _ID.fullmatch(word):
        return word
    raise MessagingValueError(f"{position!r} is no position; give 'earliest', 'latest', an id, or a datetime")
