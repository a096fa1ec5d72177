"""What the server's refusals become: an error of ours that ends with the way out."""

import pytest

from ombdriver.bench.drivers.redis_streams.server import map_errors
from ombdriver.errors import ServerError
from ombdriver.messaging.errors import NotSentError, RedisError


@pytest.mark.parametrize(
    ("server", "text", "end"),
    [
        ("rediss://h", "[SSL: CERTIFICATE_VERIFY_FAILED] self-signed (_ssl.c:1).", "(_ssl.c:1); name the authority"),
        ("rediss://h", "Timeout connecting to server", "server; is the server up, and the URL right? if the port has"),
        ("rediss://h", "[SSL: WRONG_VERSION_NUMBER] wrong version number", "number; if the port has no TLS, write"),
        ("redis://h", "Error while reading from h:1 : (104, 'reset')", "is one for TLS, write rediss://"),
        ("redis://h", "Connection closed by server.", "by server; is the server up, and the URL right? if the port is"),
        ("redis://h", "Timeout connecting to server", "server; is the server up, and the URL right?"),
        ("redis://h/99", "DB index is out of range", "range; write a database that the server has"),
        ("redis://h", "Hash slot not served", "served; assign every slot of the cluster"),
        (
            "redis+cluster://h",
            "This instance has cluster support disabled",
            "disabled; the server stands alone: remove",
        ),
        ("rediss://h", "Error No cipher can be selected. connecting to h:1", "h:1; correct ssl_ciphers"),
        ("redis://h", "You can't write against a read only replica.", "replica; give the URL of its primary"),
    ],
)
def test_an_error_of_the_server_ends_with_the_way_out(server: str, text: str, end: str) -> None:
    """By its text, and by how the URL begins."""
    with pytest.raises(ServerError) as raised, map_errors(server):
        raise RedisError(text)

    assert str(raised.value).startswith(f"{server}: {text.rstrip('.')}; ")
    assert end in str(raised.value)


def test_an_advice_is_given_once() -> None:
    """What the library says is left out where there is better; else it stays."""
    with pytest.raises(ServerError) as raised, map_errors("rediss://h"):
        raise NotSentError("SSL trouble; is it up?") from OSError("SSL trouble")
    assert str(raised.value) == "rediss://h: SSL trouble; if the port has no TLS, write redis://"

    with pytest.raises(ServerError, match=r"^redis://h: refused; is it up\?$"), map_errors("redis://h"):
        raise NotSentError("refused; is it up?") from OSError("refused")
