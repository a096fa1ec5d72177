"""Records: a value, its key and its headers as the fields of an entry, and back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ombdriver import MessagingValueError
from ombdriver.messaging.topics.record import Record, helper_key, pack_record, parse_record, record_fields
from ombdriver.messaging.transport.connection import Reader, pack

KEYS = st.none() | st.binary(max_size=20)
TEXTS = st.text(max_size=20) | st.binary(max_size=20).map(lambda data: data.decode("utf-8", "surrogateescape"))
HEADERS = st.dictionaries(TEXTS.filter(bool), TEXTS, max_size=4)


def _can_be_sent(headers: dict[str, str]) -> bool:
    """A lone surrogate that stands for no byte is no text that bytes could be made of."""
    try:
        for text in (*headers, *headers.values()):
            text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return False
    return True


SENDABLE = HEADERS.filter(_can_be_sent)


@given(value=st.binary(max_size=50), key=KEYS, headers=SENDABLE)
def test_a_record_comes_back_as_it_was(value: bytes, key: bytes | None, headers: dict[str, str]) -> None:
    """Whatever the bytes and texts are; so it does from names and values in turn, as the server gives them."""
    fields = record_fields(value, key, headers)

    assert parse_record(fields) == Record(value, key, headers, fields)
    assert parse_record([part for pair in fields.items() for part in pair]) == parse_record(fields)


@given(fields=st.dictionaries(st.binary(max_size=8), st.binary(max_size=8), max_size=5))
def test_what_other_programs_wrote_is_whole(fields: dict[bytes, bytes]) -> None:
    """No field is lost, and none makes reading fail; without a field `value` there is no value."""
    record = parse_record(fields)

    assert record.fields == fields
    assert record.value == fields.get(b"value")


@pytest.mark.parametrize("headers", [{"": "x"}, {"a": 1}, {1: "a"}, {"a": b"x"}, {"a": None}])
def test_headers_are_texts(headers: dict) -> None:
    """What is none is refused, and named."""
    with pytest.raises(MessagingValueError, match="header"):
        record_fields(b"v", None, headers)
    with pytest.raises(MessagingValueError, match="header"):
        pack_record(b"v", None, headers)


@given(value=st.binary(max_size=50), key=KEYS, headers=st.none() | SENDABLE)
def test_a_packed_body_is_what_hiredis_packs(value: bytes, key: bytes | None, headers: dict[str, str] | None) -> None:
    """The fields of the record, in order, whatever bytes they hold."""
    body, count = pack_record(value, key, headers)
    fields = record_fields(value, key, headers)

    assert count == len(fields)
    words = tuple(part for pair in fields.items() for part in pair)
    assert body == pack(words).split(b"\r\n", 1)[1]
    reader = Reader()
    reader.feed(b"*%d\r\n%b" % (2 * count, body))
    assert reader.gets() == list(words)


def test_keys_beside_a_stream_share_its_hash_tag() -> None:
    """So that a script may cover both."""
    assert helper_key("{t:3}", "dlq") == b"{t:3}:dlq"
    assert helper_key(b"{t:3}", "delayed", "group", "x") == b"{t:3}:delayed:group:x"
