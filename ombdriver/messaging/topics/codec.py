"""Codecs: encode values of the program's own types to bytes, and decode them.

Pure. msgspec and pydantic are imported only when their codecs are made; they are no dependencies of the library.
"""

import json
from typing import Any, Generic, Protocol, TypeVar, overload

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


def checked_codec(codec: Codec[Value] | None) -> "Codec[Value] | BytesCodec":
    """`codec`, or the default one for None.

    Raises:
        MessagingValueError: if it has not the two methods, or is the class of a codec in place of a codec.
    """
    if codec is None:
        return BytesCodec()
    if isinstance(codec, type):
        name = codec.__name__
        is_codec = all(hasattr(codec, each) for each in ("encode", "decode"))
        way_out = f"{name}(…)" if is_codec else f"MsgspecCodec({name}), or PydanticCodec({name})"
        raise MessagingValueError(f"codec is the class {name}; give a codec: {way_out}")
    if not all(callable(getattr(codec, name, None)) for name in ("encode", "decode")):
        raise MessagingValueError(
            f"codec is {codec!r}, which has not both encode and decode; give a codec (StrCodec(), JsonCodec(), …)"
        )
    return codec


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


class MsgspecCodec(Generic[Value]):
    """msgspec's MessagePack or JSON, of one type or of anything: `MsgspecCodec(Order)` is a `Codec[Order]`.

    Args:
        kind: what to decode to, checked by msgspec; without it plain dicts, lists and so on. For what is no class, as a
            union, name the type for type checkers: `MsgspecCodec[Order | Refund](Order | Refund)`.
        json: JSON in place of MessagePack.

    Raises:
        ImportError: if msgspec is not installed (`pip install msgspec`).
    """

    @overload
    def __init__(self: "MsgspecCodec[Any]", *, json: bool = False) -> None: ...

    @overload
    def __init__(self, kind: type[Value], *, json: bool = False) -> None: ...

    @overload
    def __init__(self, kind: Any, *, json: bool = False) -> None: ...

    def __init__(self, kind: Any = Any, *, json: bool = False) -> None:
        import msgspec

        form: Any = msgspec.json if json else msgspec.msgpack
        self._encode, self._decode = form.Encoder().encode, form.Decoder(kind).decode

    def encode(self, value: Value, /) -> bytes:
        """`value` as bytes; raises TypeError for what msgspec can't encode."""
        data: bytes = self._encode(value)
        return data

    def decode(self, data: bytes, /) -> Value:
        """The value; raises msgspec.DecodeError or msgspec.ValidationError (both ValueError) if it is not of `kind`."""
        value: Value = self._decode(data)
        return value


class PydanticCodec(Generic[Value]):
    """JSON by pydantic, of a model or of any type that pydantic checks: `PydanticCodec(Order)` is a `Codec[Order]`.

    Args:
        kind: a model, a dataclass, or another type. For what is no class, as a union, name the type for type checkers:
            `PydanticCodec[Order | Refund](Order | Refund)`.

    Raises:
        ImportError: if pydantic is not installed (`pip install pydantic`).
    """

    @overload
    def __init__(self, kind: type[Value]) -> None: ...

    @overload
    def __init__(self, kind: Any) -> None: ...

    def __init__(self, kind: Any) -> None:
        import pydantic

        adapter: Any = pydantic.TypeAdapter(kind)
        self._encode, self._decode, self._check = adapter.dump_json, adapter.validate_json, adapter.validate_python

    def encode(self, value: Value, /) -> bytes:
        """`value` as JSON; raises ValueError if it is not of `kind`, or pydantic can't encode it."""
        if value is None:  # pydantic writes null for any type
            self._check(value)
        data: bytes = self._encode(value, by_alias=True, round_trip=True, warnings="error")
        return data

    def decode(self, data: bytes, /) -> Value:
        """The value; raises pydantic.ValidationError (a ValueError) if it is not of `kind`."""
        value: Value = self._decode(data)
        return value
