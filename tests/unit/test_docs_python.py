"""Every Python block of README and docs is run by a test: here those that need no server, and who runs the others."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from recorded_result import recorded

TOP = Path(__file__).parents[2]
BLOCKS = {
    page.relative_to(TOP).as_posix(): found
    for page in [TOP / "README.md", *sorted((TOP / "docs").rglob("*.md"))]
    if (found := re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE))
}
RUN_BY = {
    "README.md": "tests/live/messaging/test_docs_programs.py",
    "docs/drivers.md": "tests/live/test_adding.py",
    "docs/library/cluster.md": "tests/live/messaging/test_docs_topics.py",
    "docs/library/consume.md": "tests/live/messaging/test_docs_consume.py",
    "docs/library/idempotent.md": "tests/live/messaging/test_docs_doors.py",
    "docs/library/operate.md": "tests/live/messaging/test_docs_topics.py",
    "docs/library/partition.md": "tests/live/messaging/test_docs_topics.py",
    "docs/library/process.md": "tests/live/messaging/test_docs_process.py",
    "docs/library/publish.md": "tests/live/messaging/test_docs_publish.py",
    "docs/library/test.md": "tests/live/test_docs_test.py",
    "docs/library/web.md": "tests/live/messaging/test_docs_doors.py",
    "docs/messaging.md": "tests/live/messaging/test_docs_programs.py",
    "docs/result.md": "tests/unit/test_docs_python.py",
    "docs/tutorials/first-consumer.md": "tests/live/messaging/test_docs_programs.py",
}
"""The test that runs the blocks of a page."""


def test_the_blocks_of_every_page_are_run() -> None:
    """By a test that names the page."""
    assert sorted(BLOCKS) == sorted(RUN_BY)
    tests = {name: (TOP / name).read_text(encoding="utf-8") for name in set(RUN_BY.values())}
    assert [page for page, test in RUN_BY.items() if f'"{Path(page).stem}' not in tests[test]] == []


def test_a_histogram_of_a_result_is_read_as_its_page_says(tmp_path: Path) -> None:
    """By the package hdrhistogram alone."""
    (text,) = BLOCKS["docs/result.md"]
    result = recorded(5)
    path = tmp_path / "result.json"
    path.write_text(result.dumps(), encoding="utf-8")
    done = subprocess.run([sys.executable, "-c", text, path], capture_output=True, text=True, check=True)

    count, value, unit = done.stdout.split()
    assert (int(count), unit) == (result.latency["endToEnd"].count, "ms")
    assert float(value) == pytest.approx(result.latency["endToEnd"].ms("p99"), rel=1e-3)


def test_what_a_page_imports_is_there() -> None:
    """In the blocks that are no programs: nothing but imports."""
    only_imports = [text for text in BLOCKS["docs/messaging.md"] if "asyncio.run(" not in text]

    assert only_imports
    for text in only_imports:
        assert all(line.startswith("from ombdriver import ") for line in text.splitlines() if line.strip())
        exec(text, {})
