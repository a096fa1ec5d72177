"""Server options: which a plan may set, and whether a server has taken them."""

from collections.abc import Sequence

import pytest

from ombdriver.bench.servers.options import difference, is_same, joined, option_errors, unquoted


@pytest.mark.parametrize(
    "name", ["port", "BIND", "dir", "unixsocket", "cluster-enabled", "daemonize", "replicaof", "tls-port", "include"]
)
def test_what_ombdriver_sets_is_not_for_a_plan(name: str) -> None:
    """In any case of letters, and with or without TLS."""
    (fault,) = option_errors({name: "1"}, tls=True)

    assert fault == f"config: {name} is not for a plan to set, since ombdriver does; remove it"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"save\nport": "1"}, "is no option's name"),
        ({"*": "1"}, "is no option's name"),
        ({"save": "1 1\nport 0"}, "holds a line break or NUL; write it in one line"),
        ({"save": []}, "has no value; give one, or remove it"),
        ({"save": "1 1", "Save": ""}, "save is there twice; remove one"),
        ({"tls-protocols": "TLSv1.3"}, "no meaning without TLS; remove it, or switch TLS on"),
    ],
)
def test_an_option_that_cannot_stand_there_is_told(options: dict[str, str | Sequence[str]], words: str) -> None:
    """In one sentence, with the way out."""
    (fault,) = option_errors(options, tls=False)

    assert words in fault


def test_any_other_option_is_left_to_the_server() -> None:
    """It knows best what it knows."""
    assert option_errors({"appendfsync": "always", "save": ["1 1", "2 2"], "no-such-thing": "x"}, tls=False) == []


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("100mb", "104857600"),
        ("100MB", "104857600"),
        ("1k", "1000"),
        ("", ""),
        ('""', ""),
        ("YES", "yes"),
        (["3600 1", "300 100"], "3600 1 300 100"),
        ('"everysec"', "everysec"),
        ("normal 0 0 0", "normal 0 0 0"),
    ],
)
def test_the_same_in_other_words_is_the_same(wanted: str | Sequence[str], found: str) -> None:
    """Sizes, cases, quotes, and values on several lines."""
    assert is_same(wanted, found)


def test_another_value_is_another() -> None:
    """A limit that the machine has lowered, and a unit that is not the same."""
    assert not is_same("10000", "4064")
    assert not is_same("1kb", "1000")


def test_values_are_joined_as_config_set_takes_them() -> None:
    """Without the quotes of the file; one that does not end is left."""
    assert joined(["3600 1", '"300" 100']) == "3600 1 300 100"
    assert joined("it's") == "it's"
    assert unquoted('"open sesame"') == "open sesame"
    assert unquoted("open sesame") == "open sesame"


def test_a_difference_never_shows_a_password() -> None:
    """Of other options it shows both values."""
    assert "sesame" not in difference("requirepass", "sesame", "open sesame")
    assert difference("maxclients", "10000", "4064") == (
        "has maxclients '4064' in place of '10000'; correct the config, or what limits the server"
    )
    assert "does not tell what lua-replicate-commands is" in difference("lua-replicate-commands", "yes", None)
