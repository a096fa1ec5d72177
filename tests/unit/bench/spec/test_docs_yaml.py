"""YAML blocks of the documentation are files that are taken, or parts of such."""

import re
from pathlib import Path

import pytest
import yaml

from ombdriver.bench.spec.setup import Setup
from ombdriver.bench.spec.workload import Workload

DOCS = Path(__file__).parents[4] / "docs"
REFUSED = "name: bad\n"
"""The file that a page shows for its errors."""
BASE = {
    "name": "w",
    "topics": 1,
    "partitionsPerTopic": 1,
    "messageSize": "1KiB",
    "subscriptionsPerTopic": 1,
    "consumerPerSubscription": 1,
    "producersPerTopic": 1,
    "producerRate": 1000,
    "testDuration": "6m",
}
"""What a part of a workload is laid over."""


def blocks() -> list[tuple[str, str]]:
    """Each with its page; lines that give one key several times are alternatives, each a block of its own."""
    found = []
    for page in sorted(DOCS.rglob("*.md")):
        for text in re.findall(r"^```yaml\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE):
            keys = [line.partition(":")[0] for line in text.splitlines() if re.match(r"\w+:", line)]
            several = len(keys) > 1 and len(set(keys)) == 1
            found += [(page.name, each) for each in (text.splitlines() if several else [text]) if each.strip()]
    return [(page, text) for page, text in found if not text.startswith(REFUSED)]


@pytest.mark.parametrize(("page", "text"), blocks())
def test_a_block_is_taken(page: str, text: str) -> None:
    """As a setup, or as a workload; a part of a workload with what else a workload needs."""
    data = yaml.safe_load(text)
    if {"driver", "driverClass"} & data.keys():
        Setup.parse(text, page)
    else:
        whole = {key: value for key, value in BASE.items() if "rateProfile" not in data or key != "producerRate"}
        if isinstance(data.get("rateProfile"), list):
            del whole["testDuration"]
        if "topics" in data:
            whole = {}
        Workload.parse(yaml.safe_dump(whole | data), page)
