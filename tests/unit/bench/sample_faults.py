"""Faults of a run, as a result tells them, for the tests of reports and pages."""

from typing import Any

from ombdriver.bench.faults.durability import Durability
from ombdriver.bench.metrics.summary import FaultDelivery, FaultMetrics
from ombdriver.bench.results.build import faults_to_json
from ombdriver.bench.units import SECOND


def sample_faults() -> dict[str, Any]:
    """One that has lost messages, one without effect, and one that could not be injected."""
    lost = FaultDelivery("group-1", SECOND, 2 * SECOND, acknowledged=61_022, lost=1_204, redelivered=3)
    killed = FaultMetrics(
        1,
        "kill",
        "kill: primary, restartAfter: 2s",
        ("primary-1",),
        10 * SECOND,
        10 * SECOND + 1_400_000,
        12 * SECOND,
        data_lost=True,
        begin_ns=8 * SECOND,
        end_ns=15 * SECOND,
        detect_ns=3_000_000,
        outage_ns=2_310_000_000,
        recover_ns=4 * SECOND,
        had_effect=True,
        failed=2_311,
        indeterminate=17,
        groups=(lost, FaultDelivery("group-2", catch_up_ns=None, acknowledged=61_022)),
    )
    idle = FaultMetrics(2, "pause", "pause: replica 1", ("replica-1-1",), 30 * SECOND, 30 * SECOND, 31 * SECOND)
    failed = FaultMetrics(3, "failover", "failover: ordered", (), 45 * SECOND, 45 * SECOND, error="NOGOODSLAVE")
    return faults_to_json((killed, idle, failed), Durability("everysec"))
