"""The programs in README's section on the library run as they are printed, but for the addresses of the servers."""

import asyncio
import re

import pytest
from printed import HOUSE, output_of
from topologies import Cluster

README = (HOUSE / "README.md").read_text(encoding="utf-8")
(SECTION,) = re.findall(r"^## The messaging library\n(.*?)^## ", README, re.DOTALL | re.MULTILINE)
PROGRAMS = re.findall(r"^```python\n(.*?)^```", SECTION, re.DOTALL | re.MULTILINE)
CLUSTER_URL = '"redis+cluster://localhost:7000,localhost:7001"'
SINGLE = [text for text in PROGRAMS if CLUSTER_URL not in text]


@pytest.mark.parametrize("number", range(len(SINGLE)))
def test_a_program_runs(server_url: str, number: int) -> None:
    """On an empty server."""
    text = SINGLE[number]
    printed = output_of(text, server=server_url)
    if "print(" in text and "except" not in text:
        assert printed


def test_the_first_program_shows_producer_consumer_and_runner(valkey_url: str) -> None:
    """In what it prints."""
    printed = output_of(PROGRAMS[0], server=valkey_url)
    assert re.fullmatch(r"audited [0-3] b'customer-7' b'tea'\nbilled b'tea'\n", printed)


async def test_the_program_for_a_cluster_runs(three: Cluster) -> None:
    """On three primaries."""
    (text,) = [text for text in PROGRAMS if CLUSTER_URL in text]
    await asyncio.to_thread(output_of, text, cluster=three.url)
