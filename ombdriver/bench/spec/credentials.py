"""Where a run connects to, with its login: from the environment or a file that a setup names, or from server options.

The one place that reads a password. What it gives goes to a driver, and never into a message, a log or a result.
"""

import contextlib
import errno
import os
import stat
import time
from collections.abc import Mapping
from pathlib import Path

from ombdriver.bench.servers.configuration import login_of
from ombdriver.bench.servers.options import ServerConfig
from ombdriver.bench.servers.url import files_of, with_login, with_options
from ombdriver.bench.spec.setup_server import Server, Tls
from ombdriver.errors import InputError

PIPE_S = 5.0
"""How long the writer of a pipe may take to come."""
MAX_BYTES = 1 << 16


def connect_url(server: Server, environment: Mapping[str, str] = os.environ) -> str:
    """The URL of a server that runs already, with everything that is needed to connect.

    Raises:
        InputError: if a variable is not set, or a file can't be read, or is not there.
    """
    for given in server.urls:
        for option, name in files_of(given).items():
            if not Path(name).is_file():
                raise InputError(f"{option}: there is no file {name}; check the path")
    password = _secret(server.password_env, server.password_file, "server.password", environment)
    url = with_login(server.joined_url, server.username, password)
    sentinels = _secret(
        server.sentinel_password_env, server.sentinel_password_file, "server.sentinelPassword", environment
    )
    url = with_options(url, {"sentinel_username": server.sentinel_username, "sentinel_password": sentinels})
    if not isinstance(server.tls, Tls):
        return url
    tls = server.tls
    for name, path in (("caFile", tls.ca_file), ("certFile", tls.cert_file), ("keyFile", tls.key_file)):
        if path is not None and not Path(path).is_file():
            raise InputError(f"server.tls.{name}: there is no file {path}; check the path")
    return with_options(
        url,
        {
            "ssl_ca_certs": tls.ca_file,
            "ssl_certfile": tls.cert_file,
            "ssl_keyfile": tls.key_file,
            "ssl_check_hostname": None if tls.check_hostname else "false",
        },
    )


def started_url(url: str, config: ServerConfig) -> str:
    """`url`, of servers that were started with `config`, with the login that they ask for, if they do."""
    login = login_of(config)
    if login is None:
        return url
    return with_login(url, None if login.user == "default" else login.user, login.password)


def _secret(variable: str | None, path: str | None, field: str, environment: Mapping[str, str]) -> str | None:
    if variable is not None:
        if variable not in environment:
            raise InputError(f"{field}Env: the environment variable {variable} is not set; set it to the password")
        return environment[variable]
    if path is None:
        return None
    try:
        return _content(Path(path)).decode().rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
        raise InputError(f"{field}File: {path} can't be read ({reason}); name a file with the password") from error


def _content(path: Path) -> bytes:
    """The first bytes of a file, or all that comes out of a pipe, whose writer may come within `PIPE_S`.

    Raises:
        OSError: if it can't be read, nobody writes into the pipe, or it is neither.
    """
    mode = path.stat().st_mode
    if stat.S_ISREG(mode):
        with path.open("rb") as file:
            return file.read(MAX_BYTES)
    if not stat.S_ISFIFO(mode):
        raise OSError(errno.EINVAL, "neither a file nor a pipe")
    # Without a writer a plain `open` would wait for ever, and heed no signal.
    pipe = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        content, until_s = b"", time.monotonic() + PIPE_S
        while time.monotonic() < until_s and len(content) < MAX_BYTES:
            with contextlib.suppress(BlockingIOError):  # there is a writer, who has more to say
                if part := os.read(pipe, 4096):
                    content += part
                    continue
                if content:
                    return content
            time.sleep(0.02)
        raise OSError(errno.ETIMEDOUT, f"a pipe into which nobody writes for {PIPE_S:g} s")
    finally:
        os.close(pipe)
