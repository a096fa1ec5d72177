"""What a run that never was ran on, for the tests of what is said of results."""

from typing import Any

from ombdriver.bench.verdict.assess import Circumstances

SECOND = 10**9


def circumstances(**changed: Any) -> Circumstances:
    """3 s at 2,000 messages a second, on a machine with cores to spare."""
    values: dict[str, Any] = {
        "length_ns": 3 * SECOND,
        "interval_ns": SECOND,
        "target_rate": 2000.0,
        "ending": None,
        "setup": {"name": "embedded", "driver": "redis-streams", "server": {"engine": "valkey"}},
        "cores": 8,
        "harness": None,
        "loopback": False,
    }
    return Circumstances(**(values | changed))
