"""Options of servers: which a plan may set, how their values are written, and whether a running server has them. Pure.

Knows option names and how people write values; asks no server. A value that is a password is never shown.
"""

import re
import shlex
from collections.abc import Mapping, Sequence

ServerConfig = Mapping[str, str | Sequence[str]]
"""Options by their names in a configuration file; one with several values (`user`) is written once for each."""

PASSWORD_OPTIONS = ("requirepass", "masterauth", "primaryauth", "tls-key-file-pass")
"""Options whose value is a password."""

_RESERVED = (
    "port bind bind-source-addr unixsocket unixsocketperm protected-mode dir daemonize supervised pidfile logfile "
    "cluster-enabled cluster-config-file cluster-port cluster-announce-ip cluster-announce-port "
    "cluster-announce-tls-port cluster-announce-bus-port replicaof slaveof replica-announce-ip replica-announce-port "
    "slave-announce-ip slave-announce-port sentinel include rename-command"
)
RESERVED_OPTIONS = frozenset(_RESERVED.split())
"""What a private server is given by us, or what would take it out of our hands."""

_TLS = (
    "tls-protocols tls-ciphers tls-ciphersuites tls-prefer-server-ciphers tls-session-caching tls-session-cache-size "
    "tls-session-cache-timeout"
)
TLS_OPTIONS = frozenset(_TLS.split())
"""The TLS options that a plan with TLS may set; certificates and ports are ours."""

UNTOLD_OPTIONS = frozenset({"user", "loadmodule"})
"""What a server takes from its file and does not tell by CONFIG GET; a fault in one of these ends it at its start."""

_NAME = re.compile(r"[A-Za-z0-9._-]+")
_SIZE = re.compile(r"(\d+)(b|k|kb|m|mb|g|gb)?", re.I)
_UNITS = {"": 1, "b": 1, "k": 10**3, "kb": 2**10, "m": 10**6, "mb": 2**20, "g": 10**9, "gb": 2**30}


def option_errors(options: ServerConfig, tls: bool) -> list[str]:
    """What can't stand in a plan's options, as sentences that end with the way out."""
    found = []
    names = [name.lower() for name in options]
    for name, value in options.items():
        lower = name.lower()
        if not _NAME.fullmatch(name):
            found.append(f"config: {name!r} is no option's name; write it as in the server's configuration file")
        elif lower in RESERVED_OPTIONS or (lower.startswith("tls-") and lower not in TLS_OPTIONS):
            found.append(f"config: {name} is not for a plan to set, since ombdriver does; remove it")
        elif lower in TLS_OPTIONS and not tls:
            found.append(f"config: {name} has no meaning without TLS; remove it, or switch TLS on")
        if any(mark in text for text in values_of(value) for mark in "\r\n\0"):
            found.append(f"config: the value of {name} holds a line break or NUL; write it in one line")
        if not values_of(value):
            found.append(f"config: {name} has no value; give one, or remove it")
        if names.count(lower) > 1 and name == next(one for one in options if one.lower() == lower):
            found.append(f"config: {name} is there twice; remove one")
    return found


def values_of(value: str | Sequence[str]) -> Sequence[str]:
    """The values of an option, of which most have one."""
    return (value,) if isinstance(value, str) else value


def unquoted(value: str) -> str:
    """`value` as the server takes it from its file, when it is one word in quotes."""
    found = _words(value)
    return found[0] if len(found) == 1 and value[:1] in ("'", '"') else value


def joined(value: str | Sequence[str]) -> str:
    """All values of an option as CONFIG SET takes them."""
    return " ".join(word for text in values_of(value) for word in _words(text))


def is_same(wanted: str | Sequence[str], found: str) -> bool:
    """Whether `found`, which the server tells, is what was wanted: word by word, in any unit and case."""
    return _plain(joined(wanted)) == _plain(found)


def difference(name: str, wanted: str | Sequence[str], found: str | None) -> str:
    """What to say of an option that is not as wanted; `found` is None where the server does not tell it."""
    if found is None:
        return f"does not tell what {name} is, so that it can't be checked; remove it from the config"
    if name in PASSWORD_OPTIONS:
        return f"has another {name} than the config says; correct it"
    return f"has {name} {found!r} in place of {joined(wanted)!r}; correct the config, or what limits the server"


def hide_secrets(text: str, config: ServerConfig) -> str:
    """`text` (a server's log, which quotes a faulty line) with `***` for every password that `config` holds."""
    secrets = {value for key in PASSWORD_OPTIONS for value in values_of(config.get(key, ()))}
    for user in values_of(config.get("user", ())):
        secrets |= {word[1:] for word in user.split() if word[0] in "><#!"}
    for line in values_of(config.get("sentinel", ())):
        secrets |= {line.split(maxsplit=2)[2]} if line.startswith("auth-pass ") else set()
    for secret in sorted(secrets - {""}, key=len, reverse=True):
        text = text.replace(secret, "***")
    return text


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
