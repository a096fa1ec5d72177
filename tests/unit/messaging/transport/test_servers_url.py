"""URLs with several servers: what they say, what is refused, and that no password is ever told."""

import pytest
import redis.asyncio

from ombdriver.messaging import MessagingValueError, MQClient
from ombdriver.messaging.transport.factory import open_client, parse_servers, settings_of
from ombdriver.secrets import redact_text, redact_url

SECRET = "s3cr3t"


def test_a_cluster_has_seeds() -> None:
    """Each with its port or the usual one; login and options are those of all."""
    seeds = parse_servers("rediss+cluster://u:p%40@h1:7000,h2,[::1]:7001,[::2]?ssl_cert_reqs=none")

    assert seeds.servers == (("h1", 7000), ("h2", 6379), ("::1", 7001), ("::2", 6379))
    assert seeds.url == "rediss://u:p%40@h1:7000?ssl_cert_reqs=none"
    assert seeds.master is None


def test_sentinels_have_a_master() -> None:
    """And a login of their own, if they want one."""
    seeds = parse_servers(
        "redis+sentinel://u:p@h1,h2:26380/my%20master/3?sentinel_username=x&sentinel_password=y&timeout=1"
    )

    assert seeds.servers == (("h1", 26379), ("h2", 26380))
    assert seeds.url == "redis://u:p@h1:26379/3?timeout=1"
    assert seeds.master == "my master"
    assert seeds.sentinel_login == {"username": "x", "password": "y"}


def test_clients_have_what_the_url_says() -> None:
    """They suit a queue, as one of a single server does, and connect to nothing yet."""
    cluster = open_client(f"redis+cluster://u:{SECRET}@127.0.0.1:7000,127.0.0.2:7001", {})
    assert isinstance(cluster, redis.asyncio.RedisCluster)
    settings = cluster.startup_nodes[1].connection_kwargs
    assert (settings["host"], settings["port"], settings["username"], settings["password"]) == (
        "127.0.0.2",
        7001,
        "u",
        SECRET,
    )
    assert (settings["socket_timeout"], settings["decode_responses"]) == (None, True)

    behind = open_client(f"rediss+sentinel://u:{SECRET}@h1,h2/m/2?sentinel_password=other&ssl_cert_reqs=none", {})
    pool = behind.connection_pool
    assert (pool.service_name, pool.connection_kwargs["db"], pool.connection_kwargs["password"]) == ("m", 2, SECRET)
    assert issubclass(pool.connection_class, redis.asyncio.SSLConnection)
    asked = [one.connection_pool.connection_kwargs for one in pool.sentinel_manager.sentinels]
    assert [(one["host"], one["port"], one["password"]) for one in asked] == [
        ("h1", 26379, "other"),
        ("h2", 26379, "other"),
    ]
    assert all(one["retry"].get_retries() == 0 for one in asked)
    assert str(asked[0]["ssl_cert_reqs"]) == "none"


@pytest.mark.parametrize(
    "url",
    [
        f"redis+cluster://u:{SECRET}@h1:x,h2:1",
        f"redis+cluster://u:{SECRET}@h1:0",
        f"redis+cluster://u:{SECRET}@h1:70000",
        f"redis+cluster://u:{SECRET}@h1:1,",
        f"redis+cluster://u:{SECRET}@h1:1/1",
        f"redis+cluster://u:{SECRET}@h1:1?sentinel_password=x",
        f"redis+cluster://u:{SECRET}@h1:1?no_such_option=1",
        f"redis+cluster://u:{SECRET}@h1:1?socket_timeout=x",
        f"redis+sentinel://u:{SECRET}@h1:1",
        f"redis+sentinel://u:{SECRET}@h1:1/m/x",
        f"redis+sentinel://u:{SECRET}@h1:1/m/1/2",
        f"redis+sentinel://u:{SECRET}@/m",
        f"redis+sentinel://u:p@h1:1/m?sentinel_password={SECRET}&no_such_option=1",
        f"redis+other://u:{SECRET}@h1:1",
    ],
)
def test_what_can_not_be_read_is_refused_without_its_password(url: str) -> None:
    """With the way out."""
    with pytest.raises(MessagingValueError, match=r"give|write") as caught:
        MQClient(redis_url=url)

    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None or caught.value.__suppress_context__


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (f"redis+cluster://u:{SECRET}@h1:1,h2:2", "redis+cluster://u:***@h1:1,h2:2"),
        (f"redis+cluster://{SECRET}@h1:1,h2:2", "redis+cluster://***@h1:1,h2:2"),
        (
            f"rediss+sentinel://u:{SECRET}@h1:1,h2/m/0?sentinel_password={SECRET}&sentinel_username=me",
            "rediss+sentinel://u:***@h1:1,h2/m/0?sentinel_password=***&sentinel_username=me",
        ),
        (f"redis+sentinel://h1/m?sentinel_password={SECRET}", "redis+sentinel://h1/m?sentinel_password=***"),
        ("redis+cluster://h1:1,h2:2", "redis+cluster://h1:1,h2:2"),
        ("redis+cluster://h1:1,h2,[::1]:3?db=1", "redis+cluster://h1:1,h2,[::1]:3?db=1"),
        ("redis+cluster://h1:1,h2,[::1]:3?x=1", "redis+cluster://h1:1,h2,[::1]:3?x=***"),  # it may be a mistyped name
        ("redis+sentinel://h1:1,h2:2/m", "redis+sentinel://h1:1,h2:2/m"),
        (f"redis+cluster://u:{SECRET},h2:2", "redis+cluster://u:***"),
    ],
)
def test_passwords_are_hidden_and_servers_are_not(url: str, shown: str) -> None:
    """A password without its @ is hidden too."""
    assert redact_url(url) == shown
    assert SECRET not in redact_text(f"a text with {redact_url(url)} in it")


def test_two_ways_to_write_one_cluster_are_equal() -> None:
    """Seeds in their order; another login is another connection."""
    assert settings_of("redis+cluster://a:6379,b", {}) == settings_of("redis+cluster://a,b:6379", {})
    assert settings_of("redis+cluster://a,b", {}) != settings_of("redis+cluster://a", {})
    one = settings_of("redis+sentinel://a/m?sentinel_password=x", {})
    assert one != settings_of("redis+sentinel://a/m?sentinel_password=y", {})
    assert one != settings_of("redis+sentinel://a/n?sentinel_password=x", {})
