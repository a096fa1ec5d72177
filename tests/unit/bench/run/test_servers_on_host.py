"""How many servers of a run are on this machine."""

import pytest

from ombdriver.bench.run.runner import servers_on_host
from ombdriver.bench.spec.setup import Setup


@pytest.mark.parametrize(
    ("name", "servers"),
    [("memory", 0), ("embedded", 1), ("valkey-replicated-wait", 2), ("valkey-sentinel", 5), ("valkey-cluster-3", 3)],
)
async def test_all_that_a_topology_starts_count(name: str, servers: int) -> None:
    """Primaries, replicas and Sentinels."""
    assert await servers_on_host(Setup.load(name), primaries=0) == servers


@pytest.mark.parametrize(
    ("server", "primaries", "servers"),
    [
        ("{url: 'unix:///run/valkey.sock'}", 0, 1),
        ("{url: 'redis://localhost:6379/0'}", 0, 1),
        ("{url: 'redis://192.0.2.7'}", 0, 0),
        ("{cluster: true, url: ['redis://192.0.2.7:7000', 'redis://127.0.0.1:7001']}", 6, 1),
        ("{cluster: true, url: ['redis://127.0.0.1:7000', 'redis://127.0.0.1:7001']}", 6, 6),
        ("{cluster: true, url: ['redis://192.0.2.7:7000', 'redis://192.0.2.8:7001']}", 6, 0),
    ],
)
async def test_those_that_a_url_names_count_where_they_are(server: str, primaries: int, servers: int) -> None:
    """Of a cluster whose named nodes are all here, every primary."""
    setup = Setup.parse(f"{{name: s, driver: redis-streams, server: {server}}}", "s.yaml")

    assert await servers_on_host(setup, primaries) == servers
