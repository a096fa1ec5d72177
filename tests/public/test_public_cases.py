"""What people really type and have, and the right answer to each: the tables beside this file, one row a case.

Rows come from public bug reports, and from files of people who do this job with OMB, redis-py, memtier and others, made
small. A table is a kind. The command line runs in this process, in an empty folder that holds the row's files, so a row
takes milliseconds; what needs a server is in `tests/live`.
"""

import json
import os
import re
import shlex
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import sample_result
import yaml

from ombdriver.bench.verdict.model import Verdict
from ombdriver.cli import main

# A file whose text is `FIFO` is a pipe into which nobody writes.
TABLES = Path(__file__).parent
LEAST_ROWS = 250
FIELDS = {"title", "files", "run", "env", "exit", "says", "never"}
WORKLOAD = """\
topics: 1
partitionsPerTopic: 1
messageSize: 100
subscriptionsPerTopic: 1
consumerPerSubscription: 1
producersPerTopic: 1
producerRate: 1000
testDuration: 10s
"""
OMB = """\
name: Redis
driverClass: io.openmessaging.benchmark.driver.redis.RedisBenchmarkDriver
redisHost: 127.0.0.1
"""
BASES = {"workload": WORKLOAD, "omb": OMB}
"""What `files: {w.yaml: {base: workload, with: "key: value"}}` begins with; a key that is given again gives way."""


def rows() -> list[Any]:
    """Every row of every table, with the name of its table."""
    return [
        pytest.param(row, id=f"{path.stem}: {row['title']}")
        for path in sorted(TABLES.glob("*.yaml"))
        for row in yaml.safe_load(path.read_text(encoding="utf-8"))
    ]


def content(given: str | Mapping[str, Any]) -> bytes:
    """The bytes of a row's file: its text, in an `encoding`; a base with other lines; a result with other values."""
    if isinstance(given, str):
        return given.encode()
    if "result" in given:
        whole = json.loads(sample_result.result(verdict=Verdict("VALID")).dumps())
        for path, value in given["result"].items():
            inner = whole
            *above, key = path.split(".")
            for each in above:
                inner = inner[each]
            inner[key] = value
        return json.dumps(whole).encode(given.get("encoding", "utf-8"))
    text = given.get("text", "")
    if base := given.get("base"):
        extra = given.get("with", "")
        keys = {line.partition(":")[0] for line in extra.splitlines()} | set(given.get("without", "").split())
        kept = [line for line in BASES[base].splitlines(keepends=True) if line.partition(":")[0] not in keys]
        text = "".join(kept) + extra
    return text.encode(given.get("encoding", "utf-8"))


def some(texts: str | list[str] | None) -> list[str]:
    """One text, several or none, as a list."""
    return [texts] if isinstance(texts, str) else texts or []


@pytest.mark.parametrize("row", rows())
def test_the_right_answer(
    row: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The exit code, what is said, and what never is; no traceback, and no name of a Python type."""
    assert row.keys() <= FIELDS
    monkeypatch.chdir(tmp_path)
    for name, given in row.get("files", {}).items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if given == "FIFO":
            os.mkfifo(path)
        else:
            path.write_bytes(content(given))
    for name, value in row.get("env", {}).items():
        monkeypatch.setenv(name, value)

    with pytest.raises(SystemExit) as ended:
        main(shlex.split(row["run"]))

    out, err = capsys.readouterr()
    said = " ".join(f"{out}\n{err}".split())
    assert (ended.value.code or 0) == row["exit"], said
    for text in some(row.get("says")):
        assert text in said
    for text in [*some(row.get("never")), "Traceback", "<class", "datetime."]:
        assert text not in said
    text = f"{out}{err}".replace("\r\n", "\n")
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]", text)


def test_rows_are_told_apart_and_enough() -> None:
    """No two rows of a table have one title, and there are at least 250 rows."""
    names = [row.id for row in rows()]

    assert not [name for name, times in Counter(names).items() if times > 1]
    assert len(names) >= LEAST_ROWS
