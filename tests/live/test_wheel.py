"""The wheel, installed by itself: a library of a few megabytes, and a command that says what it lacks."""

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.missing import missing

HOUSE = Path(__file__).parents[2]
README = (HOUSE / "README.md").read_text(encoding="utf-8")
FIRST_PROGRAM = re.findall(r"^```python\n(.*?)^```", README, re.DOTALL | re.MULTILINE)[0]
MOST_BYTES = 30_000_000
UNREACHABLE = ("No matching distribution found", "Could not find a version")

EVERY_MODULE = """
import importlib, pkgutil
import ombdriver, ombdriver.testing

for name in ombdriver.__all__:
    getattr(ombdriver, name)
for module in pkgutil.walk_packages(ombdriver.messaging.__path__, "ombdriver.messaging."):
    if module.name != "ombdriver.messaging.prometheus":
        importlib.import_module(module.name)
"""

pytestmark = pytest.mark.timeout(180)  # it builds, and asks a package index


@dataclass(frozen=True)
class Bare:
    """A virtual environment with the wheel and what it requires; without pip, and outside of the repository."""

    folder: Path

    @property
    def bin(self) -> Path:
        """Where its programs are."""
        return self.folder / "bin"

    def run(self, *command: str | Path, path: Path | None = None) -> "subprocess.CompletedProcess[str]":
        """Runs a program of the environment, with a folder of further packages if one is given."""
        return subprocess.run(
            [self.bin / command[0], *command[1:]],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            cwd=self.folder.parent,
            env={"PATH": os.environ["PATH"]} | ({"PYTHONPATH": str(path)} if path else {}),
        )


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Bare:
    """Built from this tree. Skips where no package index can be asked, and fails there when CI is set."""
    folder = tmp_path_factory.mktemp("wheel")
    python("-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(HOUSE))
    (wheel,) = folder.glob("*.whl")
    environment = Bare(folder / "bare")
    python("-m", "venv", "--without-pip", str(environment.folder))
    install("--python", str(environment.bin / "python"), "install", str(wheel))
    return environment


def python(*arguments: str) -> None:
    """Runs a module of this Python."""
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def install(*arguments: str) -> None:
    """Runs pip; skips where it finds no package at all."""
    command = [sys.executable, "-m", "pip", "--retries", "1", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode and any(part in done.stderr for part in UNREACHABLE):
        missing("no package index that can be asked")
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_librarys_first_program_runs(bare: Bare, valkey_url: str) -> None:
    """As README prints it, with warnings as errors."""
    assert "MQClient" in FIRST_PROGRAM
    text = FIRST_PROGRAM.replace("redis://localhost:6379/0", valkey_url)
    done = bare.run("python", "-W", "error", "-c", text)

    assert (done.returncode, done.stderr) == (0, "")
    assert "billed b'tea'" in done.stdout


def test_every_module_of_the_library_loads(bare: Bare) -> None:
    """With all public names, and `testing`; figures for Prometheus are an extra."""
    done = bare.run("python", "-W", "error", "-c", EVERY_MODULE)

    assert (done.returncode, done.stderr) == (0, "")


def test_it_holds_every_file_of_the_package(bare: Bare) -> None:
    """With setups, templates and types; and the workloads, which lie at the top of the repository."""
    (installed,) = bare.folder.glob("lib/python*/site-packages/ombdriver")
    here = {f"workloads/{path.name}" for path in (HOUSE / "workloads").iterdir()}

    assert files(installed) == files(HOUSE / "ombdriver") | here


def files(folder: Path) -> set[str]:
    """All files below a folder but those that Python has compiled."""
    found = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return {str(path) for path in found if "__pycache__" not in path.parts}


def test_it_is_small(bare: Bare) -> None:
    """Bytes of all files, those that Python has compiled included."""
    bare.run("python", "-m", "compileall", "-q", bare.folder / "lib")
    sizes = [path.stat().st_size for path in bare.folder.rglob("*") if path.is_file() and not path.is_symlink()]

    for name in ("pip", "setuptools"):
        assert not [*bare.folder.glob(f"bin/{name}*"), *bare.folder.glob(f"lib/python*/site-packages/{name}*")]
    assert 1_000_000 < sum(sizes) < MOST_BYTES


@pytest.mark.parametrize("command", [("ombdriver",), ("python", "-m", "ombdriver")])
@pytest.mark.parametrize("arguments", [("run", "x"), ("--help",)])
def test_the_command_names_what_it_lacks(bare: Bare, command: tuple[str, ...], arguments: tuple[str, ...]) -> None:
    """In one line, whatever it is asked for."""
    done = bare.run(*command, *arguments)

    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(r"ombdriver: .* pip install 'ombdriver\[bench\]'\n", done.stderr)


def test_pytest_runs_as_if_it_were_not_there(bare: Bare, tmp_path: Path) -> None:
    """A test that asks for the embedded server is told the extra; all others pass, with warnings as errors."""
    packages = tmp_path / "packages"
    install("install", "--target", str(packages), "pytest")
    tests = tmp_path / "test_it.py"
    tests.write_text("def test_one(): pass\n\ndef test_two(ombdriver_url): pass\n")
    done = bare.run("python", "-W", "error", "-m", "pytest", "-p", "no:cacheprovider", tests, path=packages)

    assert "1 passed, 1 error" in done.stdout, done.stdout + done.stderr
    assert "pip install 'ombdriver[testing]'" in done.stdout
