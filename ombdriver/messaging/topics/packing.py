"""The fields of a record as they go over the wire, packed once when a message is accepted.

Pure. What stands before them differs between the ways of sending (`transaction`, `idempotence`); they are the same in
both, and when a message is sent again.
"""

from collections.abc import Mapping

from ombdriver.messaging.topics.record import fields_of
from ombdriver.messaging.xadd import Parts


def body_of(value: bytes, key: bytes | None, headers: Mapping[str, str] | None) -> tuple[bytes, int]:
    """The fields of a record (`record.fields_of`) in RESP, and how many there are.

    Raises:
        AioRedisMQValueError: if a header is not made of texts.
    """
    if key is None:
        body, count = b"$5\r\nvalue\r\n$%d\r\n%b\r\n" % (len(value), value), 1
    else:
        body = b"$5\r\nvalue\r\n$%d\r\n%b\r\n$3\r\nkey\r\n$%d\r\n%b\r\n" % (len(value), value, len(key), key)
        count = 2
    if not headers:
        return body, count
    parts = [body]
    try:
        for name, text in headers.items():
            data = text.encode("utf-8", "surrogateescape")
            parts += (_names[name], b"%d\r\n%b\r\n" % (len(data), data))
    except AttributeError:
        fields_of(value, key, headers)  # says what is wrong
        raise
    return b"".join(parts), count + len(headers)


def _name(header: str) -> bytes:
    """The name of a header's field, up to the `$` of its text."""
    name = next(reversed(fields_of(b"", None, {header: ""})))
    return b"$%d\r\n%b\r\n$" % (len(name), name)


_names: Parts[str] = Parts(_name)
