"""The requests of a command, made from a small workload file."""

from pathlib import Path
from typing import Any

from ombdriver.bench.run.request import Request, build_requests

WORKLOAD = """
topics: 1
partitionsPerTopic: 1
messageSize: 100
subscriptionsPerTopic: 1
producersPerTopic: 1
consumerPerSubscription: 1
producerRate: 500
testDuration: 1s
"""


def requested(folder: Path, text: str = WORKLOAD, **options: Any) -> list[Request]:
    """The requests of a workload file of that text."""
    (folder / "w.yaml").write_text(text)
    values: dict[str, Any] = {"setups": ["memory"], "url": None, "workers": None, "output": folder, "tags": {}}
    return build_requests(workloads=[str(folder / "w.yaml")], **(values | options))
