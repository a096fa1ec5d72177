"""What type checkers tell: mypy --strict and pyright find nothing in a right program, and each mistake in another.

Each is run once, on both files beside, as a user would run it.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "typing"
CONFIG = FOLDER / "pyrightconfig.json"
PROGRAM, MISTAKES = FOLDER / "program.py", FOLDER / "mistakes.py"
Found = dict[str, set[int]]
"""The lines in which a checker finds something, by the name of the file."""
pytestmark = pytest.mark.timeout(300)


def mypy() -> Found:
    """What mypy finds."""
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", str(PROGRAM), str(MISTAKES)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return {
        path.name: {int(line) for line in re.findall(rf"{path.name}:(\d+): error", done.stdout)}
        for path in (PROGRAM, MISTAKES)
    }


def pyright() -> Found:
    """What pyright finds; basedpyright is pyright as a wheel with all that it needs."""
    command = [sys.executable, "-m", "basedpyright", "--pythonpath", sys.executable, "--outputjson", "-p", str(CONFIG)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=FOLDER)
    found = json.loads(done.stdout)
    assert found["summary"]["filesAnalyzed"] == 2, done.stderr
    return {
        path.name: {
            each["range"]["start"]["line"] + 1
            for each in found["generalDiagnostics"]
            if each["file"].endswith(path.name)
        }
        for path in (PROGRAM, MISTAKES)
    }


@pytest.fixture(scope="module", params=[mypy, pyright])
def found(request: pytest.FixtureRequest) -> Found:
    """What each checker finds in both files."""
    lines: Found = request.param()
    return lines


def test_a_right_program_is_found_right(found: Found) -> None:
    """With all of the types that it asserts."""
    assert found[PROGRAM.name] == set()


def test_every_mistake_is_found(found: Found) -> None:
    """And nothing else."""
    lines = MISTAKES.read_text(encoding="utf-8").splitlines()
    assert found[MISTAKES.name] == {number for number, line in enumerate(lines, 1) if line.endswith("# mistake")}
