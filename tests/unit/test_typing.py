"""What type checkers tell: mypy --strict and pyright find nothing in a right program, and each mistake in another.

Both are run on the files beside, as a user would run them.
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


def mypy(path: Path) -> set[int]:
    """The lines in which mypy finds something."""
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--config-file=", str(path)], capture_output=True, text=True
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return {int(line) for line in re.findall(rf"{path.name}:(\d+): error", done.stdout)}


def pyright(path: Path) -> set[int]:
    """The lines in which pyright finds something; basedpyright is pyright as a wheel with all that it needs."""
    command = [sys.executable, "-m", "basedpyright", "--pythonpath", sys.executable, "--outputjson", "-p", str(CONFIG)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=FOLDER)
    found = json.loads(done.stdout)
    assert found["summary"]["filesAnalyzed"] == 2, done.stderr
    return {
        each["range"]["start"]["line"] + 1 for each in found["generalDiagnostics"] if each["file"].endswith(path.name)
    }


@pytest.mark.timeout(300)
@pytest.mark.parametrize("check", [mypy, pyright])
def test_a_right_program_is_found_right(check) -> None:  # type: ignore[no-untyped-def]
    """With all of the types that it asserts."""
    assert check(PROGRAM) == set()


@pytest.mark.timeout(300)
@pytest.mark.parametrize("check", [mypy, pyright])
def test_every_mistake_is_found(check) -> None:  # type: ignore[no-untyped-def]
    """And nothing else."""
    lines = MISTAKES.read_text(encoding="utf-8").splitlines()
    assert check(MISTAKES) == {number for number, line in enumerate(lines, 1) if line.endswith("# mistake")}
