"""OMB's own driver file for Redis, read as a setup: `redisHost`, `redisPort`, `redisUser`, `redisPass`, ... Pure.

OMB keeps the password in the file, so there, and only there, it may stand in one.
"""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from ombdriver.bench.units import quoted

DRIVER_CLASS = "driverClass"
_REDIS_CLASS = re.compile(r".*\.redis\.\w*")
_MEANINGLESS = {
    "jedisPoolMaxTotal": "the size of a pool of Jedis connections; here client.connections says how many there are",
    "jedisPoolMaxIdle": "how many Jedis connections may idle; here none is given back",
    "reset": "OMB flushes the whole server with it; here a run deletes what it created, and nothing else",
}
_KNOWN = ("name", DRIVER_CLASS, "redisHost", "redisPort", "redisUser", "redisPass", *_MEANINGLESS)


def is_one(data: Mapping[str, object]) -> bool:
    """Whether a file's content is OMB's."""
    return DRIVER_CLASS in data


def translated(data: Mapping[str, object]) -> tuple[dict[str, Any], list[str]]:
    """The same as a setup, and a word on each line that has no meaning here.

    Raises:
        ValueError: if it is for another system, or a value or key can't be.
    """
    name = str(data[DRIVER_CLASS])
    if not _REDIS_CLASS.fullmatch(name):
        raise ValueError(f"{DRIVER_CLASS}: {quoted(name)} is for another system; give the file of OMB's Redis driver")
    if unknown := [key for key in data if key not in _KNOWN]:
        raise ValueError(f"{unknown[0]}: unknown key in a driver file of OMB; remove it (known: {', '.join(_KNOWN)})")
    host, port = data.get("redisHost"), data.get("redisPort", 6379)
    if not isinstance(host, str) or not host:
        raise ValueError("redisHost: is missing; add a line redisHost: HOST")
    if not isinstance(port, int) or isinstance(port, bool):
        raise ValueError(f"redisPort: {quoted(port)} is no port; write a number")
    user, password = (quote(str(data.get(key) or ""), safe="") for key in ("redisUser", "redisPass"))
    login = f"{user}:{password}@" if password else f"{user}@" if user else ""
    host = f"[{host}]" if ":" in host else host
    return (
        {
            "name": re.sub(r"[^A-Za-z0-9._-]+", "-", str(data.get("name", "redis"))).strip("-._") or "redis",
            "description": "from a driver file of the OpenMessaging Benchmark",
            "driver": "redis-streams",
            "server": {"url": f"redis://{login}{host}:{port}"},
        },
        [f"{key} has no meaning here: {why}" for key, why in _MEANINGLESS.items() if key in data],
    )
