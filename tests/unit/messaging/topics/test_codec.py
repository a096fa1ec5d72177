"""Codecs: what goes in comes out, and what they have no word for is refused."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ombdriver import BytesCodec, Codec, JsonCodec, MessagingValueError, MsgspecCodec, PydanticCodec, StrCodec

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


class Paid(pydantic.BaseModel):
    """A model with what pydantic knows: an alias, a time, a field that is computed."""

    number: int = pydantic.Field(alias="orderNumber")
    at: datetime

    @pydantic.computed_field  # type: ignore[prop-decorator]
    @property
    def is_first(self) -> bool:
        """Told, and not asked for."""
        return self.number == 1


@given(number=st.integers(), at=st.datetimes(timezones=st.just(UTC)))
def test_pydantic_makes_the_models_that_it_is_told(number: int, at: datetime) -> None:
    """And checks them, both ways; under the names that others know."""
    codec = PydanticCodec(Paid)
    paid = Paid(orderNumber=number, at=at)

    assert codec.decode(codec.encode(paid)) == paid
    assert JsonCodec().decode(codec.encode(paid)).keys() == {"orderNumber", "at"}
    with pytest.raises(pydantic.ValidationError):
        codec.decode(b'{"orderNumber": "one"}')
    for wrong in ({"orderNumber": 1}, "text", None):
        with pytest.raises(ValueError, match=r"[Ee]xpected|should be"):
            codec.encode(wrong)  # type: ignore[arg-type]


def test_pydantic_takes_any_type_that_it_checks() -> None:
    """Not models alone."""
    codec = PydanticCodec[list[int] | str](list[int] | str)

    assert [codec.decode(codec.encode(each)) for each in ([1, 2], "text")] == [[1, 2], "text"]


def test_msgspec_makes_the_types_that_it_is_told() -> None:
    """And checks them."""
    codec = MsgspecCodec(Order)

    assert codec.decode(codec.encode(Order(1, "c"))) == Order(1, "c")
    with pytest.raises(msgspec.ValidationError):
        codec.decode(codec.encode({"number": "one", "customer": "c"}))
