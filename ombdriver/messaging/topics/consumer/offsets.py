"""Where a group starts or is set to: earliest, latest, after an id, from a time on. Pure.

Knows ids and times; what members of the group read is always what none of them was given yet.
"""

import re
from datetime import UTC, datetime, timedelta

from ombdriver.messaging.errors import MessagingValueError
from ombdriver.messaging.streams.commands import text_bytes
from ombdriver.messaging.streams.resumption import BEGINNING, before

Offset = str | bytes | datetime
"""`earliest`, `latest`, an id (what comes after it), or a time with its zone (what was stored from then on)."""

EARLIEST = BEGINNING
LATEST = b"$"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ID = re.compile(rb"\d{1,20}(-\d{1,20})?")


def resolve(offset: Offset) -> bytes:
    """The id that XGROUP CREATE and SETID take: entries after it are those that come.

    Raises:
        MessagingValueError: if it is no offset.
    """
    if isinstance(offset, datetime):
        if offset.tzinfo is None:
            raise MessagingValueError(f"{offset!r} has no time zone; give one, as datetime.now(timezone.utc) has")
        return before((max(0, (offset - _EPOCH) // timedelta(milliseconds=1)), 0))
    word = text_bytes(offset, "the position") if isinstance(offset, str) else offset
    if word == b"earliest":
        return EARLIEST
    if word == b"latest":
        return LATEST
    if isinstance(word, bytes) and _ID.fullmatch(word):
        return word
    raise MessagingValueError(f"{offset!r} is no position; give 'earliest', 'latest', an id, or a datetime")
