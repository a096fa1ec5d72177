"""Runs whose links are broken, on real servers: of clients, between servers, and of clients to a server of the user's.

The runs are shared: each has several faults, and both engines are met at the same time.
"""

from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import redis
import trustme
from faulty_runs import ENGINES, LOAD, ONE_CONSUMER, THREE_PARTITIONS, FaultyRun, Told, all_told, as_long
from managed import present
from processes import Place

from ombdriver.bench.servers.configuration import TlsFiles
from ombdriver.bench.servers.private_server import PrivateServer

CUT = "link: {{between: [{}], {}: true}}"
CLIENTS = "clients, primary"
pytestmark = [pytest.mark.timeout(240), pytest.mark.faults]


def entry(at: str, lasts: str, what: str) -> str:
    """A fault of a workload."""
    return f"{{at: {at}, for: {lasts}, {what}}}"


# -- between clients and the one server ------------------------------------------------------------------------------

SHAPES = {
    "down": entry("2s", "1500ms", CUT.format(CLIENTS, "down")),
    "reset": entry("7s", "100ms", CUT.format(CLIENTS, "reset")),
    "swallow": entry("10s", "1500ms", CUT.format(CLIENTS, "swallow")),
    "latency": entry("15s", "1500ms", f"link: {{between: [{CLIENTS}], latency: 60ms, jitter: 10ms}}"),
    "bandwidth": entry("19s", "1500ms", f"link: {{between: [{CLIENTS}], bandwidth: 20KB}}"),
}


@pytest.fixture(scope="module")
def of_one_server(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Told]:
    """A run on each engine whose clients are cut off from it in several ways, one after the other."""
    runs = {engine: FaultyRun(SHAPES, "25s", f"engine: {engine}") for engine in ENGINES}
    return all_told(tmp_path_factory.mktemp("one"), runs)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("shape", "is_cut", "unknown"),
    [
        ("down", True, None),
        ("reset", False, None),
        ("swallow", True, True),
        ("latency", False, False),
        ("bandwidth", False, None),
    ],
)
def test_a_link_of_clients_is_broken_and_mended(
    of_one_server: Mapping[str, Told], engine: str, shape: str, is_cut: bool, unknown: bool | None
) -> None:
    """Nothing that was acknowledged is lost, and an outage is as long as the link was away."""
    told = of_one_server[engine]

    one = told[shape]
    assert one["hit"] == ["clients - primary-1"]
    assert one["hadEffect"]
    assert (one["promisesNoLoss"], told.delivery["lost"]) == (True, 0)
    assert not is_cut or as_long(one["outageSeconds"], one)
    if unknown is not None:
        assert bool(one["indeterminate"]) is unknown


# -- of several servers ----------------------------------------------------------------------------------------------

CLUSTER, SENTINEL = "topology: cluster, replicas: 1", "topology: sentinel"
RUNNER = "{consumer: runner}"
WAITS = "{waitReplicas: 1, waitTimeoutMs: 200}"
OF_CLUSTER = {
    "clients": entry("2s", "1500ms", CUT.format("clients, primary of 0", "down")),
    "failover": "{at: 6s, failover: ordered, on: primary of 0}",
    "clients of the new one": entry("11s", "1500ms", CUT.format("clients, primary of 0", "down")),
    "two primaries": entry("15s", "1s", CUT.format("primary of 0, primary of 1", "swallow")),
    "isolated": entry("18s", "8s", CUT.format("primary of 0, servers", "down")),
}
OF_SENTINEL = {
    "clients": entry("2s", "1500ms", CUT.format("clients, primary of 0", "down")),
    "replica": entry("6s", "1500ms", CUT.format("primary, replica 1", "swallow")),
}


@pytest.fixture(scope="module", params=ENGINES)
def several(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Told]:
    """What runs in a cluster, and behind Sentinels, tell."""
    engine = f"engine: {request.param}"
    cluster = FaultyRun(
        OF_CLUSTER, "32s", f"{engine}, {CLUSTER}", streams="{placement: balanced}", load=THREE_PARTITIONS
    )
    sentinel = FaultyRun(OF_SENTINEL, "11s", f"{engine}, {SENTINEL}", streams=WAITS)
    return all_told(tmp_path_factory.mktemp("several"), {"cluster": cluster, "sentinel": sentinel})


@pytest.fixture(scope="module", params=ENGINES)
def of_runners(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Told]:
    """As `several`, with consumers of the library, and the first of the faults alone."""
    runs = {
        name: FaultyRun({"clients": entries["clients"]}, "6s", f"engine: {request.param}, {server}", RUNNER)
        for name, server, entries in (("cluster", CLUSTER, OF_CLUSTER), ("sentinel", SENTINEL, OF_SENTINEL))
    }
    return all_told(tmp_path_factory.mktemp("runners"), runs)


@pytest.mark.parametrize("topology", ["cluster", "sentinel"])
def test_clients_are_cut_off_from_a_primary_of_several_servers(several: Mapping[str, Told], topology: str) -> None:
    """Though servers tell each client where they are themselves; nobody takes over, since they see each other."""
    check_outage(several[topology]["clients"])


@pytest.mark.parametrize("topology", ["cluster", "sentinel"])
def test_runners_are_cut_off_from_a_primary_of_several_servers(of_runners: Mapping[str, Told], topology: str) -> None:
    """As the driver's own consumers are."""
    check_outage(of_runners[topology]["clients"])


def check_outage(one: Mapping[str, Any]) -> None:
    """Of clients that could not reach a primary."""
    (hit,) = one["hit"]
    assert hit.startswith("clients - primary-")
    assert as_long(one["outageSeconds"], one)
    assert (one["promisesNoLoss"], one["groups"][0]["lost"]) == (True, 0)


def test_the_link_of_a_new_primary_is_the_one_that_is_cut(several: Mapping[str, Told]) -> None:
    """After a failover clients reach it by a link of its own."""
    failover, cut = several["cluster"]["failover"], several["cluster"]["clients of the new one"]

    assert cut["hit"] == [f"clients - {failover['hit'][1]}"]
    assert as_long(cut["outageSeconds"], cut)


def test_two_primaries_that_do_not_hear_of_each_other_for_a_moment_go_on(several: Mapping[str, Told]) -> None:
    """Less than the nodes' time-out: nobody takes over, and nothing is lost."""
    one = several["cluster"]["two primaries"]

    (hit,) = one["hit"]
    assert len(hit.split(" - ")) == 2
    assert one["groups"][0]["lost"] == 0


def test_a_replica_takes_over_from_a_primary_that_no_server_hears_of(several: Mapping[str, Told]) -> None:
    """Clients still reach the old one: what it acknowledges until it learns is gone, and the account says which.

    It is cut off from each of the five others, both ways.
    """
    told = several["cluster"]
    one = told["isolated"]

    assert len(one["hit"]) == 5
    (alone,) = set.intersection(*(set(each.split(" - ")) for each in one["hit"]))
    assert alone == several["cluster"]["failover"]["hit"][1]
    assert one["hadEffect"]
    assert not one["promisesNoLoss"]
    assert told.delivery["lost"] == told.result["faults"]["totals"]["lost"] == one["groups"][0]["lost"]
    assert "lost" not in told.rules


def test_a_replica_behind_sentinels_that_is_cut_off_holds_up_what_waits_for_it(several: Mapping[str, Told]) -> None:
    """The primary goes on, and messages are stored on too few replicas."""
    told = several["sentinel"]

    assert told["replica"]["hit"] == ["primary-1 - replica-1-1"]
    assert told.result["totals"]["underReplicated"] > 0
    assert told.delivery["lost"] == 0


# -- of a server of the user's -----------------------------------------------------------------------------------------


def cut_off(url: str, client: str = "{}") -> FaultyRun:
    """A run on that server whose clients can't reach it for a while."""
    return FaultyRun({"down": SHAPES["down"]}, "6s", f"url: '{url}'", client)


def test_clients_are_cut_off_from_a_server_of_the_users(tmp_path: Path, server_url: str) -> None:
    """By a link of ours in front of it; the run itself goes past it, and leaves nothing on the server."""
    told = all_told(
        tmp_path, {kind: cut_off(server_url, f"{{pipelining: {kind}}}") for kind in ("channel", "redis-py")}
    )

    for each in told.values():
        assert each["down"]["hit"] == [f"clients - {server_url.partition('//')[2].partition('/')[0]}"]
        assert as_long(each["down"]["outageSeconds"], each["down"])
        assert (each["down"]["promisesNoLoss"], each.delivery["lost"]) == (True, 0)
    with redis.Redis.from_url(server_url) as client:
        assert client.dbsize() == 0


@pytest.fixture
async def of_a_name(tmp_path: Path) -> AsyncIterator[str]:
    """The URL of a server whose certificate is for a name alone, and so not for where its link is."""
    present("redis")
    authority, files = trustme.CA(), TlsFiles(*(tmp_path / name for name in ("s.crt", "s.key", "ca.crt")))
    issued = authority.issue_cert("localhost")
    issued.cert_chain_pems[0].write_to_path(str(files.certificate))
    issued.private_key_pem.write_to_path(str(files.key))
    authority.cert_pem.write_to_path(str(files.authority))
    async with await PrivateServer.start("redis", tls=files) as server:
        yield f"rediss://localhost:{server.port}?ssl_ca_certs={files.authority}"


def test_a_link_carries_tls_and_the_name_that_is_checked_is_that_of_the_url(tmp_path: Path, of_a_name: str) -> None:
    """The clients' connections go to 127.0.0.1, for which the certificate is not; the channel's and redis-py's too."""
    told = all_told(tmp_path, {kind: cut_off(of_a_name, f"{{pipelining: {kind}}}") for kind in ("channel", "redis-py")})

    for each in told.values():
        assert each["down"]["hadEffect"]
        assert each.delivery["lost"] == 0
        assert each.result["totals"]["published"] > 2_000


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--url", "redis+cluster://127.0.0.1:1"), "past a link to those of the URL; name one server"),
        (("--url", "redis+sentinel://127.0.0.1:1/m"), "past a link to those of the URL; name one server"),
        (("--url", "unix:///tmp/there.sock"), "clients that use a unix socket have no link"),
        (("--setup", "memory"), "a driver without a server is not broken"),
    ],
)
def test_a_link_that_can_not_be_had_is_refused(place: Place, words: tuple[str, ...], said: str) -> None:
    """Before anything is asked, with the way out."""
    place.write(f"{LOAD}{ONE_CONSUMER}testDuration: 6s\nfaults: [{SHAPES['down']}]\n")

    finished = place.run("run", "w.yaml", *words, "--plain")

    assert finished.returncode == 2
    assert said in " ".join(finished.stderr.split())
