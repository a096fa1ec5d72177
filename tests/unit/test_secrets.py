"""No password survives redaction, also in URLs that were mistyped."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ombdriver.secrets import redact_text, redact_url


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://127.0.0.1:6379/0", "redis://127.0.0.1:6379/0"),
        ("redis://[::1]:6379", "redis://[::1]:6379"),
        ("redis://ann:hunter2@host:6379/1", "redis://ann:***@host:6379/1"),
        ("rediss://:hunter2@host", "rediss://:***@host"),
        ("unix://ann:hunter2@/run/redis.sock?db=2", "unix://ann:***@/run/redis.sock?db=2"),
        ("redis://host?password=hunter2&db=1", "redis://host?password=***&db=1"),
        ("redis://:hun/ter#2@x@host:1", "redis://:***@host:1"),
        ("redis://hunter2@host", "redis://***@host"),
        ("redis://ann:hunter2", "redis://ann:***"),
        ("redis://ann:6379/0", "redis://ann:6379/0"),
        ("redis://host?pasword=hunter2&db=1", "redis://host?pasword=***&db=1"),
        ("redis://host?pw=hunter2", "redis://host?pw=***"),
        (
            "rediss://host?ssl_ca_certs=ca.pem&ssl_password=hunter2",
            "rediss://host?ssl_ca_certs=ca.pem&ssl_password=***",
        ),
        ("redis:/ann:hunter2@host", "redis:/ann:***@host"),
        ("--url=redis://ann:hunter2@host", "--url=redis://ann:***@host"),
    ],
)
def test_a_password_is_hidden_and_the_rest_is_kept(url: str, shown: str) -> None:
    """Whatever form the URL has, the password gives way and the host stays readable."""
    assert redact_url(url) == shown


@settings(deadline=None)
@given(st.text(alphabet="abcXYZ019:/?#[]@!$&'()*+,;=%._~- ", min_size=1, max_size=20))
def test_no_password_survives(middle: str) -> None:
    """Any characters in the password, escaped or not, are hidden."""
    password = f"HUNTER{middle}TWO"

    shown = redact_url(f"redis://ann:{password}@host:6379/0")

    assert shown == "redis://ann:***@host:6379/0"


def test_every_url_of_a_text_is_redacted() -> None:
    """A text may name several URLs; what stands around them is kept."""
    text = "cannot reach redis://:a@one, nor redis://ann:b@two; write to me@example"

    assert redact_text(text) == "cannot reach redis://:***@one, nor redis://ann:***@two; write to me@example"


@pytest.mark.parametrize(
    "text",
    [
        "write redis://USER:PASSWORD@HOST:PORT, or a setup file",
        "give redis://[[USER]:PASSWORD@]HOST[:PORT][/DB], rediss://… or unix://PATH[?db=DB]",
        "give redis+cluster://[USER:PASSWORD@]HOST:PORT,HOST:PORT or redis+sentinel://[USER:PASSWORD@]HOST:PORT/MASTER",
    ],
)
def test_what_our_messages_say_to_write_is_no_login(text: str) -> None:
    """Who copied `***` out of an advice would send it to the server."""
    assert redact_text(text) == text


@pytest.mark.parametrize(
    "url",
    [
        "redis://USER:PASSWORD@x@HOST",
        "redis://USER:PASSWORD@HOST@host",
        "redis://USER:PASSWORDS@HOST",
        "redis://ann:PASSWORD@HOST",
        "redis://USER:PASSWORD@HOSTILE",
        "redis://USER:PASSWORD@host",
    ],
)
def test_what_only_looks_like_an_example_is_hidden(url: str) -> None:
    """A password may be any word."""
    assert "PASSWORD" not in redact_text(f"see {url}")
