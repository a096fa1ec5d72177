"""`HostServers`: what a run is told of its servers on a host, whatever becomes of that."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest

from ombdriver.bench.hosts import agent_protocol as protocol
from ombdriver.bench.hosts import host_servers
from ombdriver.bench.hosts.carried_files import read_files
from ombdriver.bench.hosts.host_servers import HostServers
from ombdriver.bench.servers.topology import ServerPlan
from ombdriver.errors import RunError, ServerError

STARTED = protocol.ServersStarted(
    "redis://10.0.0.2:7", (protocol.ServerProcess("primary-1", 7, 77),), has_limit=True, files={}
)
CLUSTER = ServerPlan(topology="cluster", replicas=1, config={"save": ["1 1", "2 2"]})


class FakeHost:
    """A host whose agent answers each order by a script.

    Attributes:
        sent: what it was told.
    """

    name = "beta"

    def __init__(self, *answers: protocol.FromServers | None) -> None:
        self.gone: str | None = None
        self.sent: list[protocol.Message] = []
        self.servers: HostServers | None = None
        self._answers = list(answers)

    def serve(self, servers: HostServers) -> None:
        """See `ServerHost`."""
        self.servers = servers

    def send(self, message: protocol.Message) -> None:
        """Answers in a later turn of the loop."""
        self.sent.append(message)
        if (answer := self._answers.pop(0)) is not None:
            asyncio.get_running_loop().call_soon(self.say, answer)

    def say(self, message: protocol.FromServers) -> None:
        """As its agent does by itself."""
        assert self.servers is not None
        self.servers.on_message(message)

    def lose(self, reason: str) -> None:
        """As the coordinator does."""
        assert self.servers is not None
        self.gone = reason
        self.servers.on_host_gone()


async def test_servers_are_started_with_a_password_of_one_run() -> None:
    """Which no other run has, and no `repr` shows; other options go along as they are."""
    hosts = [FakeHost(STARTED), FakeHost(STARTED)]
    made = [await HostServers.start(host, CLUSTER) for host in hosts]

    sent = [message.plan for host in hosts for message in host.sent if isinstance(message, protocol.StartServers)]
    passwords = {str(plan.config["requirepass"]) for plan in sent}
    assert len(passwords) == 2
    assert all(len(each) >= 32 for each in passwords)
    for plan, servers in zip(sent, made, strict=True):
        assert plan.config["save"] == ("1 1", "2 2")
        assert (servers.url, servers.has_limit) == (STARTED.url, True)
        assert not any(password in repr((plan, servers)) for password in passwords)
        protocol.pack(protocol.StartServers(plan))


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (protocol.ServersFailed("there is no redis-server on the PATH"), "^host beta: there is no redis-server"),
        (None, "^host beta: its servers did not start in time; run again$"),
    ],
)
async def test_servers_that_do_not_start_are_told_with_their_host(
    answer: protocol.FromServers | None, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether the agent says why, or nothing."""
    monkeypatch.setattr(host_servers, "START_S", 0.05)
    monkeypatch.setattr(host_servers, "START_EACH_S", 0.0)
    with pytest.raises(ServerError, match=told):
        await HostServers.start(FakeHost(answer), ServerPlan())


async def test_a_host_that_goes_away_ends_every_wait_at_once() -> None:
    """Of a start, of logs and of an end; what is on it its agent ends."""
    host = FakeHost(None)
    starting = asyncio.create_task(HostServers.start(host, ServerPlan()))
    await asyncio.sleep(0)
    host.lose("nothing was heard of it for 10 s")
    with pytest.raises(ServerError, match=r"^host beta: nothing was heard of it for 10 s$"):
        await starting

    for act in (HostServers.keep_logs, HostServers.stop):
        host = FakeHost(STARTED, None)
        servers = await HostServers.start(host, ServerPlan())
        acting: asyncio.Task[object] = asyncio.create_task(_call(act, servers))
        await asyncio.sleep(0)
        host.lose("its connection is gone")
        assert await acting is None
        with pytest.raises(ServerError, match="was on host beta, which is gone: its connection is gone"):
            servers.check()
        assert await act(servers) is None  # and nobody is asked any more
        assert len(host.sent) == 2


async def _call(act: Callable[..., object], servers: HostServers) -> object:
    return await act(servers)  # type: ignore[misc]


@pytest.mark.parametrize(
    ("plan", "ended", "told"),
    [
        (ServerPlan(), ["primary-1"], "primary-1"),
        (CLUSTER, ["primary-2"], None),
        (CLUSTER, ["primary-2", "replica-1-1"], None),
        (CLUSTER, ["primary-2", "replica-2-1"], "primary-2"),
    ],
)
async def test_the_end_of_a_server_fails_the_run_when_the_others_can_not_serve(
    plan: ServerPlan, ended: list[str], told: str | None
) -> None:
    """As on one machine; it is named with its host."""
    host = FakeHost(STARTED, protocol.ServersStopped())
    servers = await HostServers.start(host, plan)
    for name in ended:
        host.say(protocol.ServerEnded(name, "has ended by itself (exit code 137); run again"))

    assert servers.ended() == ended
    if told is None:
        servers.check()
    else:
        with pytest.raises(ServerError, match=rf"private server {told} on host beta has ended by itself \(exit code"):
            servers.check()
    await servers.stop()
    host.say(protocol.ServerEnded("replica-3-1", "has ended"))  # as it was told to
    assert servers.ended() == ended


async def test_servers_that_are_not_seen_to_end_are_told_with_their_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that somebody can look for them."""
    monkeypatch.setattr(host_servers, "STOP_S", 0.05)
    servers = await HostServers.start(FakeHost(STARTED, None), ServerPlan())

    with pytest.raises(ServerError, match=r"the servers on host beta \(pid 77\) were not seen to end"):
        await servers.stop()


async def test_a_late_answer_is_not_taken_for_another_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Logs that come when their end is waited for are no end."""
    monkeypatch.setattr(host_servers, "LOGS_S", 0.02)
    host = FakeHost(STARTED, None, None)
    servers = await HostServers.start(host, ServerPlan())
    assert await servers.keep_logs() is None

    stopping = asyncio.create_task(servers.stop())
    await asyncio.sleep(0)
    host.say(protocol.ServerLogs("late"))
    await asyncio.sleep(0)
    assert not stopping.done()
    host.say(protocol.ServersStopped())
    await stopping


async def test_the_certificate_of_servers_with_tls_is_there_until_they_are_stopped() -> None:
    """For the clients of this process, by a path of its own: the one in the URL is of the other host."""
    started = replace(STARTED, url="rediss://10.0.0.2:7?ssl_ca_certs=/tmp/there.crt", files={"ssl_ca_certs": b"PEM"})
    servers = await HostServers.start(FakeHost(started, protocol.ServersStopped()), ServerPlan(tls=True))

    assert "there.crt" not in servers.url
    assert read_files(servers.url) == {"ssl_ca_certs": b"PEM"}
    await servers.stop()
    with pytest.raises(RunError, match="ssl_ca_certs"):
        read_files(servers.url)
