"""Plain data as bytes, by its declared type: what a type hint says is all that is written, and all that is read.

A codec is made of a type once: dataclasses by their fields, unions by the place of the member, whole numbers in as many
bytes as they need, texts once a message and by number after that, arrays of numbers by columns in the fewest bytes that
hold them. Bytes are little-endian whatever the machine. Reading makes nothing but the declared types, so bytes from
elsewhere can't run anything. Knows no message, link or process. Pure.
"""

import dataclasses
import struct
import types
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from operator import index
from typing import Any, Generic, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import numpy as np
from numpy.typing import NDArray

from ombdriver.errors import OmbdriverError

Value = TypeVar("Value")

_ONE_BYTE = 192
"""Whole numbers from 0 up to that take one byte; from there on the first byte tells how many follow."""
_MOST_BYTES = 255 - _ONE_BYTE
_FLOAT = struct.Struct("<d")
_FEW = 24
"""An array of no more numbers than that is written number by number: numpy takes some microseconds an array."""
_WIDTHS = (np.dtype("<u1"), np.dtype("<u2"), np.dtype("<u4"), np.dtype("<u8"))
_WRONG = (TypeError, AttributeError, ValueError, struct.error)
"""What writing a value of another type than the declared one meets."""
_PLAIN = "None, a flag, a number, text, bytes, or a tuple, list or dict of these"


class FormatError(OmbdriverError):
    """Bytes are not what they are to be read as, or a value has no form in bytes."""


@dataclass(slots=True)
class Writer:
    """A message that is being written: its bytes, and what has been written once and has a number now."""

    buffer: bytearray = field(default_factory=bytearray)
    seen: dict[object, int] = field(default_factory=dict)


@dataclass(slots=True)
class Reader:
    """A message that is being read: its bytes, up to where they have been read, and what has a number."""

    data: bytes
    at: int = 0
    seen: list[Any] = field(default_factory=list)

    def take(self, count: int) -> bytes:
        """The next `count` bytes.

        Raises:
            FormatError: if there are not so many.
        """
        end = self.at + count
        if count < 0 or end > len(self.data):
            raise FormatError("a message is cut short")
        taken, self.at = self.data[self.at : end], end
        return taken


@dataclass(frozen=True, slots=True)
class Codec(Generic[Value]):
    """How values of one type are written and read.

    Attributes:
        write: appends a value to a message.
        read: takes the next value of a message.
        schema: the type in text, down to its last field: two codecs of one schema read each other's bytes.
    """

    write: Callable[[Writer, Value], None]
    read: Callable[[Reader], Value]
    schema: str


def to_bytes(codec: Codec[Value], value: Value) -> bytes:
    """`value` as bytes.

    Raises:
        FormatError: if something in it is not of its declared type.
    """
    writer = Writer()
    try:
        codec.write(writer, value)
    except _WRONG as error:
        raise FormatError(f"{type(value).__name__}: {error}; give what its type says") from error
    return bytes(writer.buffer)


def from_bytes(codec: Codec[Value], data: bytes) -> Value:
    """The value that `to_bytes` wrote.

    Raises:
        FormatError: if `data` is not what it wrote, or not all of it.
    """
    reader = Reader(data)
    try:
        value = codec.read(reader)
    except (IndexError, ValueError, TypeError, OverflowError, MemoryError, RecursionError) as error:
        raise FormatError(f"a message is damaged: {error}") from error
    if reader.at != len(data):
        raise FormatError(f"a message has {len(data) - reader.at} bytes too many")
    return value


# -- numbers, texts, bytes ---------------------------------------------------------------------------------------------


def write_int(writer: Writer, value: int) -> None:
    """A whole number, of any size up to 500 bits."""
    value = index(value)
    if 0 <= value < _ONE_BYTE:
        writer.buffer.append(value)
        return
    size = (value.bit_length() + 8) >> 3
    if size > _MOST_BYTES:
        raise ValueError(f"a number of {value.bit_length()} bits")
    writer.buffer.append(_ONE_BYTE + size)
    writer.buffer += value.to_bytes(size, "little", signed=True)


def read_int(reader: Reader) -> int:
    """What `write_int` wrote."""
    data, begin = reader.data, reader.at + 1
    size = data[begin - 1] - _ONE_BYTE
    if size < 0:
        reader.at = begin
        return size + _ONE_BYTE
    reader.at = end = begin + size
    if end > len(data):
        raise FormatError("a message is cut short")
    return int.from_bytes(data[begin:end], "little", signed=True)


def _write_bool(writer: Writer, value: bool) -> None:
    writer.buffer.append(1 if value else 0)


def _read_bool(reader: Reader) -> bool:
    return reader.take(1) != b"\0"


def _write_float(writer: Writer, value: float) -> None:
    writer.buffer += _FLOAT.pack(value)


def _read_float(reader: Reader) -> float:
    found: float = _FLOAT.unpack(reader.take(_FLOAT.size))[0]
    return found


def _write_bytes(writer: Writer, value: bytes) -> None:
    if not isinstance(value, bytes):
        raise TypeError(f"{type(value).__name__} in place of bytes")
    write_int(writer, len(value))
    writer.buffer += value


def _read_bytes(reader: Reader) -> bytes:
    return reader.take(read_int(reader))


def _write_str(writer: Writer, value: str) -> None:
    if (number := writer.seen.get(value)) is not None:
        write_int(writer, number)
        return
    write_int(writer, 0)
    _write_bytes(writer, value.encode("utf-8", "surrogatepass"))
    writer.seen[value] = len(writer.seen) + 1


def _read_str(reader: Reader) -> str:
    if number := read_int(reader):
        return _seen(reader, number, str)
    text = _read_bytes(reader).decode("utf-8", "surrogatepass")
    reader.seen.append(text)
    return text


def _seen(reader: Reader, number: int, of: type[Value]) -> Value:
    """What was read before, and has that number."""
    found = reader.seen[number - 1]
    if number < 0 or not isinstance(found, of):
        raise FormatError(f"a message is damaged: {number} is no {of.__name__}")
    return found


def _write_none(writer: Writer, value: None) -> None:
    if value is not None:
        raise TypeError(f"{type(value).__name__} in place of None")


def _read_none(reader: Reader) -> None:
    return None


# -- plain data whose type is not declared -----------------------------------------------------------------------------


def _write_plain(writer: Writer, value: object) -> None:
    kind = _KIND_OF.get(type(value))
    if kind is None:
        raise FormatError(f"{type(value).__name__} can't go from process to process; give {_PLAIN}")
    writer.buffer.append(kind)
    _KINDS[kind][1].write(writer, value)


def _read_plain(reader: Reader) -> object:
    kind = reader.take(1)[0]
    return _KINDS[kind][1].read(reader)


# -- arrays ------------------------------------------------------------------------------------------------------------


def write_unsigned(writer: Writer, values: "NDArray[np.integer[Any]]") -> None:
    """Whole numbers from 0 on, of shape (n,), in the fewest bytes that hold the greatest of them."""
    most = int(values.max()) if len(values) else 0
    width = 0 if most < 1 << 8 else 1 if most < 1 << 16 else 2 if most < 1 << 32 else 3
    write_int(writer, len(values))
    writer.buffer.append(width)
    writer.buffer += values.astype(_WIDTHS[width]).tobytes()


def read_unsigned(reader: Reader) -> "NDArray[np.integer[Any]]":
    """What `write_unsigned` wrote."""
    count = read_int(reader)
    width = _WIDTHS[reader.take(1)[0]]
    return np.frombuffer(reader.take(count * width.itemsize), width)


def _write_array(writer: Writer, values: "NDArray[np.int64]") -> None:
    """An array of int64, of one dimension or two: few numbers one by one, else each column from its least number on."""
    if values.dtype != np.int64 or values.ndim not in (1, 2):
        raise TypeError(f"an array of {values.dtype} with {values.ndim} dimensions in place of int64 with one or two")
    write_int(writer, values.ndim)
    for size in values.shape:
        write_int(writer, size)
    if values.size <= _FEW:
        for value in values.ravel().tolist():
            write_int(writer, value)
        return
    for column in values.reshape(len(values), -1).T:
        least = int(column.min())
        write_int(writer, least)
        write_unsigned(writer, column.view(np.uint64) - np.uint64(least % 2**64))


def _read_array(reader: Reader) -> "NDArray[np.int64]":
    shape = tuple(read_int(reader) for _ in range(read_int(reader)))
    if len(shape) not in (1, 2) or min(shape) < 0:
        raise FormatError("a message is damaged: the shape of an array")
    size = shape[0] * (shape[1] if len(shape) == 2 else 1)
    if size <= _FEW:
        return np.array([read_int(reader) for _ in range(size)], np.int64).reshape(shape)
    columns = []
    for _ in range(1 if len(shape) == 1 else shape[1]):
        least = read_int(reader)
        column = read_unsigned(reader).astype(np.uint64) + np.uint64(least % 2**64)
        columns.append(column.view(np.int64))
    return np.stack(columns, axis=1).reshape(shape)


# -- codecs of types ---------------------------------------------------------------------------------------------------

_SIMPLE: dict[object, Codec[Any]] = {
    bool: Codec(_write_bool, _read_bool, "flag"),
    int: Codec(write_int, read_int, "int"),
    float: Codec(_write_float, _read_float, "float"),
    str: Codec(_write_str, _read_str, "text"),
    bytes: Codec(_write_bytes, _read_bytes, "bytes"),
    type(None): Codec(_write_none, _read_none, "none"),
    object: Codec(_write_plain, _read_plain, "plain"),
    Any: Codec(_write_plain, _read_plain, "plain"),
}


class Codecs:
    """Makes codecs of types, each once.

    Args:
        given: codecs of types that have a form of their own.
        numbered: dataclasses whose values are written once a message, and by number after that; they can be hashed.
    """

    def __init__(self, given: Mapping[object, Codec[Any]] | None = None, numbered: AbstractSet[type] = frozenset()):
        self._made: dict[object, Codec[Any]] = {**_SIMPLE, **(given or {})}
        self._numbered = numbered

    def of(self, of: Any) -> Codec[Any]:
        """The codec of a type, as a type hint has it.

        Raises:
            TypeError: if the type has no form in bytes.
        """
        if of not in self._made:
            self._made[of] = self._make(of)
        return self._made[of]

    def _make(self, of: Any) -> Codec[Any]:
        of = _plain(of)
        origin, arguments = get_origin(of), get_args(of)
        if dataclasses.is_dataclass(of):
            codec = self._dataclass(of)
            return _numbered(codec, of) if of in self._numbered else codec
        if origin is Literal:
            return Codec(_write_str, _read_str, "/".join(map(repr, arguments)))
        if origin in (Union, types.UnionType):
            return _union([(_class_of(each), self.of(each)) for each in arguments])
        if origin is tuple and arguments[-1:] != (Ellipsis,):
            return _items([self.of(each) for each in arguments])
        if origin in (tuple, Sequence):
            return _sequence(self.of(arguments[0]), tuple)
        if origin is list:
            return _sequence(self.of(arguments[0]), list)
        if origin is frozenset:
            return _sequence(self.of(arguments[0]), frozenset)
        if origin in (dict, Mapping):
            return _mapping(self.of(arguments[0]), self.of(arguments[1]))
        if origin is np.ndarray and get_args(arguments[1]) == (np.int64,):
            return Codec(_write_array, _read_array, "int64s")
        raise TypeError(f"{of} has no form in bytes")

    def _dataclass(self, of: Any) -> Codec[Any]:
        hints = get_type_hints(of)
        fields = [(each.name, self.of(hints[each.name])) for each in dataclasses.fields(of)]
        writes = [(name, codec.write) for name, codec in fields]
        reads = [codec.read for _, codec in fields]

        def write(writer: Writer, value: Any) -> None:
            if type(value) is not of:
                raise TypeError(f"{type(value).__name__} in place of {of.__name__}")
            name = ""
            try:
                for name, each in writes:
                    each(writer, getattr(value, name))
            except _WRONG as error:
                raise FormatError(f"{of.__name__}.{name}: {error}; give what its type says") from error

        def read(reader: Reader) -> Any:
            return of(*[each(reader) for each in reads])

        parts = ",".join(f"{name}:{codec.schema}" for name, codec in fields)
        return Codec(write, read, f"{of.__name__}({parts})")


def _class_of(of: Any) -> Any:
    """The class of the values that a type hint means."""
    origin = get_origin(of)
    return {None: of, Literal: str, Sequence: tuple, Mapping: dict}.get(origin, origin)


def _numbered(codec: Codec[Any], of: Any) -> Codec[Any]:
    def write(writer: Writer, value: Any) -> None:
        if (number := writer.seen.get(value)) is not None:
            write_int(writer, number)
            return
        write_int(writer, 0)
        codec.write(writer, value)
        writer.seen[value] = len(writer.seen) + 1

    def read(reader: Reader) -> Any:
        if number := read_int(reader):
            return _seen(reader, number, of)
        value = codec.read(reader)
        reader.seen.append(value)
        return value

    return Codec(write, read, f"#{codec.schema}")


def _union(members: Sequence[tuple[Any, Codec[Any]]]) -> Codec[Any]:
    """The place of the member, and its value."""
    places = {each: (place, codec.write) for place, (each, codec) in enumerate(members)}
    reads = [codec.read for _, codec in members]

    def write(writer: Writer, value: Any) -> None:
        found = places.get(type(value))
        if found is None:
            raise TypeError(f"{type(value).__name__} is none of {', '.join(each.__name__ for each in places)}")
        writer.buffer.append(found[0])
        found[1](writer, value)

    def read(reader: Reader) -> Any:
        return reads[reader.take(1)[0]](reader)

    return Codec(write, read, f"({'|'.join(codec.schema for _, codec in members)})")


def _items(codecs: Sequence[Codec[Any]]) -> Codec[Any]:
    """A tuple with a type for each place."""
    writes, reads = [codec.write for codec in codecs], [codec.read for codec in codecs]

    def write(writer: Writer, value: Any) -> None:
        for each, item in zip(writes, value, strict=True):
            each(writer, item)

    def read(reader: Reader) -> Any:
        return tuple([each(reader) for each in reads])

    return Codec(write, read, f"<{','.join(codec.schema for codec in codecs)}>")


def _sequence(item: Codec[Any], make: Callable[[list[Any]], Any]) -> Codec[Any]:
    def write(writer: Writer, value: Any) -> None:
        write_int(writer, len(value))
        for each in value:
            item.write(writer, each)

    def read(reader: Reader) -> Any:
        return make([item.read(reader) for _ in range(_count(reader))])

    return Codec(write, read, f"[{item.schema}]")


def _mapping(key: Codec[Any], value: Codec[Any]) -> Codec[Any]:
    def write(writer: Writer, mapping: Any) -> None:
        write_int(writer, len(mapping))
        for name, item in mapping.items():
            key.write(writer, name)
            value.write(writer, item)

    def read(reader: Reader) -> Any:
        return {key.read(reader): value.read(reader) for _ in range(_count(reader))}

    return Codec(write, read, f"{{{key.schema}:{value.schema}}}")


def _count(reader: Reader) -> int:
    """How many items follow; each takes a byte at least, so no damaged count makes a long loop."""
    count = read_int(reader)
    if not 0 <= count <= len(reader.data) - reader.at:
        raise FormatError("a message is damaged: more items than bytes")
    return count


_KINDS: tuple[tuple[type, Codec[Any]], ...] = (
    (type(None), _SIMPLE[type(None)]),
    (bool, _SIMPLE[bool]),
    (int, _SIMPLE[int]),
    (float, _SIMPLE[float]),
    (str, _SIMPLE[str]),
    (bytes, _SIMPLE[bytes]),
    (tuple, _sequence(_SIMPLE[object], tuple)),
    (list, _sequence(_SIMPLE[object], list)),
    (dict, _mapping(_SIMPLE[object], _SIMPLE[object])),
)
_KIND_OF = {each: kind for kind, (each, _) in enumerate(_KINDS)}


def _plain(of: Any) -> Any:
    """A type in place of a name that it was given by `type`, as NDArray is from numpy 2.5 on."""
    named = getattr(get_origin(of), "__value__", None)
    return of if named is None else named[get_args(of)]
