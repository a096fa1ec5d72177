"""Codecs: encode values of the program's own types to bytes, and decode them.

Pure. msgspec is imported only when its codec is made; it is no dependency of the library.
"""

import json
from typing import Any, Protocol, TypeVar

from ombdriver.messaging.errors import MessagingValueError
from ombdriver.messaging.streams.commands import text_bytes

Value = TypeVar("Value")


class Codec(Protocol[Value]):
    """Encodes and decodes values. Two methods; what they raise reaches the caller."""

    def encode(self, value: Value, /) -> bytes:
        """`value` as bytes."""
        ...

    def decode(self, data: bytes, /) -> Value:
        """The value that `data` was encoded from."""
        ...


class BytesCodec:
    """Bytes as they are; the default codec."""

    def encode(self, value: bytes, /) -> bytes:
        """`value` itself.

        Raises:
            MessagingValueError: if it is not bytes.
        """
        if value.__class__ is not bytes:
            if not isinstance(value, bytes | bytearray | memoryview):
                raise MessagingValueError(
                    f"a value is bytes, not {type(value).__name__}; encode it, or give a codec (StrCodec, JsonCodec, …)"
                )
            return bytes(value)
        return value

    def decode(self, data: bytes, /) -> bytes:
        """`data` itself."""
        return data


class StrCodec:
    """Texts, as UTF-8."""

    def encode(self, value: str, /) -> bytes:
        """`value` as UTF-8.

        Raises:
            MessagingValueError: if it is not a text, or has a lone surrogate.
        """
        if not isinstance(value, str):
            raise MessagingValueError(f"a value is str here, not {type(value).__name__}")
        return text_bytes(value, "the value")

    def decode(self, data: bytes, /) -> str:
        """The text.

        Raises:
            UnicodeDecodeError: if `data` is not UTF-8.
        """
        return data.decode()


class JsonCodec:
    """What the standard library's json can encode, without spaces, as UTF-8. NaN and infinities are refused.

    A lone surrogate in a text stays what it is: then the whole value is written in ASCII, with escapes.
    """

    def encode(self, value: Any, /) -> bytes:
        """`value` as JSON.

        Raises:
            TypeError: if JSON can't express a part of it.
            ValueError: if it has a NaN, an infinity or a circular reference.
        """
        try:
            return _json(value, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            return _json(value, ensure_ascii=True).encode()

    def decode(self, data: bytes, /) -> Any:
        """The value.

        Raises:
            ValueError: if it is not JSON.
        """
        return json.loads(data)


def _json(value: Any, *, ensure_ascii: bool) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, allow_nan=False, separators=(",", ":"))


class MsgspecCodec:
    """msgspec's MessagePack or JSON, of one type or of anything.

    Args:
        kind: what to decode to, checked by msgspec; Any for plain dicts, lists and so on.
        json: JSON in place of MessagePack.

    Raises:
        ImportError: if msgspec is not installed (`pip install msgspec`).
    """

    def __init__(self, kind: Any = Any, *, json: bool = False) -> None:
        import msgspec

        form: Any = msgspec.json if json else msgspec.msgpack
        self._encode, self._decode = form.Encoder().encode, form.Decoder(kind).decode

    def encode(self, value: Any, /) -> bytes:
        """`value` as bytes; raises TypeError for what msgspec can't encode."""
        data: bytes = self._encode(value)
        return data

    def decode(self, data: bytes, /) -> Any:
        """The value; raises msgspec.DecodeError or msgspec.ValidationError (both ValueError) if it is not of `kind`."""
        return self._decode(data)
