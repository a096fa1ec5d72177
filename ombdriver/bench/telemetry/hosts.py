"""What hosts of a run took and lacked over the measured window, by samples that their agents send. Pure.

Times of samples are of the run's clock. Knows no connection, process or clock.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ombdriver.bench.telemetry.contention import Contention
from ombdriver.bench.telemetry.processes import MACHINE_CPU, PRESSURE, STEAL, ProcessSample, ProcessSeries
from ombdriver.bench.telemetry.summary import CpuShare, OuterUsage
from ombdriver.bench.telemetry.window import Window

AGENT, ENGINE, SERVERS = "agent", "engine", "servers"
NOT_SEEN = CpuShare()
FEWEST_KEPT = 2
"""No series of a host is told, so that a thousand of them take no room."""


@dataclass(frozen=True, slots=True)
class HostSample:
    """One host at one moment: counters since its start, and memory; None or nothing for what it does not tell.

    Attributes:
        at_ns: when, on the monotonic clock.
        busy_ns: the time for which the processors that its workers may use worked, for whatever process.
        stolen_ns: of each of these, the time for which it was ready to work and the machine below ran others.
        pressure_ns: the time for which at least one process waited for a core.
        available_bytes: memory that processes may still take.
        agent_cpu_ns: processor time of the agent.
        engine_cpu_ns: that of the processes of the engine that has started the agent.
        servers_cpu_ns: that of the run's own servers, where they are on this host.
        servers_rss_bytes: what these have in memory.
        servers_waited_ns: for how long they were ready to run and had no core, all together.
    """

    at_ns: int
    busy_ns: int | None = None
    stolen_ns: tuple[int, ...] = ()
    pressure_ns: int | None = None
    available_bytes: int | None = None
    agent_cpu_ns: int = 0
    engine_cpu_ns: int | None = None
    servers_cpu_ns: int | None = None
    servers_rss_bytes: int = 0
    servers_waited_ns: int | None = None

    @property
    def servers(self) -> OuterUsage | None:
        """The run's own servers as seen from outside; None where there are none."""
        if self.servers_cpu_ns is None:
            return None
        return OuterUsage(self.servers_cpu_ns, self.servers_rss_bytes, self.servers_waited_ns)


@dataclass(frozen=True, slots=True)
class HostUsage:
    """One host over the window; shares of processor time are of one core.

    Attributes:
        name: as messages have it.
        cores: that its workers may use.
        memory_bytes: of the machine, or of the limit that its workers have; None where it does not tell.
        least_available_bytes: memory that was left at worst; None where it does not tell, or no sample came.
        cpu: of all processes on these cores.
        steal: for how long a processor was ready to work and the machine below ran others; of the worst processor.
        pressure: for how long at least one process waited for a core.
        agent_cpu: of the agent.
        engine_cpu: of the engine's processes.
        servers: processes of the run's own servers there.
        servers_cpu: of these, all together.
        servers_waiting: for how long these were ready to run and had no core, all together.
    """

    name: str
    cores: int = 0
    memory_bytes: int | None = None
    least_available_bytes: int | None = None
    cpu: CpuShare = NOT_SEEN
    steal: CpuShare = NOT_SEEN
    pressure: CpuShare = NOT_SEEN
    agent_cpu: CpuShare = NOT_SEEN
    engine_cpu: CpuShare = NOT_SEEN
    servers: int = 0
    servers_cpu: CpuShare = NOT_SEEN
    servers_waiting: CpuShare = NOT_SEEN

    def to_json(self) -> dict[str, Any]:
        """One of the `telemetry.hosts` of a result."""
        return {
            "name": self.name,
            "cores": self.cores,
            "memoryBytes": self.memory_bytes,
            "leastAvailableBytes": self.least_available_bytes,
            "cpu": self.cpu.to_json(),
            "steal": self.steal.to_json(),
            "pressure": self.pressure.to_json(),
            "agentCpu": self.agent_cpu.to_json(),
            "engineCpu": self.engine_cpu.to_json(),
            **({"serversCpu": self.servers_cpu.to_json()} if self.servers else {}),
        }


class HostSeries:
    """One host over time.

    Args:
        name: as messages have it.
        facts: what the host says of itself (`agent_process.host_facts`).
        servers: how many servers of the run are on it.
    """

    def __init__(self, name: str, facts: Mapping[str, Any], servers: int = 0) -> None:
        self._name, self._facts, self._servers = name, facts, servers
        self._servers_now: OuterUsage | None = None
        self._series = ProcessSeries(FEWEST_KEPT)
        self._window = Window()
        self._least_bytes: int | None = None

    def __repr__(self) -> str:
        return f"<HostSeries of {self._name}>"

    def begin(self, window: Window) -> None:
        """That window counts."""
        self._window, self._least_bytes = window, None
        self._series.begin(window)

    def add(self, sample: HostSample) -> None:
        """Adds a sample; they come in order."""
        outer: dict[str, OuterUsage | None] = {AGENT: OuterUsage(sample.agent_cpu_ns, 0)}
        if sample.engine_cpu_ns is not None:
            outer[ENGINE] = OuterUsage(sample.engine_cpu_ns, 0)
        if sample.servers is not None:
            self._servers_now = outer[SERVERS] = sample.servers
        contention = Contention(sample.stolen_ns, sample.pressure_ns, sample.busy_ns)
        self._series.add(ProcessSample(sample.at_ns, outer, {}, contention))
        if sample.available_bytes is not None and self._window.start_ns <= sample.at_ns <= self._window.end_ns:
            least = self._least_bytes
            self._least_bytes = sample.available_bytes if least is None else min(least, sample.available_bytes)

    @property
    def servers_now(self) -> OuterUsage | None:
        """The run's own servers at the last sample; None before the first, or where there are none."""
        return self._servers_now

    def usage(self) -> HostUsage:
        """The window in a few figures."""
        share = self._series.share
        return HostUsage(
            name=self._name,
            cores=int(self._facts.get("cores") or 0),
            memory_bytes=self._facts.get("memoryBytes"),
            least_available_bytes=self._least_bytes,
            cpu=share(MACHINE_CPU),
            steal=share(STEAL),
            pressure=share(PRESSURE),
            agent_cpu=self._series.cpu(AGENT),
            engine_cpu=self._series.cpu(ENGINE),
            servers=self._servers,
            servers_cpu=self._series.cpu(SERVERS),
            servers_waiting=self._series.waiting(SERVERS),
        )
