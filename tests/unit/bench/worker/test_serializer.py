"""`serializer`: values of declared types as bytes and back; what is no such value, and bytes that are none."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray

from ombdriver.bench.worker.serializer import Codecs, FormatError, from_bytes, to_bytes


@dataclass(frozen=True)
class Point:
    """A dataclass to write."""

    x: int
    name: str


@dataclass(frozen=True)
class Line:
    """Dataclasses in a dataclass."""

    points: tuple[Point, ...]
    width: float | None = None
    kind: Literal["solid", "dashed"] = "solid"
    tags: Mapping[str, object] | None = None


CODECS = Codecs(numbered={Point})
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.lists(inner).map(tuple) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


def crossed(of: Any, value: Any) -> Any:
    """What comes out at the other side."""
    return from_bytes(CODECS.of(of), to_bytes(CODECS.of(of), value))


@given(st.integers(-(2**500), 2**500))
def test_whole_numbers_of_any_size_cross(number: int) -> None:
    """Of either sign, up to 500 bits."""
    assert crossed(int, number) == number


@pytest.mark.parametrize(("number", "size"), [(0, 1), (191, 1), (192, 3), (-1, 2), (2**31 - 1, 5), (2**63 - 1, 9)])
def test_a_whole_number_takes_as_many_bytes_as_it_needs(number: int, size: int) -> None:
    """Small counts take one byte, a time in nanoseconds eight or nine."""
    assert len(to_bytes(CODECS.of(int), number)) == size


@settings(max_examples=50)
@given(PLAIN)
def test_plain_data_crosses_with_its_types(value: object) -> None:
    """A flag stays a flag, a tuple a tuple, and a number that is whole but no int a float."""
    assert repr(crossed(object, value)) == repr(value)


@given(st.lists(st.builds(Point, st.integers(), st.text(st.characters(), max_size=3))), st.none() | st.floats(0, 1))
def test_dataclasses_cross_field_by_field(points: list[Point], width: float | None) -> None:
    """With all that they hold, surrogates in texts among it."""
    line = Line(tuple(points), width, "dashed", {"a": 1, "b": (None, b"x")})

    assert crossed(Line, line) == line


def test_what_is_repeated_is_written_once() -> None:
    """A text, and a dataclass that is numbered: the second time each takes a byte."""
    one = Line((Point(5, "far away"),), tags={"far away": 1})
    many = Line((Point(5, "far away"),) * 50, tags={"far away": 1})

    assert len(to_bytes(CODECS.of(Line), many)) == len(to_bytes(CODECS.of(Line), one)) + 49
    assert crossed(Line, many) == many


@given(
    arrays(np.int64, array_shapes(min_dims=1, max_dims=2, min_side=0, max_side=40)),
    st.integers(-(2**62), 2**62),
)
def test_arrays_cross_exactly(values: "NDArray[np.int64]", shift: int) -> None:
    """Of any shape, the empty ones too, and of any span of numbers."""
    for each in (values, values // 2 + shift, values % 200 + shift):
        found = crossed(NDArray[np.int64], each)

        assert (found.dtype, found.shape, found.tolist()) == (np.int64, each.shape, each.tolist())


def test_columns_that_are_narrow_take_few_bytes() -> None:
    """Ranges of a thousand flows: the flows take two bytes each, the counts one, wherever they begin."""
    count = 1000
    ranges = np.stack((np.arange(count), np.full(count, 10**12), np.arange(count) % 50), axis=1)

    assert len(to_bytes(CODECS.of(NDArray[np.int64]), ranges)) < 4.1 * count


@pytest.mark.parametrize(
    ("of", "value"),
    [
        (int, 1.5),
        (int, "5"),
        (int, 2**600),
        (str, 5),
        (bytes, "text"),
        (int | None, "5"),
        (Point, Line(())),
        (Line, Line((5,))),  # type: ignore[arg-type]
        (tuple[int, str], (5,)),
        (object, {1, 2}),
        (object, [Point(1, "a")]),
        (Mapping[str, object], {"a": object()}),
        (NDArray[np.int64], np.zeros(3)),
        (NDArray[np.int64], np.zeros((3, 3, 3), np.int64)),
    ],
)
def test_what_is_not_of_its_declared_type_is_refused(of: Any, value: object) -> None:
    """When it is written, by whoever has it in hand; never does anything else come out at the other side."""
    with pytest.raises(FormatError):
        to_bytes(CODECS.of(of), value)


def test_what_is_wrong_is_told_with_its_field() -> None:
    """The innermost one, as a number of a driver that is none."""
    with pytest.raises(FormatError, match=r"^Point\.x: 'float' object .* integer; give what its type says$"):
        to_bytes(CODECS.of(Line), Line((Point(1, "a"), Point(0.5, "b"))))  # type: ignore[arg-type]


def test_what_can_not_cross_is_told_with_what_can() -> None:
    """An object of a driver's own class, in place of plain data."""
    with pytest.raises(FormatError, match="Point can't go from process to process; give None, a flag, a number, text"):
        to_bytes(CODECS.of(Sequence[object]), [Point(1, "a")])


@pytest.mark.parametrize("of", [set[int], complex, list, NDArray[np.float64]])
def test_a_type_without_a_form_is_refused_when_its_codec_is_made(of: Any) -> None:
    """That is when the program is loaded, and not in the middle of a run."""
    with pytest.raises(TypeError, match="has no form in bytes"):
        CODECS.of(of)


@given(st.binary(max_size=60))
def test_bytes_from_elsewhere_are_read_as_a_value_or_refused(data: bytes) -> None:
    """Whatever they are: nothing but FormatError comes of them, and nothing large is made of little."""
    for of in (Line, object, NDArray[np.int64], Mapping[str, tuple[Point, ...]], frozenset[int]):
        try:
            from_bytes(CODECS.of(of), data)
        except FormatError:
            continue


@given(st.data())
def test_a_message_that_is_cut_or_longer_is_refused(data: st.DataObject) -> None:
    """A whole message ends where its bytes do."""
    whole = to_bytes(CODECS.of(Line), Line((Point(1, "a"), Point(2, "b")), 0.5, tags={"a": [1, 2, 3]}))
    cut = data.draw(st.integers(0, len(whole) - 1))

    for wrong in (whole[:cut], whole + b"\0"):
        with pytest.raises(FormatError):
            from_bytes(CODECS.of(Line), wrong)


def test_the_schema_tells_types_down_to_their_last_field() -> None:
    """So that two versions whose messages differ in anything know it."""

    @dataclass(frozen=True)
    class Changed:
        x: int
        name: bytes

    assert CODECS.of(Line).schema == (
        "Line(points:[#Point(x:int,name:text)],width:(float|none),kind:'solid'/'dashed',tags:({text:plain}|none))"
    )
    assert CODECS.of(Changed).schema == "Changed(x:int,name:bytes)"
