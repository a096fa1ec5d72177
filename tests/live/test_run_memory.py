"""Runs that more is offered to than a server has memory for: ended in order, by what the server itself says."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
import redis
from processes import Place

from ombdriver.bench.servers.managed import ManagedServers
from ombdriver.bench.servers.private_server import PrivateServer
from ombdriver.bench.servers.topology import ServerPlan

SMALL = {"maxmemory": "64mb"}
KEPT = "name: small\ndriver: redis-streams\nserver: {server}\nstreams: {{retention: none}}\n"
TOO_MUCH = """
topics: 1
partitionsPerTopic: 3
messageSize: 4096
subscriptionsPerTopic: 1
consumerPerSubscription: 1
producersPerTopic: 1
producerRate: 10000
warmupDuration: 0s
testDuration: 120s
"""


@pytest.fixture
async def small_server() -> AsyncIterator[PrivateServer]:
    """A server of a user's with little memory."""
    async with await PrivateServer.start("valkey", SMALL) as server:
        yield server


def by_rule(result: dict[str, object]) -> dict[str, str]:
    """The message of each rule of the verdict."""
    verdict = result["verdict"]
    assert isinstance(verdict, dict)
    return {reason["rule"]: f"{reason['status']}: {reason['message']}" for reason in verdict["reasons"]}


def check_account(result: dict[str, object]) -> None:
    """All that was due has an outcome, and all that was acknowledged was received."""
    totals, (delivery,) = result["totals"], result["delivery"]  # type: ignore[misc]
    assert isinstance(totals, dict)
    assert totals["published"] > 0
    assert delivery["acknowledged"] == delivery["received"] == totals["published"]
    assert delivery["lost"] == delivery["trimmed"] == delivery["undelivered"] == 0


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("server", "warm_up", "phase"),
    [
        ("{engine: valkey, config: {maxmemory: 64mb}}", "0s", "measurement"),
        ("{engine: valkey, config: {maxmemory: 64mb}}", "120s", "warm-up"),
        ("{engine: valkey, topology: cluster, config: {maxmemory: 32mb}}", "0s", "measurement"),
    ],
)
def test_a_private_server_that_fills_ends_the_run_in_order(server: str, warm_up: str, phase: str, place: Place) -> None:
    """Long before its time, in the warm-up too, and on a cluster by the primary that is full first."""
    place.write(TOO_MUCH.replace("warmupDuration: 0s", f"warmupDuration: {warm_up}"))
    place.write(KEPT.format(server=server), "s.yaml")

    finished = place.run("run", "w.yaml", "--setup", "s.yaml", "--quiet")

    assert finished.returncode == 3, finished.stderr
    (result,) = place.results()
    said = by_rule(result)["serverMemory"]
    assert said.startswith("OVERLOADED: the server 127.0.0.1:")
    assert "MiB in use" in said
    assert f"of the {phase}; " in said
    assert "(planned: " in said
    assert "maxMemoryByDefault" not in result["environment"]["server"]
    assert result["partial"] is True
    check_account(result)


@pytest.mark.timeout(300)
async def test_a_server_of_a_user_that_fills_is_left_empty_for_the_next_run(
    small_server: PrivateServer, place: Place
) -> None:
    """The run that does not fit is refused with the planned figure; forced twice, both end in order."""
    place.write(TOO_MUCH)
    place.write(KEPT.format(server=json.dumps({"url": small_server.url})), "s.yaml")
    planned = place.run("plan", "w.yaml", "--setup", "s.yaml").stdout
    figure = planned.partition("memory         about ")[2].partition(" on the server")[0]

    refused = await asyncio.to_thread(place.run, "run", "w.yaml", "--setup", "s.yaml", "--quiet")
    forced = await asyncio.to_thread(
        place.run, "run", "w.yaml", "--setup", "s.yaml", "--quiet", "--force", "--repeats", "2"
    )

    assert refused.returncode == 1
    assert f"the run needs about {figure};" in refused.stderr
    assert forced.returncode == 3, forced.stderr
    results = place.results()
    assert len(results) == 2
    for result in results:
        assert f"(planned: {figure} while groups keep up)" in by_rule(result)["serverMemory"]
        check_account(result)
    with redis.Redis.from_url(small_server.url) as client:
        assert client.keys() == []


@pytest.mark.timeout(300)
def test_a_rate_that_fills_the_server_is_not_sustained(place: Place) -> None:
    """By the limit `serverMemory`, with how full it was; what was found below is measured.

    A machine that has no core for the workers keeps rates from being judged, which is told.
    """
    kept = TOO_MUCH.replace("producerRate: 10000\n", "producerRate: max\n").replace("120s", "2s")
    place.write(kept + "probeDuration: 2s\nconsumerWork: 2ms\n")
    place.write(KEPT.format(server="{engine: valkey, config: {maxmemory: 32mb}}").replace("none", "auto"), "s.yaml")

    finished = place.run("curve", "w.yaml", "--rates", "50,100,20k", "--setup", "s.yaml", "--quiet", "--force")

    assert "Traceback" not in finished.stderr
    if finished.returncode == 1:
        assert "this machine, not the system, was the cause" in finished.stderr
        return
    assert finished.returncode in (0, 3), finished.stderr
    (result,) = place.results()
    full = [each for each in result["search"]["probes"] if each["limit"] == "serverMemory"]
    assert [each["rate"] for each in full] == [20_000]
    assert any("(its maxmemory) had" in reason for reason in full[0]["reasons"])
    check_account(result)


@pytest.mark.timeout(300)
def test_a_backlog_that_does_not_fit_is_not_built(place: Place) -> None:
    """Forced past the refusal, which speaks of the limit of a private server too; the reason is the memory."""
    place.write(TOO_MUCH + "consumerBacklogSizeGB: 0.5\n")
    place.write(KEPT.format(server="{engine: valkey, config: {maxmemory: 64mb}}"), "s.yaml")

    refused = place.run("run", "w.yaml", "--setup", "s.yaml", "--quiet")
    forced = place.run("run", "w.yaml", "--setup", "s.yaml", "--quiet", "--force")

    assert refused.returncode == 1
    assert "the server's maxmemory is 64 MiB" in refused.stderr
    assert forced.returncode == 1
    assert "the backlog was not built" in forced.stderr
    assert "(its maxmemory) had" in forced.stderr
    assert "Traceback" not in forced.stderr


def test_private_servers_have_a_limit_that_is_no_part_of_their_setup(place: Place) -> None:
    """Half of what the machine has left, told in the result; a result repeated on another day has not changed."""
    first = place.run("run", "w.yaml", "--quiet")
    (result,) = place.results()
    server = result["environment"]["server"]
    (path,) = (place.folder / "results").iterdir()
    again = place.run("rerun", str(path), "--quiet")

    assert server["maxMemoryByDefault"] is True
    assert 0 < server["maxMemoryBytes"] < result["environment"]["memoryBytes"]
    assert server["evictionPolicy"] == "noeviction"
    assert "maxmemory" not in json.dumps(result["setup"])
    assert "maxmemory" not in again.stderr.lower(), again.stderr
    assert first.returncode in (0, 3), first.stderr


@pytest.mark.timeout(300)
async def test_a_replica_that_holds_its_own_limit_ends_the_run_before_it_is_full(place: Place) -> None:
    """Its primary has none, and goes on to take messages that the replica has no room for."""
    place.write(TOO_MUCH.replace("120s", "20s"))
    async with await ManagedServers.start(ServerPlan(topology="replicated")) as servers:
        (primary,), (replica,) = await servers.with_role("primary"), await servers.with_role("replica")
        await primary.ask(["CONFIG", "SET", "maxmemory", "0"])
        for name, value in {"replica-ignore-maxmemory": "no", "maxmemory": "64mb"}.items():
            await replica.ask(["CONFIG", "SET", name, value])
        place.write(KEPT.format(server=json.dumps({"url": servers.url})), "s.yaml")

        finished = await asyncio.to_thread(place.run, "run", "w.yaml", "--setup", "s.yaml", "--quiet")

    assert finished.returncode == 3, finished.stderr
    (result,) = place.results()
    assert by_rule(result)["serverMemory"].startswith("OVERLOADED: the replica 127.0.0.1:")
    check_account(result)


@pytest.mark.timeout(300)
async def test_the_limit_of_a_replica_ends_no_run(place: Place) -> None:
    """It passes over a limit of its own while it is a replica, so what its primary has left is what counts."""
    place.write(TOO_MUCH.replace("10000", "1000").replace("120s", "4s"))
    async with await ManagedServers.start(ServerPlan(topology="replicated")) as servers:
        (replica,) = await servers.with_role("replica")
        await replica.ask(["CONFIG", "SET", "maxmemory", "4mb"])
        place.write(KEPT.format(server=json.dumps({"url": servers.url})), "s.yaml")

        finished = await asyncio.to_thread(place.run, "run", "w.yaml", "--setup", "s.yaml", "--quiet")

    assert finished.returncode in (0, 3), finished.stderr
    (result,) = place.results()
    assert "serverMemory" not in by_rule(result)
    assert result["totals"]["published"] * 4096 > 8 << 20
    check_account(result)
