"""Where servers are that a URL names."""

import socket

import psutil
import pytest

from ombdriver.bench.servers.here import Where, together, where_are

OWN = [
    address.address
    for addresses in psutil.net_if_addrs().values()
    for address in addresses
    if address.family == socket.AF_INET
]


@pytest.mark.parametrize(
    ("url", "where"),
    [
        ("unix:///run/valkey.sock", "unix"),
        ("redis://127.0.0.1:6379/0", "loopback"),
        ("redis://127.8.9.1", "loopback"),
        ("redis://0.0.0.0", "loopback"),
        ("redis://ann:pass@localhost:6379/0", "loopback"),
        ("rediss://[::1]:6379", "loopback"),
        ("redis://[::ffff:127.0.0.1]:6379", "loopback"),
        ("redis://192.0.2.7", "remote"),  # of documents, so nobody's
        ("redis://[2001:db8::7]", "remote"),
        ("redis://no-such-host.invalid", "remote"),
        ("redis://a..b", "remote"),
    ],
)
async def test_each_kind_of_address_is_known(url: str, where: Where) -> None:
    """Names that nobody can look up are no place of ours."""
    assert await where_are([url]) == [where]


@pytest.mark.parametrize("address", OWN)
async def test_every_address_of_this_machine_is_here(address: str) -> None:
    """Not only the loopback ones."""
    (found,) = await where_are([f"redis://{address}:6379"])

    assert found == ("loopback" if address.startswith("127.") else "host")


async def test_the_name_of_this_machine_is_here() -> None:
    """Whatever its address is."""
    name = socket.gethostname()
    try:
        socket.gethostbyname(name)
    except OSError:
        pytest.skip("this machine does not know its own name")

    assert await where_are([f"redis://{name}"]) in (["host"], ["loopback"])


async def test_each_server_counts_once() -> None:
    """By whatever name, in one URL or several."""
    found = await where_are(["redis+cluster://127.0.0.1:7000,localhost:7001,192.0.2.7:7000", "redis://127.0.0.1:7001"])

    assert found == ["loopback", "loopback", "remote"]


def test_several_are_as_far_as_the_farthest() -> None:
    """And here, if all are, whatever their addresses."""
    assert together(["loopback", "loopback"]) == "loopback"
    assert together(["loopback", "host"]) == "host"
    assert together(["loopback", "host", "remote"]) == "remote"
    assert together([]) == "remote"
