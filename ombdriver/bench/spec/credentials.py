"""Where a run connects to, with its login: from the environment or a file that a setup names, or from server options.

The one place that reads a password. What it gives goes to a driver, and never into a message, a log or a result.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path

from ombdriver.bench.servers.configuration import login_of
from ombdriver.bench.servers.options import ServerConfig
from ombdriver.bench.servers.secret_file import read_secret
from ombdriver.bench.servers.url import files_of, with_login, with_options
from ombdriver.bench.spec.setup_server import Server, Tls
from ombdriver.errors import InputError


def connect_url(server: Server, environment: Mapping[str, str] = os.environ) -> str:
    """The URL of a server that runs already, with everything that is needed to connect.

    Raises:
        InputError: if a variable is not set, or a file can't be read, or is not there.
    """
    for given in server.urls:
        for option, name in files_of(given).items():
            _check_file(option, name)
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
        if path is not None:
            _check_file(f"server.tls.{name}", path)
    return with_options(
        url,
        {
            "ssl_ca_certs": tls.ca_file,
            "ssl_certfile": tls.cert_file,
            "ssl_keyfile": tls.key_file,
            "ssl_check_hostname": None if tls.check_hostname else "false",
        },
    )


_VARIABLE = re.compile("[A-Z_][A-Z0-9_]*")
_PATH = re.compile("[/.]")
_MAY_BE_PASSWORD = "there is none of that name, which is not shown, for it may be the password itself"
"""What does not look like a name, and is none, is what people write who take the key for the password's."""


def _check_file(field: str, name: str) -> None:
    """Whoever reads it later would wait for ever at a pipe into which nobody writes."""
    if not Path(name).is_file():
        what = f"{name} is no regular file" if Path(name).exists() else f"there is no file {name}"
        raise InputError(f"{field}: {what}; check the path")


def started_url(url: str, config: ServerConfig) -> str:
    """`url`, of servers that were started with `config`, with the login that they ask for, if they do."""
    login = login_of(config)
    if login is None:
        return url
    return with_login(url, None if login.user == "default" else login.user, login.password)


def _secret(variable: str | None, path: str | None, field: str, environment: Mapping[str, str]) -> str | None:
    if variable is not None:
        if variable not in environment:
            if not _VARIABLE.fullmatch(variable):
                raise InputError(f"{field}Env: {_MAY_BE_PASSWORD}; write the name of an environment variable")
            raise InputError(f"{field}Env: the environment variable {variable} is not set; set it to the password")
        if not environment[variable]:
            raise InputError(f"{field}Env: the environment variable {variable} is empty; set it to the password")
        return environment[variable]
    if path is None:
        return None
    try:
        lines = read_secret(Path(path)).decode().rstrip("\r\n").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        if isinstance(error, FileNotFoundError) and not _PATH.search(path):
            raise InputError(f"{field}File: {_MAY_BE_PASSWORD}; write the path of a file with the password") from None
        reason = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
        raise InputError(f"{field}File: {path} can't be read ({reason}); name a file with the password") from error
    if not lines:
        raise InputError(f"{field}File: {path} is empty; write the password into it")
    if len(lines) > 1:
        raise InputError(f"{field}File: {path} has {len(lines)} lines; write the password alone into it")
    return lines[0]
