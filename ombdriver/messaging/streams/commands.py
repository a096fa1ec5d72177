"""Stream commands as lists of words, from arguments that people give.

Pure: refuses what can't be right at call time, by name, and knows no connection. What only the server can know
(whether a group exists, whether a version has an option) is left to it.
"""

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

from ombdriver.messaging.errors import MessagingValueError
from ombdriver.messaging.transport.connection import Argument

Key = str | bytes
Id = str | bytes | int


def key_bytes(key: Key, what: str = "stream_key") -> bytes:
    """`key` as bytes, so that 'k' and b'k' are one key.

    Raises:
        MessagingValueError: if it is neither str nor bytes, or empty, or has a lone surrogate.
    """
    if isinstance(key, bytes | str) and key:
        return text_bytes(key, what) if isinstance(key, str) else key
    raise MessagingValueError(f"{what} is {key!r}; give a str or bytes that is not empty")


def text_bytes(text: str, what: str, errors: str = "strict") -> bytes:
    """`text` as UTF-8.

    Args:
        text: as it is.
        what: tells people what it is for.
        errors: `surrogateescape` where surrogates may stand for single bytes (PEP 383).

    Raises:
        MessagingValueError: if it has a lone surrogate, as JSON and file names may.
    """
    try:
        return text.encode("utf-8", errors)
    except UnicodeEncodeError:
        raise MessagingValueError(
            f"{what} is {text!a}: half of a surrogate pair has no bytes in UTF-8; replace it, as by "
            "text.encode('utf-8', 'replace').decode()"
        ) from None


def ids(values: Sequence[Id]) -> list[Id]:
    """Message ids as given.

    Raises:
        MessagingValueError: if there are none, or one is not str, bytes or int.
    """
    if not values:
        raise MessagingValueError("no message id was given; give at least one")
    return [one_id(value) for value in values]


def one_id(value: Id) -> Id:
    """A message id as given.

    Raises:
        MessagingValueError: if it is not str, bytes or int.
    """
    if isinstance(value, str | bytes | int) and not isinstance(value, bool):
        return value
    raise MessagingValueError(f"{value!r} is no message id; give str, bytes or int")


def number(name: str, value: int | None, least: int) -> int | None:
    """`value`, if it is None or an int of `least` or more.

    Raises:
        MessagingValueError: otherwise; the message has `name`.
    """
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and value >= least):
        return value
    raise MessagingValueError(f"{name} is {value!r}; give a whole number of {least} or more")


def trimming(maxlen: int | None, minid: Id | None, approximate: bool, limit: int | None) -> list[Argument]:
    """The bounds of XADD and XTRIM; empty when nothing is to be trimmed.

    Raises:
        MessagingValueError: if both `maxlen` and `minid` are given, or `limit` without approximate trimming.
    """
    if maxlen is not None and minid is not None:
        raise MessagingValueError("maxlen and minid were both given; a stream is trimmed by one of them")
    number("maxlen", maxlen, 0)
    number("limit", limit, 0)
    if maxlen is None and minid is None:
        if limit is not None:
            raise MessagingValueError("limit was given without maxlen or minid; give one of them, or leave it out")
        return []
    if limit is not None and not approximate:
        raise MessagingValueError("limit holds for approximate trimming only; leave it out, or approximate=True")
    bound: Argument = maxlen if maxlen is not None else one_id(minid)  # type: ignore[arg-type]  # not None here
    words: list[Argument] = ["MAXLEN" if maxlen is not None else "MINID", "~" if approximate else "=", bound]
    return words if limit is None else [*words, "LIMIT", limit]


def policy(ref_policy: str | None) -> list[Argument]:
    """What becomes of group references to removed entries (Redis 8.2 and later); empty for the server's own rule.

    Raises:
        MessagingValueError: if it is not KEEPREF, DELREF or ACKED.
    """
    if ref_policy is None:
        return []
    if ref_policy not in ("KEEPREF", "DELREF", "ACKED"):
        raise MessagingValueError(f"ref_policy is {ref_policy!r}; give KEEPREF, DELREF or ACKED")
    return [ref_policy]


def xadd(key: Key, message: Mapping[Key, Argument], msg_id: Id, options: Sequence[Argument] = ()) -> list[Argument]:
    """XADD of one message.

    Raises:
        MessagingValueError: if `message` is not a mapping with at least one field.
    """
    if not isinstance(message, Mapping) or not message:
        raise MessagingValueError("a message is a dict with at least one field")
    return ["XADD", key, *options, one_id(msg_id), *chain.from_iterable(message.items())]


def xread(streams: Mapping[Any, Id], count: int | None, block: int | None) -> list[Argument]:
    """XREAD; `block` in milliseconds, None not to wait, 0 to wait for ever."""
    return ["XREAD", *_reading(streams, count, block, noack=False)]


def xreadgroup(
    group: Key, consumer: Key, streams: Mapping[Any, Id], count: int | None, block: int | None, noack: bool
) -> list[Argument]:
    """XREADGROUP; `block` as for `xread`."""
    return ["XREADGROUP", "GROUP", group, consumer, *_reading(streams, count, block, noack)]


def _reading(streams: Mapping[Any, Id], count: int | None, block: int | None, noack: bool) -> list[Argument]:
    if not isinstance(streams, Mapping) or not streams:
        raise MessagingValueError("streams is a dict of at least one stream key with the last id seen")
    words: list[Argument] = []
    if number("count", count, 1) is not None:
        words += ["COUNT", count]  # type: ignore[list-item]  # not None here
    if number("block", block, 0) is not None:
        words += ["BLOCK", block]  # type: ignore[list-item]
    if noack:
        words.append("NOACK")
    return [*words, "STREAMS", *(key_bytes(key) for key in streams), *(one_id(i) for i in streams.values())]


def xclaim(
    key: Key,
    group: Key,
    consumer: Key,
    min_idle_time: int,
    msg_ids: Sequence[Id],
    idle: int | None,
    time: int | None,
    retrycount: int | None,
    force: bool,
    justid: bool,
) -> list[Argument]:
    """What follows the word XCLAIM; times in milliseconds.

    Raises:
        MessagingValueError: if a number is negative or no int, or there is no id.
    """
    if not isinstance(msg_ids, list | tuple):
        raise MessagingValueError("msg_ids is a list or tuple of message ids")
    if number("min_idle_time", min_idle_time, 0) is None:
        raise MessagingValueError("min_idle_time is None; give milliseconds, 0 to claim whatever is pending")
    words: list[Argument] = [key, group, consumer, min_idle_time, *ids(msg_ids)]
    for name, value in (("idle", idle), ("time", time), ("retrycount", retrycount)):
        if number(name, value, 0) is not None:
            words += [name.upper(), value]  # type: ignore[list-item]  # not None here
    return words + ["FORCE"] * force + ["JUSTID"] * justid


def xpending(
    key: Key, group: Key, low: Id, high: Id, count: int, consumer: Key | None, idle: int | None
) -> list[Argument]:
    """What follows the word XPENDING, for a range of ids; `idle` in milliseconds, at least.

    Raises:
        MessagingValueError: if a number is negative or no int.
    """
    if number("count", count, 1) is None:
        raise MessagingValueError("count is None; give how many pending messages to list at most")
    words: list[Argument] = [key, group]
    if number("idle", idle, 0) is not None:
        words += ["IDLE", idle]  # type: ignore[list-item]  # not None here
    words += [one_id(low), one_id(high), count]
    return words if consumer is None else [*words, consumer]


def in_reverse(max_id: Id, min_id: Id) -> tuple[Id, Id]:
    """The bounds of XREVRANGE, higher first, whichever way round they were given.

    Swapped bounds always give nothing, and the two orders are both in print.
    """
    return (min_id, max_id) if _rank(max_id) < _rank(min_id) else (max_id, min_id)


def _rank(bound: Id) -> tuple[float, float]:
    """Where a bound stands among the ids. A bound that is malformed ranks as the end: the server names the fault."""
    text = bound.decode(errors="replace") if isinstance(bound, bytes) else str(bound)
    text = text.removeprefix("(")
    if text == "-":
        return (-1, 0)
    ms, _, sequence = text.partition("-")
    if ms.isdecimal() and (not sequence or sequence.isdecimal()):
        return (int(ms), int(sequence or 0))
    return (float("inf"), 0)
