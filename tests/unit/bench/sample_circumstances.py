"""What a run that never was ran on, for the tests of what is said of results."""

from typing import Any

from ombdriver.bench.verdict.assess import Circumstances


def circumstances(**changed: Any) -> Circumstances:
    """A run that was not cut short, on a machine with cores to spare."""
    values: dict[str, Any] = {
        "ending": None,
        "setup": {"name": "embedded", "driver": "redis-streams", "server": {"engine": "valkey"}},
        "cores": 8,
        "harness": None,
        "loopback": False,
    }
    return Circumstances(**(values | changed))
