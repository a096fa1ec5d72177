"""Looks at the machine that it is on, for the agent of a host."""

import time
from collections.abc import Sequence

from ombdriver.bench.telemetry.contention import read_contention, usable_processors
from ombdriver.bench.telemetry.hosts import HostSample
from ombdriver.bench.telemetry.machine import ProcessesMeter, available_memory
from ombdriver.bench.telemetry.summary import OuterUsage


class HostMeter:
    """Reads what a host has taken so far; some 0.3 ms each time.

    Args:
        engine: process ids of the engine that has started this process.
    """

    def __init__(self, engine: Sequence[int]) -> None:
        self._processors = usable_processors()
        self._engine = ProcessesMeter(engine)

    def __repr__(self) -> str:
        return f"<HostMeter of {len(self._processors)} processors>"

    def read(self, servers: OuterUsage | None = None) -> HostSample:
        """The host now, on its own clock; `servers`: the run's own, where they are here."""
        contention, memory, engine = read_contention(self._processors), available_memory(), self._engine.read()
        return HostSample(
            at_ns=time.monotonic_ns(),
            busy_ns=contention.busy_ns,
            stolen_ns=contention.stolen_ns,
            pressure_ns=contention.pressure_ns,
            available_bytes=None if memory is None else memory.available,
            agent_cpu_ns=time.process_time_ns(),
            engine_cpu_ns=None if engine is None else engine.cpu_ns,
            servers_cpu_ns=None if servers is None else servers.cpu_ns,
            servers_rss_bytes=0 if servers is None else servers.rss_bytes,
            servers_waited_ns=None if servers is None else servers.waited_ns,
        )
