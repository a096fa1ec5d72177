"""OMB's own driver file for Redis, read as a setup: `redisHost`, `redisPort`, `redisUser`, `redisPass`, ... Pure.

OMB keeps the password in the file, so there, and only there, it may stand in one.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from urllib.parse import quote

from ombdriver.bench.servers.url import check_url
from ombdriver.bench.spec.errors import TEMPLATE, FieldError, render_errors
from ombdriver.bench.spec.setup_server import Origin
from ombdriver.bench.spec.yaml_file import YamlDocument
from ombdriver.bench.units import nearest, quoted
from ombdriver.errors import InputError
from ombdriver.secrets import redact_host

DRIVER_CLASS = "driverClass"
_REDIS_CLASS = re.compile(r".*\.redis\.\w*")
_MEANINGLESS = {
    "jedisPoolMaxTotal": "the size of a pool of Jedis connections; here client.connections says how many there are",
    "jedisPoolMaxIdle": "how many Jedis connections may idle; here none is given back",
    "reset": "OMB flushes the whole server with it; here a run deletes what it created, and nothing else",
}
PREFIX = "redis"
"""With which nearly all keys begin."""
_KNOWN = ("name", DRIVER_CLASS, "redisHost", "redisPort", "redisUser", "redisPass", *_MEANINGLESS)
_IN_A_SETUP = {
    "redisNodes": "names several servers, which OMB's driver does not take; write a setup of ombdriver with "
    "server: {cluster: true, url: [redis://HOST:PORT, ...]}",
    "redisSentinels": "names Sentinels, which OMB's driver does not take; write a setup of ombdriver with "
    "server: {master: NAME, url: [redis://HOST:PORT, ...]}",
    "redisDb": "names a database, which OMB's driver does not take; give --url redis://HOST:PORT/DB",
    **dict.fromkeys(
        ("redisTls", "redisSsl"), "asks for TLS, which OMB's driver does not take; give --url rediss://HOST:PORT"
    ),
}
"""Keys of other versions of that driver, and what to write here."""
_HOST = "write the name or the address of one server, without scheme and port"
_PORT = re.compile(r"[0-9]{1,5}", re.ASCII)


def is_one(data: Mapping[str, object]) -> bool:
    """Whether a file's content is OMB's."""
    return DRIVER_CLASS in data


def translated(document: YamlDocument) -> tuple[YamlDocument, list[str]]:
    """The same as a setup, and a word on each line that has no meaning here.

    Args:
        document: the file with every value as its text, as the driver of OMB takes user and password.

    Raises:
        InputError: if it is for another system, or values or keys can't be; one sentence for each of them.
    """
    data, errors = document.data, list(document.errors)

    def wrong(key: str, message: str) -> None:
        errors.append(FieldError(document.locations.get((key,), 0), key, message))

    name = data[DRIVER_CLASS]
    if not isinstance(name, str) or not _REDIS_CLASS.fullmatch(name):
        wrong(DRIVER_CLASS, f"{quoted(name)} is for another system; give the file of OMB's Redis driver")
        raise InputError(render_errors(document.source, errors))
    for key, value in data.items():
        if key in _IN_A_SETUP:
            wrong(key, _IN_A_SETUP[key])
        elif key not in _KNOWN:
            near = _nearest(key, [each for each in _KNOWN if each not in data])
            hint = f"did you mean {near}?" if near else f"remove it (known: {', '.join(_KNOWN)})"
            wrong(key, f"unknown key in a driver file of OMB; {hint}")
        elif isinstance(value, str) and TEMPLATE.search(value) and key != "redisPass":
            wrong(key, f"{quoted(value)} is a place of a template; put the value in its place")
        elif isinstance(value, dict | list) and key not in {error.field for error in errors}:
            wrong(key, "holds more than one value; write one, in quotes if it has braces or brackets")
    told = {error.field for error in errors}
    host, port = data.get("redisHost"), data.get("redisPort") or "6379"
    if "redisHost" not in told and not (isinstance(host, str) and _is_host(host)):
        shown = quoted(redact_host(str(host)))
        wrong("redisHost", f"{shown} is no host; {_HOST}" if host else "is missing; add a line redisHost: HOST")
    if "redisPort" not in told and not (_PORT.fullmatch(str(port)) and 0 < int(str(port)) < 65536):
        wrong("redisPort", f"{quoted(port)} is no port; write a number from 1 to 65535")
    if errors:
        raise InputError(render_errors(document.source, errors))
    user, password = (quote(str(data.get(key) or ""), safe="") for key in ("redisUser", "redisPass"))
    login = f"{user}:{password}@" if password else f"{user}@" if user else ""
    host = f"[{host}]" if ":" in str(host) else host
    setup: dict[str, object] = {
        "name": re.sub(r"[^A-Za-z0-9._-]+", "-", str(data.get("name") or "redis")).strip("-._") or "redis",
        "description": "from a driver file of the OpenMessaging Benchmark",
        "driver": "redis-streams",
        "server": {"url": f"redis://{login}{host}:{port}"},
    }
    notes = [f"{key} has no meaning here: {why}" for key, why in _MEANINGLESS.items() if key in data]
    return replace(document, data=setup), notes


def _nearest(key: str, known: Sequence[str]) -> str | None:
    """The nearest key; that all begin with the same word makes none nearer."""
    near = nearest(key, known)
    if near is None or nearest(key.removeprefix(PREFIX), [near.removeprefix(PREFIX)], cutoff=0.5) is None:
        return None
    return near


def origin(document: YamlDocument) -> Origin:
    """What gave address and login: lines of the file, or an option in their place."""
    if ("server", "url") in document.locations:
        return Origin(document.place("server", "url"))
    login = [document.place(key) for key in ("redisUser", "redisPass") if (key,) in document.locations]
    return Origin(document.place("redisHost"), " and ".join(login))


def _is_host(host: str) -> bool:
    """Whether it is one host: nothing of a URL but its host."""
    try:
        check_url(f"redis://[{host}]" if ":" in host else f"redis://{host}")
    except ValueError:
        return False
    return not re.search(r"[/?#@,%]", host)
