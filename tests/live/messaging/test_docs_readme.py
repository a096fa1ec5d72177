"""The programs in README's section on the library run as they are printed, but for the addresses of the servers."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from printed import HOUSE
from topologies import Cluster

README = (HOUSE / "README.md").read_text(encoding="utf-8")
(SECTION,) = re.findall(r"^## The messaging library\n(.*?)^## ", README, re.DOTALL | re.MULTILINE)
PROGRAMS = re.findall(r"^```python\n(.*?)^```", SECTION, re.DOTALL | re.MULTILINE)
CLUSTER_URL = '"redis+cluster://localhost:7000,localhost:7001"'
SINGLE = [text for text in PROGRAMS if CLUSTER_URL not in text]


def output_of(text: str, folder: Path) -> str:
    """What a program prints; it ends well, and tells nothing on standard error."""
    program = folder / "program.py"
    program.write_text(text, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-W", "error", str(program)], capture_output=True, text=True, timeout=50, check=False
    )
    assert done.stderr == ""
    assert done.returncode == 0
    return done.stdout


@pytest.mark.parametrize("number", range(len(SINGLE)))
def test_a_program_runs(server_url: str, tmp_path: Path, number: int) -> None:
    """On an empty server."""
    text = SINGLE[number].replace("redis://localhost:6379/0", server_url)
    assert text != SINGLE[number]
    printed = output_of(text, tmp_path)
    if "print(" in text and "except" not in text:
        assert printed


def test_the_first_program_shows_producer_consumer_and_runner(valkey_url: str, tmp_path: Path) -> None:
    """In what it prints."""
    printed = output_of(PROGRAMS[0].replace("redis://localhost:6379/0", valkey_url), tmp_path)
    assert re.fullmatch(r"audited [0-3] b'customer-7' b'tea'\nbilled b'tea'\n", printed)


async def test_the_program_for_a_cluster_runs(three: Cluster, tmp_path: Path) -> None:
    """On three primaries."""
    (text,) = [text for text in PROGRAMS if CLUSTER_URL in text]
    output_of(text.replace(CLUSTER_URL, f'"{three.url}"'), tmp_path)
