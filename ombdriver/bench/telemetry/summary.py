"""What server and processes took: one at a time, and over the measured window in a few figures. Data; times are ns."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple


class OuterUsage(NamedTuple):
    """A process as seen from outside, since its start.

    Attributes:
        cpu_ns: processor time.
        rss_bytes: the resident size now.
        waited_ns: time that its main thread was ready to run and had no core; None where the system does not tell.
    """

    cpu_ns: int
    rss_bytes: int
    waited_ns: int | None = None


@dataclass(frozen=True, slots=True)
class CpuShare:
    """Processor time per time, in cores; None for what was not seen.

    Attributes:
        mean: over the window.
        peak: between two samples.
    """

    mean: float | None = None
    peak: float | None = None

    def to_json(self) -> Mapping[str, float | None]:
        """As a result has it."""
        return {"mean": rounded(self.mean), "peak": rounded(self.peak)}


@dataclass(frozen=True, slots=True)
class TelemetrySummary:
    """The measured window in a few figures; None for what is not known.

    Attributes:
        server_cpu: of the server without its children, by its own count.
        used_memory_peak_bytes: what its data took at most.
        evicted_keys: since the beginning of the window; so are the next two.
        expired_keys: likewise.
        delayed_fsyncs: likewise.
        forks: how often the server forked.
        longest_fork_ns: how long the longest of these forks held it up.
        server_process_cpu: of the run's own servers, as seen from outside.
        server_process_waiting: for how long these were ready to run and had no core, all together.
        busiest_worker_cpu: of the worker process that took most.
        steal: for how long a processor was ready to work and this machine's host ran others; of the worst processor.
        pressure: for how long at least one process of this machine waited for a core.
        machine_cpu: of all processes on the processors that the run may use.
        parent_cpu: of the process that controls the run.
    """

    server_cpu: CpuShare = CpuShare()
    used_memory_peak_bytes: int | None = None
    evicted_keys: int | None = None
    expired_keys: int | None = None
    delayed_fsyncs: int | None = None
    forks: int | None = None
    longest_fork_ns: int | None = None
    server_process_cpu: CpuShare = CpuShare()
    server_process_waiting: CpuShare = CpuShare()
    busiest_worker_cpu: CpuShare | None = None
    steal: CpuShare = CpuShare()
    pressure: CpuShare = CpuShare()
    machine_cpu: CpuShare = CpuShare()
    parent_cpu: CpuShare = CpuShare()

    def to_json(self) -> dict[str, Any]:
        """The `summary` of a result's telemetry."""
        busiest = self.busiest_worker_cpu
        return {
            "serverCpu": self.server_cpu.to_json(),
            "usedMemoryPeakBytes": self.used_memory_peak_bytes,
            "evictedKeys": self.evicted_keys,
            "expiredKeys": self.expired_keys,
            "delayedFsyncs": self.delayed_fsyncs,
            "forks": self.forks,
            "longestForkMs": None if self.longest_fork_ns is None else rounded(self.longest_fork_ns / 1e6),
            "serverProcessCpu": self.server_process_cpu.to_json(),
            "serverProcessWaiting": self.server_process_waiting.to_json(),
            "busiestWorkerCpu": None if busiest is None else busiest.to_json(),
            "steal": self.steal.to_json(),
            "pressure": self.pressure.to_json(),
            "machineCpu": self.machine_cpu.to_json(),
            "parentCpu": self.parent_cpu.to_json(),
        }


def rounded(value: float | None) -> float | None:
    """A figure of telemetry as a result has it."""
    return None if value is None else round(value, 4)
