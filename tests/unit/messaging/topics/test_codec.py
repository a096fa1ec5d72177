"""Codecs: what goes in comes out, and what they have no word for is refused."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ombdriver import BytesCodec, Codec, JsonCodec, MessagingValueError, MsgspecCodec, StrCodec

PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
).filter(lambda value: _is_text(value))


def _is_text(value: Any) -> bool:
    try:
        repr(value).encode()
        msgspec.json.encode(value)
    except UnicodeEncodeError:
        return False
    return True


class Order(msgspec.Struct):
    """A type of a program's own."""

    number: int
    customer: str


@given(value=PLAIN)
@pytest.mark.parametrize(
    "codec", [JsonCodec(), MsgspecCodec(), MsgspecCodec(json=True)], ids=["json", "msgpack", "msgspec-json"]
)
def test_plain_values_come_back(codec: Codec[Any], value: Any) -> None:
    """Numbers, texts, lists and dicts of them."""
    assert codec.decode(codec.encode(value)) == value


@given(value=st.binary())
def test_bytes_are_left_as_they_are(value: bytes) -> None:
    """What looks like bytes becomes bytes."""
    codec = BytesCodec()

    assert codec.decode(codec.encode(value)) is value
    assert codec.encode(bytearray(value)) == codec.encode(memoryview(value)) == value  # type: ignore[arg-type]


@given(value=st.text(st.characters(exclude_categories=["Cs"])))
def test_texts_come_back(value: str) -> None:
    """As UTF-8."""
    assert StrCodec().decode(StrCodec().encode(value)) == value
    assert StrCodec().encode(value) == value.encode()


@pytest.mark.parametrize(
    ("codec", "value", "error"),
    [
        (BytesCodec(), "text", MessagingValueError),
        (BytesCodec(), 1, MessagingValueError),
        (StrCodec(), b"bytes", MessagingValueError),
        (JsonCodec(), float("nan"), ValueError),
        (JsonCodec(), {1j}, TypeError),
        (MsgspecCodec(), 1j, TypeError),
    ],
)
def test_what_has_no_word_is_refused(codec: Codec[Any], value: Any, error: type[Exception]) -> None:
    """When it is sent, so that nobody meets it when reading."""
    with pytest.raises(error):
        codec.encode(value)


@pytest.mark.parametrize(
    ("codec", "data"),
    [(StrCodec(), b"\xff"), (JsonCodec(), b"{"), (MsgspecCodec(), b"\xc1"), (MsgspecCodec(int), b"\xa1x")],
)
def test_bytes_that_say_nothing_are_a_value_error(codec: Codec[Any], data: bytes) -> None:
    """Of whatever class: a consumer catches them alike."""
    with pytest.raises(ValueError):  # noqa: PT011 - each codec has words of its own
        codec.decode(data)


def test_msgspec_makes_the_types_that_it_is_told() -> None:
    """And checks them."""
    codec = MsgspecCodec(Order)

    assert codec.decode(codec.encode(Order(1, "c"))) == Order(1, "c")
    with pytest.raises(msgspec.ValidationError):
        codec.decode(codec.encode({"number": "one", "customer": "c"}))
