"""The programs of README, of the first consumer and of docs/messaging.md run as they are printed, but for addresses."""

import asyncio
import re

import pytest
from printed import HOUSE, examples_of, output_of
from topologies import Cluster

README = examples_of(HOUSE / "README.md")
TUTORIAL = examples_of(HOUSE / "docs" / "tutorials" / "first-consumer.md")
REFERENCE = [text for text in examples_of(HOUSE / "docs" / "messaging.md") if "asyncio.run(" in text]
CLUSTER_URL = '"redis+cluster://localhost:7000,localhost:7001"'
SINGLE = [text for text in REFERENCE if CLUSTER_URL not in text]


@pytest.mark.parametrize("number", range(len(SINGLE)))
def test_a_program_of_the_reference_runs(server_url: str, number: int) -> None:
    """On an empty server."""
    text = SINGLE[number]
    printed = output_of(text, server=server_url)
    if "print(" in text and "except" not in text:
        assert printed


async def test_the_program_for_a_cluster_runs(three: Cluster) -> None:
    """On three primaries."""
    (text,) = [text for text in REFERENCE if CLUSTER_URL in text]
    await asyncio.to_thread(output_of, text, cluster=three.url)


def test_readme_shows_producer_consumer_and_runner(valkey_url: str) -> None:
    """In one program, by what it prints."""
    (text,) = README
    printed = output_of(text, server=valkey_url)
    assert re.fullmatch(r"audited [0-3] b'customer-7' b'tea'\nbilled b'tea'\n", printed)


def test_a_first_consumer_prints_what_the_tutorial_says(server_url: str) -> None:
    """Its three programs, one after the other on one server."""
    send, receive, handle = (output_of(text, server=server_url) for text in TUTORIAL)
    assert re.fullmatch(r"\{orders:0\} \d+-\d+\n", send)
    assert receive == "b'tea' 1\n"
    assert handle == "delivery 1\ndelivery 2\ndelivery 3\nbilled b'tea'\n"
