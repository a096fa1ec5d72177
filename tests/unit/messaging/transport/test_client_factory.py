"""URLs and clients: what is refused, and that no password is ever told."""

from typing import Any

import pytest
import redis
import redis.asyncio

from ombdriver.messaging import MessagingError, MessagingValueError, MQClient
from ombdriver.messaging.transport.factory import check_client, open_client, settings_of

SECRET = "s3cr3t"


@pytest.mark.parametrize(
    "url",
    [
        f"http://u:{SECRET}@host/0",
        f"redis://u:{SECRET}@host:port/0",
        f"redis://u:{SECRET}@host:0/0",
        f"redis://u:{SECRET}@host/first",
        f"redis://u:{SECRET}#x@host:12/0",
        f"redis://u:{SECRET}@[::1/0",
        f"redis://u:{SECRET}@host/0?db=x",
        f"redis://u:{SECRET}@host/0?no_such_option=1",
        f"u:{SECRET}@host",
    ],
)
def test_a_url_that_can_not_be_read_is_refused_without_its_password(url: str) -> None:
    """The message says what a URL looks like, and neither it nor an error before it shows the password."""
    with pytest.raises(MessagingValueError, match=r"give|write") as caught:
        MQClient(redis_url=url)

    error = caught.value
    assert error.__cause__ is None
    assert error.__context__ is None or error.__suppress_context__
    assert SECRET not in str(error)


def test_an_option_that_does_not_exist_is_refused_when_the_client_is_made() -> None:
    """Not with the first command: the option is named."""
    with pytest.raises(MessagingValueError, match="no_such_option"):
        open_client("redis://localhost", {"no_such_option": 1})


def test_the_default_client_suits_a_queue() -> None:
    """No socket time-out that would end a blocking read, and nothing is sent twice behind the caller's back."""
    options = open_client("redis://localhost", {}).connection_pool.connection_kwargs

    assert options["socket_timeout"] is None
    assert options["retry"].get_retries() == 0
    assert options["decode_responses"] is True


@pytest.mark.parametrize(("scheme", "name"), [("redis", None), ("rediss", "db.example")])
def test_one_server_is_reached_at_another_address_and_its_certificate_is_for_its_own(
    scheme: str, name: str | None
) -> None:
    """As by a proxy on this machine."""
    client = open_client(
        f"{scheme}://db.example:7000", {"address_remap": lambda address: ("127.0.0.1", address[1] + 1)}
    )
    pool = client.connection_pool

    arguments = pool.connection_class(**pool.connection_kwargs)._connection_arguments()

    assert (arguments["host"], arguments["port"]) == ("127.0.0.1", 7001)
    assert arguments.get("server_hostname") == name


def test_a_unix_socket_has_no_address_to_map() -> None:
    """It would be given up silently."""
    with pytest.raises(MessagingValueError, match="a unix socket has no address to map"):
        open_client("unix:///tmp/there.sock", {"address_remap": lambda address: address})


def test_two_ways_to_write_one_server_are_equal() -> None:
    """Defaults spelt out or not."""
    assert settings_of("redis://localhost", {}) == settings_of("redis://localhost:6379/0", {"decode_responses": True})
    assert settings_of("redis://localhost/1", {}) != settings_of("redis://localhost", {})


@pytest.mark.parametrize("client", [redis.Redis(), object(), None, "redis://localhost"])
def test_a_client_of_another_kind_is_refused(client: Any) -> None:
    """Blocking clients and clusters are not taken for asyncio clients of one server."""
    with pytest.raises(MessagingValueError, match=r"redis\.asyncio"):
        check_client(client)


def test_a_cluster_client_is_accepted() -> None:
    """Its seeds and its login are what matters."""
    check_client(redis.asyncio.RedisCluster(host="localhost"))


def test_a_client_with_another_encoding_is_refused() -> None:
    """Text goes out as UTF-8, so it has to come back so."""
    with pytest.raises(MessagingValueError, match="utf-8"):
        check_client(redis.asyncio.Redis(encoding="latin-1"))


def test_nothing_to_connect_to_is_refused() -> None:
    """A client without name, URL and client has nowhere to go."""
    with pytest.raises(MessagingError, match="redis_name, redis_url nor redis_pool"):
        MQClient()


def test_a_client_may_be_made_outside_of_an_event_loop() -> None:
    """Its connections are made in the loop that uses it; the repr tells no password."""
    client = MQClient("name", f"redis://u:{SECRET}@localhost")

    assert repr(client) == "<MQClient <RouterSource name 'name'>>"
    with pytest.raises(MessagingError, match="no running event loop"):
        client.redis_pool  # noqa: B018 - it is a property that connects


def test_a_client_that_asks_sentinels_is_accepted() -> None:
    """Its connection class finds the master anew for each connection that is made from it."""
    check_client(redis.asyncio.Sentinel([("localhost", 26379)]).master_for("orders"))
