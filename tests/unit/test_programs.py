"""The programs of `make` besides the tests: each starts from the project's folder, where no test runner helps it."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

HOUSE = Path(__file__).parents[2]
WITH_HELP = sorted(
    ".".join(path.relative_to(HOUSE).with_suffix("").parts).removesuffix(".__main__")
    for path in (HOUSE / "tests").rglob("*.py")
    if path != Path(__file__)
    and '__name__ == "__main__"' in (text := path.read_text(encoding="utf-8"))
    and "ArgumentParser(" in text
)


def test_programs_are_found() -> None:
    """Those that the Makefile starts and that have options are among them."""
    started = set(re.findall(r"-m (tests[.\w]*)", (HOUSE / "Makefile").read_text(encoding="utf-8")))
    assert len(started & set(WITH_HELP)) >= 5


@pytest.mark.parametrize("program", WITH_HELP)
def test_a_program_tells_its_options(program: str) -> None:
    """With everything imported that it is made of."""
    command = [sys.executable, "-m", program, "--help"]
    done = subprocess.run(command, cwd=HOUSE, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("usage: ")
