"""Records: how a value, its key and its headers lie in the fields of a stream's entry, and in RESP.

Pure. An entry has the field `value`, `key` if the record has a key, and `h:NAME` for each header, so that any client of
Redis can read and write records. An entry of another program has no `value`; its fields are kept as they are.
A producer packs a record once, when it accepts it: only what goes before it differs between its ways of sending.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ombdriver.messaging.errors import MessagingValueError
from ombdriver.messaging.streams.commands import text_bytes
from ombdriver.messaging.streams.xadd import PartCache

VALUE = b"value"
KEY = b"key"
HEADER = b"h:"
MOST_FIELDS = 500_000
"""That an entry may have: a command of a million words ends the connection."""
MOST_SCRIPT_FIELDS = 3_900
"""That an entry may have which a script has to store: more than some 8,000 words don't fit on Lua's stack."""


@dataclass(frozen=True, slots=True)
class Record:
    """The content of an entry.

    Attributes:
        value: the encoded value; None if the entry has no field `value`, as no producer of ours wrote it.
        key: what picked the partition; None without one.
        headers: name to text; bytes that are no UTF-8 are kept as surrogates (PEP 383).
        fields: all fields of the entry as they are, those of other programs too.
    """

    value: bytes | None
    key: bytes | None
    headers: Mapping[str, str]
    fields: Mapping[bytes, bytes] = field(repr=False)


def record_fields(
    value: bytes, key: bytes | None = None, headers: Mapping[str, str] | None = None
) -> dict[bytes, bytes]:
    """The fields of an entry for a record.

    Args:
        value: already encoded.
        key: as bytes.
        headers: name to text; names are not empty.

    Raises:
        MessagingValueError: if a header is not made of texts, or has a surrogate that stands for no byte.
    """
    fields = {VALUE: value}
    if key is not None:
        fields[KEY] = key
    for name, text in (headers or {}).items():
        if not isinstance(name, str) or not isinstance(text, str) or not name:
            raise MessagingValueError(f"header {name!r}: {text!r}; give texts, and a name that is not empty")
        field = HEADER + text_bytes(name, "a header's name", "surrogateescape")
        fields[field] = text_bytes(text, f"header {name!a}", "surrogateescape")
    return fields


def parse_record(fields: Sequence[bytes] | Mapping[bytes, bytes]) -> Record:
    """The record of an entry, whose fields are a mapping, or names and values in turn as the server gives them."""
    if not isinstance(fields, Mapping):
        fields = dict(zip(fields[::2], fields[1::2], strict=True))
    headers = {
        name[len(HEADER) :].decode("utf-8", "surrogateescape"): text.decode("utf-8", "surrogateescape")
        for name, text in fields.items()
        if name.startswith(HEADER)
    }
    return Record(fields.get(VALUE), fields.get(KEY), headers, fields)


def pack_record(value: bytes, key: bytes | None, headers: Mapping[str, str] | None) -> tuple[bytes, int]:
    """The fields of a record in RESP, as `record_fields` gives them, and how many there are.

    Raises:
        MessagingValueError: if a header is not made of texts, or has a surrogate that stands for no byte.
    """
    if key is None:
        payload, count = b"$5\r\nvalue\r\n$%d\r\n%b\r\n" % (len(value), value), 1
    else:
        payload = b"$5\r\nvalue\r\n$%d\r\n%b\r\n$3\r\nkey\r\n$%d\r\n%b\r\n" % (len(value), value, len(key), key)
        count = 2
    if not headers:
        return payload, count
    parts = [payload]
    try:
        for name, text in headers.items():
            data = text.encode("utf-8", "surrogateescape")
            parts += (_names[name], b"%d\r\n%b\r\n" % (len(data), data))
    except (AttributeError, UnicodeEncodeError):
        record_fields(value, key, headers)  # raises, with the header's name
        raise
    return b"".join(parts), count + len(headers)


def too_many_fields(count: int, most: int) -> MessagingValueError:
    """The error of a message of `count` fields where there may be `most`."""
    if most == MOST_SCRIPT_FIELDS:
        return MessagingValueError(
            f"a message of {count:,} fields can't be stored by a script, which takes {most:,}; send fewer headers, or "
            "put them into the value"
        )
    return MessagingValueError(f"a message has {count:,} fields, and may have {most:,}; put them into the value")


def _pack_name(header: str) -> bytes:
    """The name of a header's field in RESP, up to the `$` of its text."""
    name = next(reversed(record_fields(b"", None, {header: ""})))
    return b"$%d\r\n%b\r\n$" % (len(name), name)


_names: PartCache[str] = PartCache(_pack_name)


def helper_key(stream: str | bytes, what: str, *more: str | bytes) -> bytes:
    """`{topic:p}:what[:more…]`: a key that belongs to the partition `stream`, and has its hash tag and so its slot."""
    return b":".join(each.encode() if isinstance(each, str) else each for each in (stream, what, *more))
