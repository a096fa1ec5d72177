"""The run's end of its hosts: agents dial in, are asked for the time, and start workers (`launcher.Launcher`).

Knows connections and clocks; not who has started the agents. A host that is silent for too long is gone, and so are its
workers. Of each phase a host is told how its clock stands to the run's; how wrong that was is known afterwards.
"""

import asyncio
import math
import secrets
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ombdriver.bench.hosts import agent_protocol
from ombdriver.bench.hosts.agent import SERVER_NAME
from ombdriver.bench.hosts.carried_files import read_files
from ombdriver.bench.hosts.clock_bounds import ClockBounds, Exchange
from ombdriver.bench.hosts.clock_witness import (
    Claim,
    WallReading,
    kernels_claim,
    servers_claims,
)
from ombdriver.bench.hosts.connection import Connection
from ombdriver.bench.hosts.host_servers import HostServers
from ombdriver.bench.hosts.launcher import OnFrame, OnGone, OnMessage, opening, reading
from ombdriver.bench.load.host_clock import HostClock, ServerTime
from ombdriver.bench.load.phase import Phase
from ombdriver.bench.servers.certificates import server_side
from ombdriver.bench.telemetry.hosts import HostSample
from ombdriver.bench.worker import protocol, wire_format
from ombdriver.errors import RunError

CONNECT_TIMEOUT_S = 30.0
FIRST_S = 2.0
"""Before anything is started clocks are compared for so long: how one stands for the first phase follows from that."""
FIRST_EXCHANGES, FEWEST_FIRST, MOST_FIRST = 50, 10, 10_000
"""So many exchanges with each host then; fewer, down to the second number, where all hosts together have more than the
third."""
EVERY_S, MOST_A_SECOND = 0.1, 1000
"""Between two exchanges with one host in a run; more where all hosts together would have more than that a second."""
WAKE_S = 0.002
"""Between two times that hosts are asked: with many of them several are asked at once."""
KILLED_S = 2.0
LOOK_S = 0.04


def first_exchanges(hosts: int) -> int:
    """How many exchanges each of so many hosts has before anything is started."""
    return max(FEWEST_FIRST, min(FIRST_EXCHANGES, MOST_FIRST // hosts))


def between_exchanges_s(hosts: int, *, is_first: bool) -> float:
    """How far two exchanges with one of so many hosts are apart, in seconds."""
    return FIRST_S / first_exchanges(hosts) if is_first else max(EVERY_S, hosts / MOST_A_SECOND)


@dataclass(frozen=True, slots=True)
class OwnClock:
    """What witnesses say of the run's own clock.

    Attributes:
        wall: both clocks of this machine.
        server_times: of the servers, as this machine has asked for them.
    """

    wall: WallReading
    server_times: Sequence[ServerTime] = ()


class Host:
    """One host as the coordinator sees it.

    Args:
        number: its place among the hosts.
        name: what messages call it.

    Attributes:
        gone: why it can't be reached any more; None while it can.
        connected: done when its agent has dialled in; with an error when it is gone before that.
        on_sample: is called with what the host took, by the run's clock, once a second.
    """

    def __init__(self, number: int, name: str) -> None:
        self.number, self.name = number, name
        self.gone: str | None = None
        self.on_sample: Callable[[HostSample], None] = lambda _: None
        self.connected: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._connection: Connection | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._workers: dict[int, RemoteWorker] = {}
        self._servers: HostServers | None = None
        self._exchanges: list[Exchange] = []
        self._wall: WallReading | None = None
        self._server_times: Sequence[ServerTime] = ()
        self._phase: Phase | None = None
        self._clock = HostClock()
        self._clock_since_ns = 0
        self._holding = self._held = False

    def __repr__(self) -> str:
        return f"<Host {self.name}: {'gone' if self.gone else len(self._workers)}>"

    # -- the connection --------------------------------------------------------------------------------------------

    def attach(self, connection: Connection) -> None:
        """Its agent has dialled in on that connection."""
        self._connection = connection
        self._tasks.append(asyncio.get_running_loop().create_task(connection.watch(0.25)))
        self.connected.set_result(None)

    def on_message(self, message: Any, arrived_ns: int) -> None:
        """Takes what the agent says."""
        match message:
            case agent_protocol.Answer(sent_ns, arrived_there_ns, answered_ns):
                self._exchanges.append(Exchange(sent_ns, arrived_there_ns, answered_ns, arrived_ns))
            case agent_protocol.Sampled(sample, wall):
                self._wall = wall
                self.on_sample(replace(sample, at_ns=sample.at_ns + self._sample_offset_ns()))
            case agent_protocol.Said(number, frame):
                if (worker := self._workers.get(number)) is not None:
                    worker.on_frame(frame)
            case agent_protocol.Started(number, pid):
                if (worker := self._workers.get(number)) is not None:
                    worker.pid = pid
            case agent_protocol.Gone(number, fate):
                if (worker := self._workers.get(number)) is not None:
                    worker.lose(f"{fate} on host {self.name}")
            case (
                agent_protocol.ServersStarted()
                | agent_protocol.ServersFailed()
                | agent_protocol.ServerEnded()
                | agent_protocol.ServerLogs()
                | agent_protocol.ServersStopped()
            ) if self._servers is not None:
                self._servers.on_message(message)
            case _:
                self.lose(f"it said {type(message).__name__}")

    def _sample_offset_ns(self) -> int:
        """What to add to the time of a sample. A host that has servers alone is told no clock for a phase."""
        if self.has_workers or not self._exchanges:
            return self._clock.offset_ns
        return -self.bounds().offset_at(time.monotonic_ns())

    def send(self, message: agent_protocol.Message) -> None:
        """Gives `message` to the agent, if it is there."""
        if self._connection is not None and self.gone is None:
            self._connection.send(message)

    def lose(self, reason: str) -> None:
        """It is gone, with its workers."""
        if self.gone is not None:
            return
        self.gone = reason
        if not self.connected.done():
            self.connected.set_exception(RunError(f"host {self.name}: {reason}"))
        if self._connection is not None:
            self._connection.close()
        if self._servers is not None:
            self._servers.on_host_gone()
        for worker in self._workers.values():
            worker.lose(f"was on host {self.name}, which is gone: {reason}")

    async def aclose(self) -> None:
        """Closes the connection, by which the agent ends all that it has started."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._connection is not None:
            self._connection.close()
        self.gone = self.gone or "the run is over"
        if not self.connected.done():
            self.connected.cancel()
        elif not self.connected.cancelled():
            self.connected.exception()  # of several hosts that are gone, one has been told

    def serve(self, servers: HostServers) -> None:
        """See `host_servers.ServerHost`."""
        self._servers = servers

    # -- its workers -----------------------------------------------------------------------------------------------

    def launch(self, job: protocol.Job, on_message: OnMessage, on_gone: OnGone) -> "RemoteWorker":
        """See `launcher.Launcher.launch`."""
        number, is_first = job.worker.index, not self._workers

        def take(message: protocol.WorkerMessage) -> None:
            if isinstance(message, protocol.Connected) and message.server_times:
                self._server_times = message.server_times
            on_message(message)

        worker = self._workers[number] = RemoteWorker(self, number, reading(take), on_gone)
        if self.gone is not None:
            reason = f"was to be on host {self.name}, which is gone: {self.gone}"
            asyncio.get_running_loop().call_soon(worker.lose, reason)
            return worker
        self._clock = HostClock(-self.bounds().offset_at(time.monotonic_ns()))
        there = replace(
            job, host_clock=self._clock, tells_server_time=is_first, files=read_files(job.options.get("url"))
        )
        self.send(agent_protocol.Launch(number, opening(there)))
        return worker

    # -- its clock -------------------------------------------------------------------------------------------------

    @property
    def has_workers(self) -> bool:
        """Whether a worker was launched on it."""
        return bool(self._workers)

    @property
    def exchanges(self) -> int:
        """How many exchanges of stamps came back."""
        return len(self._exchanges)

    def ask(self) -> None:
        """Asks for the time."""
        self.send(agent_protocol.Ask(time.monotonic_ns()))

    def bounds(self) -> ClockBounds:
        """What is known of its clock."""
        return ClockBounds.of(self._exchanges)

    def clock_of(self, phase: Phase) -> HostClock:
        """How its clock stands to the run's in the middle of a phase, for all of its workers the same.

        What is sent while consumers pause is read in a later phase, which has the same clock then: else a latency
        would be a difference of two opinions of it.
        """
        if self._phase is None or self._phase.start_ns != phase.start_ns:
            if not self._held:
                self._clock = HostClock(-self.bounds().offset_at(phase.start_ns + phase.duration_ns // 2))
                self._clock_since_ns = phase.start_ns
            self._held = self._holding
        self._phase = phase
        return self._clock

    def hold(self, *, paused: bool) -> None:
        """Consumers pause from now on, or read again: whether messages are held for a later phase."""
        self._holding = paused
        self._held &= paused

    def clock_error_ns(self) -> int:
        """How wrong times of the last phase are at most, for what its workers were told of their clock.

        With those of the phases before it that had the same clock. Of a host that is gone, as long as it was there.
        """
        if self._phase is None:
            return 0
        end_ns = min(self._phase.end_ns, time.monotonic_ns())
        if self.gone is not None:
            end_ns = min(end_ns, self._exchanges[-1].back_ns)
        start_ns = self._clock_since_ns  # which a run that is over early may not have come to
        return self.bounds().error_ns(-self._clock.offset_ns, start_ns, max(start_ns, end_ns))

    def clock_to_json(self, own: "OwnClock") -> dict[str, Any]:
        """What a result tells of its clock; times in ms."""
        bounds = self.bounds()
        return {
            "aheadMs": bounds.offset_at(time.monotonic_ns()) / 1e6,
            "errorMs": self.clock_error_ns() / 1e6,
            "driftPpm": round(bounds.drift * 1e6, 3),
            "steered": bounds.steered,
            "exchanges": self.exchanges,
            "roundTripMs": bounds.round_trip_ns / 1e6,
            "kernel": None if self._wall is None else self._wall.to_json(),
            "witnesses": [
                {
                    "witness": each.witness,
                    **({"server": each.server} if each.server else {}),
                    "aheadMs": each.ahead_ns / 1e6,
                    "errorMs": each.error_ns / 1e6,
                    "beyondMs": self._beyond_ns(each) / 1e6,
                }
                for each in self.claims(own)
            ],
        }

    def claims(self, own: "OwnClock") -> list[Claim]:
        """What the kernels and each server say of its clock, as far as they say anything."""
        found = servers_claims(own.server_times, self._server_times)
        if self._wall is not None and (kernels := kernels_claim(own.wall, self._wall)) is not None:
            found.append(kernels)
        return found

    def contradictions(self, own: "OwnClock") -> dict[str, int]:
        """By how much (ns) witnesses of a kind contradict what the exchanges prove, if they do: the worst of them."""
        beyond: dict[str, int] = {}
        for each in self.claims(own):
            if beyond_ns := self._beyond_ns(each):
                beyond[each.witness] = max(beyond_ns, beyond.get(each.witness, 0))
        return beyond

    def _beyond_ns(self, claim: Claim) -> int:
        bounds, at_ns = self.bounds(), claim.at_ns
        offset_ns = bounds.offset_at(at_ns)
        return claim.beyond_ns(offset_ns, bounds.error_ns(offset_ns, at_ns, at_ns))


class RemoteWorker:
    """A worker on another host (`launcher.Endpoint`).

    Args:
        host: where it is.
        number: of the plan.
        on_frame: reads what it says.
        on_gone: see `launcher.OnGone`.

    Attributes:
        pid: its process id on its host; 0 until that is known.
    """

    def __init__(self, host: Host, number: int, on_frame: OnFrame, on_gone: OnGone) -> None:
        self._host, self._number, self.on_frame, self._on_gone = host, number, on_frame, on_gone
        self.pid = 0
        self._fate = ""
        self._gone = asyncio.Event()

    def __repr__(self) -> str:
        return f"<RemoteWorker {self._number} on {self._host.name}>"

    def send(self, command: protocol.Command) -> None:
        """See `launcher.Endpoint.send`."""
        if self._gone.is_set():
            return
        if isinstance(command, protocol.PauseConsumers | protocol.ResumeConsumers):
            self._host.hold(paused=isinstance(command, protocol.PauseConsumers))
        elif isinstance(command, protocol.BeginPhase | protocol.ExtendPhase):
            self._forward(protocol.SetClock(self._host.clock_of(command.phase)))
        self._forward(command)

    def _forward(self, command: protocol.Command) -> None:
        self._host.send(agent_protocol.Forward(self._number, wire_format.encode(command)))

    def signal(self, number: int) -> None:
        """See `launcher.Endpoint.signal`."""
        self._host.send(agent_protocol.Signal(self._number, number))

    def fate(self) -> str:
        """See `launcher.Endpoint.fate`."""
        return self._fate

    def lose(self, fate: str) -> None:
        """It has ended, or its host is gone."""
        if not self._gone.is_set():
            self._fate = fate
            self._gone.set()
            self._on_gone()

    async def end(self, deadline: float) -> None:
        """See `launcher.Endpoint.end`; on a host that is gone its agent ends it."""
        loop = asyncio.get_running_loop()
        for left_s in (deadline - loop.time(), KILLED_S):
            try:
                async with asyncio.timeout(max(0.0, left_s)):
                    await self._gone.wait()
                return
            except TimeoutError:
                self.signal(signal.SIGKILL)
        raise RunError(f"worker process {self.pid} on host {self._host.name} can't be ended; end it by hand")


class Coordinator:
    """All hosts of a run; an async context manager, and the launcher of the run's workers (`launcher.Launcher`).

    Args:
        names: of the hosts; a worker's plan says by number which of them it is on.
        address: the address of this machine at which the hosts reach it.
    """

    def __init__(self, names: Sequence[str], address: str) -> None:
        self.hosts = [Host(number, name) for number, name in enumerate(names)]
        self._address, self._token = address, secrets.token_urlsafe(32)
        self._context, self._authority = server_side(SERVER_NAME)
        self._server: asyncio.Server | None = None
        self._unknown: set[Connection] = set()
        self._asking: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<Coordinator of {self.hosts}>"

    async def __aenter__(self) -> "Coordinator":
        """Listens for agents.

        Raises:
            RunError: if it can't at that address.
        """
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(self._accept, self._address, 0, ssl=self._context)
        except OSError as error:
            raise RunError(f"can't listen at {self._address} for the hosts: {error.strerror}") from error
        # From now on: an agent that waits for those of other hosts would else take this silence for our end.
        self._asking = loop.create_task(self._ask())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.gather(self._asking, return_exceptions=True)
        for host in self.hosts:
            await host.aclose()
        for connection in self._unknown:
            connection.close()
        if self._server is not None:
            self._server.close()

    def orders(self, host: Host) -> Mapping[str, Any]:
        """What the agent of `host` is given; see `agent.main`. No password is in it."""
        assert self._server is not None
        port = self._server.sockets[0].getsockname()[1]
        return {
            "address": self._address,
            "port": port,
            "host": host.number,
            "token": self._token,
            "authority": self._authority,
        }

    def _accept(self) -> Connection:
        """Whoever dials in is nobody until it has said the run's secret, which is the first that an agent says."""
        attached: list[Host] = []

        def on_message(message: Any, arrived_ns: int) -> None:
            if attached:
                attached[0].on_message(message, arrived_ns)
                return
            host = self._host_of(message)
            if host is None:
                connection.close()
                return
            attached.append(host)
            self._unknown.discard(connection)
            host.attach(connection)

        def on_lost(reason: str) -> None:
            self._unknown.discard(connection)
            for host in attached:
                host.lose(reason)

        connection = Connection(on_message, on_lost, agent_protocol.HELLO_BYTES)
        self._unknown.add(connection)
        return connection

    def _host_of(self, message: Any) -> Host | None:
        if not isinstance(message, agent_protocol.Hello) or not secrets.compare_digest(
            message.token.encode(errors="surrogatepass"), self._token.encode()
        ):
            return None
        known = [each for each in self.hosts if each.number == message.host and not each.connected.done()]
        return known[0] if known else None

    async def connected(self) -> None:
        """Until every agent has dialled in, and how each clock stands is known.

        Raises:
            RunError: if that takes too long, or a host is gone before.
        """
        waiting = [host.connected for host in self.hosts]
        await asyncio.wait(waiting, timeout=CONNECT_TIMEOUT_S, return_when=asyncio.FIRST_EXCEPTION)
        for host in self.hosts:  # one that is gone is why the others are not waited for
            if host.connected.done():
                host.connected.result()
        for host in self.hosts:
            if not host.connected.done():
                raise RunError(
                    f"host {host.name} did not connect to {self._address} within {CONNECT_TIMEOUT_S:g} s; let it reach"
                    " this machine there, on any port"
                )
        while self._is_first:
            for host in self.hosts:
                if host.gone is not None:
                    raise RunError(f"host {host.name}: {host.gone}")
            await asyncio.sleep(LOOK_S)

    @property
    def _is_first(self) -> bool:
        return min(host.exchanges for host in self.hosts) < first_exchanges(len(self.hosts))

    async def _ask(self) -> None:
        """Asks all hosts for the time, one after the other, as long as the run goes on."""
        hosts = len(self.hosts)
        while True:
            every_s = between_exchanges_s(hosts, is_first=self._is_first)
            at_once = math.ceil(hosts * WAKE_S / every_s)
            for at in range(0, hosts, at_once):
                for host in self.hosts[at : at + at_once]:
                    host.ask()
                await asyncio.sleep(every_s * at_once / hosts)

    def launch(self, job: protocol.Job, on_message: OnMessage, on_gone: OnGone) -> RemoteWorker:
        """See `launcher.Launcher.launch`."""
        return self.hosts[job.worker.host].launch(job, on_message, on_gone)

    def clock_error_ns(self) -> int:
        """How wrong a latency between any two hosts with workers is at most, in the last phase; on one host nothing."""
        with_workers = [host for host in self.hosts if host.has_workers]
        if len(with_workers) == 1:
            return 0
        return sum(sorted(host.clock_error_ns() for host in with_workers)[-2:])
