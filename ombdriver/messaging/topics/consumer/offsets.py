"""Where a group starts or is set to: earliest, latest, after an id, from a time on. Pure.

Apart from what its members read, which is always what nobody in the group was given yet.
"""

import re
from datetime import UTC, datetime, timedelta

from ombdriver.messaging.errors import MessagingValueError
from ombdriver.messaging.streams.entry_ids import format_id, is_after, parse_id

Position = str | bytes | datetime
"""`earliest`, `latest`, an id (what comes after it), or a time with its zone (what was stored from then on)."""

EARLIEST = b"0"
LATEST = b"$"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST = (1 << 64) - 1
_ID = re.compile(rb"\d{1,20}(-\d{1,20})?")


def id_of(position: Position) -> bytes:
    """The id that XGROUP CREATE and SETID take: entries after it are those that come.

    Raises:
        MessagingValueError: if it is no position.
    """
    if isinstance(position, datetime):
        if position.tzinfo is None:
            raise MessagingValueError(f"{position!r} has no time zone; give one, as datetime.now(timezone.utc) has")
        return _before((position - _EPOCH) // timedelta(milliseconds=1))
    word = position.encode() if isinstance(position, str) else position
    if word == b"earliest":
        return EARLIEST
    if word == b"latest":
        return LATEST
    if isinstance(word, bytes) and _ID.fullmatch(word):
        return word
    raise MessagingValueError(f"{position!r} is no position; give 'earliest', 'latest', an id, or a datetime")


def _before(ms: int) -> bytes:
    """The last id before the millisecond `ms`."""
    return EARLIEST if ms <= 0 else format_id((ms - 1, _LAST))


def before(entry_id: bytes) -> bytes:
    """The id just before `entry_id`."""
    ms, sequence = parse_id(entry_id)
    return format_id((ms, sequence - 1)) if sequence else _before(ms)


def resumption(last: bytes, held: set[bytes], end: bytes | None) -> bytes:
    """From where a group that is gone is to go on, so that nothing is passed over.

    Args:
        last: the highest id that was given to this member, or the group's own place when it joined.
        held: what this member has and has not acknowledged: pending no more, so it is to be given out again.
        end: the last id that the stream has had; None when there is no stream.

    Returns:
        just before the oldest that is held, or else `last`; the beginning if the stream is a new one, which shows by
        its end.
    """
    if end is None or is_after(last, end):
        return EARLIEST
    return min((before(min(held, key=parse_id)), last), key=parse_id) if held else last
