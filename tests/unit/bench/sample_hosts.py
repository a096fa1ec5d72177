"""A run on two hosts, as a result tells it: its environment and its telemetry."""

from typing import Any

from sample_result import TELEMETRY

from ombdriver.bench.results.build import worker_to_json
from ombdriver.bench.telemetry.hosts import HostUsage
from ombdriver.bench.telemetry.summary import CpuShare
from ombdriver.bench.verdict.facts import WorkerFacts

SECOND = 10**9
WORKERS = [
    WorkerFacts(0, "produce", 9 * SECOND, 300_000_000, host="10.0.0.11"),
    WorkerFacts(1, "consume", 6 * SECOND, 600_000_000, longest_stall_ns=8_000_000, host="10.0.0.11"),
    WorkerFacts(2, "consume", 6 * SECOND, 4 * SECOND, longest_stall_ns=31_000_000, host="10.0.0.12"),
]
USAGES = [
    HostUsage("10.0.0.11", 4, 64 << 30, 50 << 30, CpuShare(0.62, 0.9), engine_cpu=CpuShare(0.004, 0.01)),
    HostUsage("10.0.0.12", 16, 64 << 30, None, CpuShare(11.4, 15.2)),
]
ENVIRONMENT: dict[str, Any] = {
    "hosts": [{"name": "10.0.0.11", "clock": {"errorMs": 0.041}}, {"name": "10.0.0.12", "clock": {"errorMs": 0.12}}],
    "workers": [worker_to_json(each) for each in WORKERS],
}
OF_HOSTS: dict[str, Any] = {
    "environment": ENVIRONMENT,
    "telemetry": TELEMETRY | {"hosts": [usage.to_json() for usage in USAGES]},
}
"""What `sample_result.result` is to be given."""
