"""Names that are not UTF-8, and outputs that have no sign for what is in a name: told, never a traceback."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

WORKLOAD = """\
topics: 1
partitionsPerTopic: 1
messageSize: 100
subscriptionsPerTopic: 1
consumerPerSubscription: 1
producersPerTopic: 1
producerRate: 1000
testDuration: 1s
warmupDuration: 0s
"""


def ombdriver(folder: Path, *arguments: str | bytes, encoding: str = "utf-8") -> tuple[int, str]:
    """Exit code, and all that is printed, of a command in `folder`."""
    environment = os.environ | {"PYTHONIOENCODING": encoding, "PYTHONPATH": str(Path(__file__).parents[3])}
    command = [sys.executable, "-m", "ombdriver", *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True)
    text = (done.stdout + done.stderr).decode(encoding, "replace")
    assert "Traceback" not in text
    return done.returncode, text


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8"])
def test_an_output_shows_what_it_has_no_sign_for_by_its_number(tmp_path: Path, encoding: str) -> None:
    """Of a plan, as of all that a verb prints."""
    (tmp_path / "w.yaml").write_text(WORKLOAD + "name: café-☃\n", encoding="utf-8")

    code, text = ombdriver(tmp_path, "plan", "w.yaml", "--setup", "memory", encoding=encoding)

    assert code == 0
    assert "-☃" in text or "\\u2603" in text or encoding == "ascii"


def test_a_file_whose_name_is_not_utf_8_is_refused_before_the_run(tmp_path: Path) -> None:
    """A workload without a name is called as its file, which is not possible then."""
    name = b"caf\xe9.yaml"
    (tmp_path / os.fsdecode(name)).write_text(WORKLOAD)

    code, text = ombdriver(tmp_path, "run", name, "--setup", "memory")

    assert (code, "is not UTF-8; write another one" in text) == (2, True)


def test_a_result_can_be_written_whatever_the_names_on_the_command_line(tmp_path: Path) -> None:
    """A tag and an output folder that are not UTF-8 stand in the result by their escapes."""
    (tmp_path / "w.yaml").write_text(WORKLOAD)

    code, _ = ombdriver(
        tmp_path, "run", "w.yaml", "--setup", "memory", "--output", b"o\xe9", "--tag", b"a=\xe9", "--quiet"
    )

    assert code in (0, 3)
    (path,) = tmp_path.glob("o*/*.json")
    assert '"a": "\\udce9"' in path.read_text(encoding="utf-8")
