"""The permissions that docs/how-to/your-server.md gives a user are enough, and what a setup adds to them is needed."""

import asyncio
import io
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from rig import WORKLOAD

from ombdriver.bench.report.live import QuietView
from ombdriver.bench.report.terminal import show
from ombdriver.bench.results.result import Result
from ombdriver.bench.run import runner
from ombdriver.bench.run.cleanup import clean
from ombdriver.bench.run.request import Request
from ombdriver.bench.run.signals import Interrupt
from ombdriver.bench.servers.managed import ManagedServers
from ombdriver.bench.servers.topology import ServerPlan, Topology
from ombdriver.bench.spec.setup import Setup
from ombdriver.bench.spec.workload import Workload
from ombdriver.errors import RunError

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "your-server.md").read_text(encoding="utf-8")
(RULES,) = re.findall(r"ACL SETUSER bench on >PASSWORD (.*)", PAGE)
MORE = dict(re.findall(r"^\| (.*?) \| `(\+.*)$", PAGE, re.M))
"""What the page lets one add, by what it is for; the first column to the rest of the row."""


def more(what: str) -> list[str]:
    """The permissions of the row that begins so."""
    (row,) = [rest for first, rest in MORE.items() if first == what]
    return re.findall(r"\+[a-z]+(?:\\\|[a-z]+)?", "+" + row.removeprefix("+"))


async def as_user(servers: ManagedServers, *rows: str) -> str:
    """A URL of a user with the page's permissions, and those of more rows."""
    added = [rule.replace("\\|", "|") for row in rows for rule in more(row)]
    for node in servers.data_nodes:
        await node.ask(["ACL", "SETUSER", "bench", "on", ">pw", *RULES.split(), *added])
    return servers.url.replace("://", "://bench:pw@")


async def run(folder: Path, url: str, streams: str = "{}", **workload: object) -> Result:
    """A short run there."""
    lines = [f"{name}: {value}" for name, value in (WORKLOAD | {"testDuration": "1500ms"} | workload).items()]
    server = "{engine: valkey, topology: replicated}"
    setup = Setup.parse(f"{{name: s, driver: redis-streams, server: {server}, streams: {streams}}}", "s")
    request = Request(Workload.parse("\n".join(lines), "w"), setup.with_url(url), folder, None, cores=2)
    with Interrupt() as stop:
        finished = await runner.run(request, QuietView(), stop)
    assert finished is not None
    return finished.result


@pytest.fixture
async def servers(request: pytest.FixtureRequest) -> AsyncIterator[ManagedServers]:
    """Servers of the topology that the test asks for."""
    topology: Topology = getattr(request, "param", "standalone")
    async with await ManagedServers.start(ServerPlan(topology=topology)) as started:
        yield started


@pytest.mark.parametrize(
    ("rows", "streams"),
    [
        ([], "{}"),
        ([], "{ack: each}"),
        (["`read: plain`"], "{read: plain}"),
        (["`ack: delete`"], "{ack: delete}"),
        (["`retention: acknowledged`"], "{retention: acknowledged}"),
        (["`retention: acknowledged`"], "{retention: {acknowledged: true, maxlen: 100000, maxage: 1h}}"),
    ],
)
async def test_the_permissions_of_the_page_are_enough(
    tmp_path: Path, servers: ManagedServers, rows: list[str], streams: str
) -> None:
    """Everything arrives, nothing is refused, and no caveat tells of something that was not allowed."""
    url = await as_user(servers, *rows)

    result = await run(tmp_path, url, streams)

    assert [(each.received, each.lost) for each in result.delivery] == [(3000, 0)]
    assert result.counters.get("failedAcknowledgements") is None
    assert not {"trimmingFailed", "auditIncomplete", "publishErrors"} & {each.kind for each in result.caveats}
    (keys,) = await servers.nodes[0].ask(["KEYS", "*"])
    assert keys == []


async def test_a_server_that_tells_nothing_of_itself_is_used_all_the_same(
    tmp_path: Path, servers: ManagedServers
) -> None:
    """A user without INFO, CONFIG, CLIENT, COMMAND: a whole run, and what is not known is null, and said so."""
    url = await as_user(servers)
    for name in ("info", "config", "client", "command", "debug"):
        await servers.nodes[0].ask(["ACL", "SETUSER", "bench", f"-{name}"])

    result = await run(tmp_path, url)

    assert [(each.received, each.lost) for each in result.delivery] == [(3000, 0)]
    server = result.environment["server"]
    assert {server[name] for name in ("engine", "version", "role", "usedMemoryBytes", "maxMemoryBytes")} == {None}
    assert result.telemetry is not None
    assert result.telemetry["summary"]["forks"] is None
    (unseen,) = (each for each in result.telemetry["server"]["unseen"] if each.startswith("INFO"))
    assert "no permissions" in unseen
    out = io.StringIO()
    show(result, tmp_path / "r.json", out)
    assert "the server did not tell: INFO: " in " ".join(out.getvalue().split())


async def test_a_probe_that_is_refused_is_told_with_the_way_out(tmp_path: Path, servers: ManagedServers) -> None:
    """XADD was never allowed: the server's words, and what to do about them."""
    url = await as_user(servers)
    await servers.nodes[0].ask(["ACL", "SETUSER", "bench", "-xadd"])

    with pytest.raises(RunError, match=r"'xadd' command; let that user do it \(ACL SETUSER\)"):
        await run(tmp_path, url)


async def test_what_is_refused_in_mid_run_is_told_as_that(tmp_path: Path, servers: ManagedServers) -> None:
    """XADD is taken away: the messages met an error, with the way out; the rate is not to blame."""
    url = await as_user(servers)
    node = servers.nodes[0]

    async def revoke() -> None:
        stream = ""
        while not stream:
            (keys,) = await node.ask(["KEYS", "{ombdriver-*"])
            stream = str(keys[0]) if isinstance(keys, list) and keys else ""
        while (await node.ask(["XLEN", stream]))[0] in (0, 1):  # a probe is sent first
            pass
        await node.ask(["ACL", "SETUSER", "bench", "-xadd"])

    revoking = asyncio.create_task(revoke())
    result = await run(tmp_path, url)
    await revoking

    assert result.totals["publishErrors"] > 1000
    (told,) = [each.message for each in result.caveats if each.kind == "publishErrors"]
    assert "'xadd' command; let that user do it (ACL SETUSER)" in told
    assert "answeredLater" not in {each.kind for each in result.caveats}
    assert result.verdict is not None
    assert not any("lower the rate" in each.message for each in result.verdict.reasons if each.rule == "achieved")


@pytest.mark.parametrize("servers", ["replicated"], indirect=True)
async def test_waiting_for_replicas_needs_wait(tmp_path: Path, servers: ManagedServers) -> None:
    """With it all is acknowledged; without it the run is refused at the first message, and the command is named."""
    result = await run(tmp_path, await as_user(servers, "`waitReplicas`"), "{waitReplicas: 1}")
    assert result.totals["published"] == 3000

    for node in servers.data_nodes:
        await node.ask(["ACL", "SETUSER", "bench", "-wait"])
    with pytest.raises(RunError, match=r"refused WAIT: .* no permissions to run the 'wait' command"):
        await run(tmp_path, servers.url.replace("://", "://bench:pw@"), "{waitReplicas: 1}")


@pytest.mark.parametrize("servers", ["cluster"], indirect=True)
async def test_the_permissions_of_the_page_are_enough_on_a_cluster(tmp_path: Path, servers: ManagedServers) -> None:
    """With partitions balanced, which are recorded."""
    url = await as_user(servers, "a cluster")

    result = await run(tmp_path, url, "{placement: balanced}", partitionsPerTopic=6)

    assert [(each.received, each.lost) for each in result.delivery] == [(3000, 0)]
    for node in servers.data_nodes:
        (keys,) = await node.ask(["KEYS", "*"])
        assert keys == []


@pytest.mark.parametrize("servers", ["sentinel"], indirect=True)
async def test_the_permissions_of_the_page_are_enough_behind_sentinels(tmp_path: Path, servers: ManagedServers) -> None:
    """The user is one of the servers, not of the Sentinels."""
    url = await as_user(servers, "Sentinel")

    result = await run(tmp_path, url)

    assert [(each.received, each.lost) for each in result.delivery] == [(3000, 0)]


async def test_cleaning_up_needs_what_the_page_says(servers: ManagedServers) -> None:
    """What a killed run left is found and deleted by such a user."""
    record = "ombdriver:run:abcdefgh"
    fields = (
        "host",
        "h",
        "pid",
        "1",
        "started",
        "2026-01-01T00:00:00+00:00",
        "topics",
        '[["ombdriver-abcdefgh-0000", 1]]',
    )
    await servers.nodes[0].ask(["HSET", record, *fields], ["XADD", "{ombdriver-abcdefgh-0000:0}", "*", "p", "x"])

    lines = await clean(await as_user(servers, "`ombdriver clean`"), None, dry_run=False)

    assert ["1 of 1 stream deleted" in line for line in lines] == [True]
    (keys,) = await servers.nodes[0].ask(["KEYS", "*"])
    assert keys == []
