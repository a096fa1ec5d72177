"""Server options that a plan may set, and whether a running server has taken them. Pure.

Knows option names and how people write values; asks no server. A value that is a password is never shown.
"""

import re
import shlex
from collections.abc import Mapping, Sequence

from ombdriver.bench.servers.engine import SECRET_KEYS

Options = Mapping[str, str | Sequence[str]]

_OWNED = (
    "port bind bind-source-addr unixsocket unixsocketperm protected-mode dir daemonize supervised pidfile logfile "
    "cluster-enabled cluster-config-file cluster-port cluster-announce-ip cluster-announce-port "
    "cluster-announce-tls-port cluster-announce-bus-port replicaof slaveof replica-announce-ip replica-announce-port "
    "slave-announce-ip slave-announce-port sentinel include rename-command"
)
OWNED = frozenset(_OWNED.split())
"""What a private server is given by us, or what would take it out of our hands."""

_TLS_CHOICES = (
    "tls-protocols tls-ciphers tls-ciphersuites tls-prefer-server-ciphers tls-session-caching tls-session-cache-size "
    "tls-session-cache-timeout"
)
TLS_CHOICES = frozenset(_TLS_CHOICES.split())
"""The TLS options that a plan with TLS may set; certificates and ports are ours."""

UNREADABLE = frozenset({"user", "loadmodule"})
"""What a server takes from its file and does not tell by CONFIG GET; a fault in one of these ends it at its start."""

_NAME = re.compile(r"[A-Za-z0-9._-]+")
_SIZE = re.compile(r"(\d+)(b|k|kb|m|mb|g|gb)?", re.I)
_UNITS = {"": 1, "b": 1, "k": 10**3, "kb": 2**10, "m": 10**6, "mb": 2**20, "g": 10**9, "gb": 2**30}


def option_errors(options: Options, tls: bool) -> list[str]:
    """What can't stand in a plan's options, as sentences that end with the way out."""
    found = []
    names = [name.lower() for name in options]
    for name, value in options.items():
        lower = name.lower()
        if not _NAME.fullmatch(name):
            found.append(f"config: {name!r} is no option's name; write it as in the server's configuration file")
        elif lower in OWNED or (lower.startswith("tls-") and lower not in TLS_CHOICES):
            found.append(f"config: {name} is not for a plan to set, since ombdriver does; remove it")
        elif lower in TLS_CHOICES and not tls:
            found.append(f"config: {name} has no meaning without TLS; remove it, or switch TLS on")
        if any(mark in text for text in each(value) for mark in "\r\n\0"):
            found.append(f"config: the value of {name} holds a line break or NUL; write it in one line")
        if not each(value):
            found.append(f"config: {name} has no value; give one, or remove it")
        if names.count(lower) > 1 and name == next(one for one in options if one.lower() == lower):
            found.append(f"config: {name} is there twice; remove one")
    return found


def each(value: str | Sequence[str]) -> Sequence[str]:
    """The values of an option, of which most have one."""
    return (value,) if isinstance(value, str) else value


def unquoted(value: str) -> str:
    """`value` as the server takes it from its file, when it is one word in quotes."""
    found = _words(value)
    return found[0] if len(found) == 1 and value[:1] in ("'", '"') else value


def in_one(value: str | Sequence[str]) -> str:
    """All values of an option as CONFIG SET takes them."""
    return " ".join(word for text in each(value) for word in _words(text))


def alike(wanted: str | Sequence[str], found: str) -> bool:
    """Whether `found`, which the server tells, is what was wanted: word by word, in any unit and case."""
    return _plain(in_one(wanted)) == _plain(found)


def shown_difference(name: str, wanted: str | Sequence[str], found: str | None) -> str:
    """What to say of an option that is not as wanted; `found` is None where the server does not tell it."""
    if found is None:
        return f"does not tell what {name} is, so that it can't be checked; remove it from the config"
    if name in SECRET_KEYS:
        return f"has another {name} than the config says; correct it"
    return f"has {name} {found!r} in place of {in_one(wanted)!r}; correct the config, or what limits the server"


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:  # a quote that does not end
        return text.split()


def _plain(text: str) -> list[str | int]:
    return [_plain_word(word) for word in text.split()]


def _plain_word(word: str) -> str | int:
    size = _SIZE.fullmatch(word)
    return int(size[1]) * _UNITS[(size[2] or "").lower()] if size else word.lower()
