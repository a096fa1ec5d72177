"""What a server says of itself is taken as far as it can be read; whatever it answers, no run ends by that."""

from collections.abc import Awaitable, Callable, Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest
from redis.exceptions import AuthenticationError, NoPermissionError, ResponseError

from ombdriver.bench.drivers.redis_streams.control import Control
from ombdriver.bench.drivers.redis_streams.server import SETTINGS, facts, has_command, settings
from ombdriver.messaging.errors import RedisError

INFO = b"redis_version:7.2.4\r\nredis_mode:standalone\r\nmaxmemory:0\r\nused_memory:1000\r\n"


class Server:
    """Answers commands as it is told; as a `Control` that sends to one server.

    Args:
        replies: by the first word of a command; an error is raised.
    """

    def __init__(self, **replies: object) -> None:
        self._replies = {"INFO": INFO, "COMMAND": [[b"xadd"]], "XTRIM": 0, "CONFIG": [b"x", b"1"], **replies}
        self.router = SimpleNamespace(controls=lambda: [self])

    async def execute(self, *words: str) -> Any:
        """The reply to a command."""
        reply = self._replies[words[0]]
        if isinstance(reply, Exception):
            raise reply
        return reply

    async def ask_node(self, node: "Server", *words: str) -> Any:
        """See `Control.ask_node`."""
        return await node.execute(*words)

    async def outlast(self, action: Callable[[], Awaitable[Any]], bound_s: float = 0) -> Any:
        """See `Control.outlast`; nothing passes here."""
        return await action()

    @property
    def control(self) -> Control:
        """As what asks it takes it."""
        return cast(Control, self)


NO_TEXT: Sequence[object] = (None, 3, [], [b"a", b"b"], b"")


@pytest.mark.parametrize(
    "reply",
    [
        *NO_TEXT,
        ResponseError("ERR unknown command 'INFO'"),
        NoPermissionError("this user has no permissions"),
        ResponseError("DENIED by the provider"),
        ResponseError("command not allowed"),
        b"\xff\xfe:\x00\r\n:::\r\nnothing",
    ],
)
async def test_a_server_that_tells_nothing_is_not_known(reply: object) -> None:
    """In whatever form it does not; what it can is asked for all the same."""
    found = await facts(Server(INFO=reply).control)

    assert {found[name] for name in ("engine", "version", "mode", "role", "usedMemoryBytes", "maxMemoryBytes")} == {
        None
    }
    assert (found["hasStreams"], found["hasMinid"]) == (True, True)


@pytest.mark.parametrize(
    "error", [AuthenticationError("NOAUTH Authentication required."), ResponseError("BUSY a script")]
)
async def test_a_server_that_may_tell_later_or_wants_a_login_is_told_so(error: RedisError) -> None:
    """Neither is a server without INFO."""
    with pytest.raises(RedisError, match=str(error)):
        await facts(Server(INFO=error).control)


@pytest.mark.parametrize(
    ("value", "number"),
    [("0", 0), (" 12 ", 12), ("unlimited", None), ("1.5gb", None), ("-1", None), ("²", None), ("", None)],
)
async def test_a_figure_is_a_whole_number_or_not_known(value: str, number: int | None) -> None:
    """As other servers write it."""
    found = await facts(Server(INFO=INFO + f"maxclients:{value}\r\nmaxmemory:{value}\r\n".encode()).control)

    assert found["maxMemoryBytes"] == number
    assert found["maxClients"] == (number or None)


@pytest.mark.parametrize("reply", [None, 3, [], b"OK", ResponseError("ERR unknown command 'COMMAND'")])
async def test_a_command_is_there_unless_the_server_says_no(reply: object) -> None:
    """Proxies answer COMMAND INFO by nothing; trying tells then."""
    assert await has_command(Server(COMMAND=reply).control, "XADD")
    assert not await has_command(Server(COMMAND=[None]).control, "XADD")


@pytest.mark.parametrize("reply", [None, 3, [], [b"x"], [b"x", None], [b"x", 3], b"OK"])
async def test_a_setting_that_is_not_told_is_not_known(reply: object) -> None:
    """In whatever form it is not; and none is known where CONFIG is refused."""
    assert await settings(Server(CONFIG=reply).control) == dict.fromkeys(SETTINGS)
    assert await settings(Server(CONFIG=ResponseError("ERR CONFIG is disabled")).control) is None
