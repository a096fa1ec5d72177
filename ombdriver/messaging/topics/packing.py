"""The fields of a record as they go over the wire, packed once when a message is accepted.

Pure. What stands before them differs between the ways of sending (`transaction`, `idempotence`); they are the same in
both, and when a message is sent again.
"""

from collections.abc import Mapping

from ombdriver.messaging.topics.record import fields_of


def body_of(value: bytes, key: bytes | None, headers: Mapping[str, str] | None) -> tuple[bytes, int]:
    """The fields of a record (`record.fields_of`) in RESP, and how many there are.

    Raises:
        AioRedisMQValueError: if a header is not made of texts.
    """
    if headers:
        fields = fields_of(value, key, headers)
        parts = [b"$%d\r\n%b\r\n$%d\r\n%b\r\n" % (len(name), name, len(text), text) for name, text in fields.items()]
        return b"".join(parts), len(parts)
    if key is None:
        return b"$5\r\nvalue\r\n$%d\r\n%b\r\n" % (len(value), value), 1
    return b"$5\r\nvalue\r\n$%d\r\n%b\r\n$3\r\nkey\r\n$%d\r\n%b\r\n" % (len(value), value, len(key), key), 2
