"""Shell completion: the script of each shell, and where it is put."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ombdriver.cli import cli
from ombdriver.cli.completion import SHELLS, place_of
from ombdriver.errors import InputError


def invoked(*arguments: str) -> Result:
    """The verb, through the command itself."""
    return CliRunner().invoke(cli, ["completion", *arguments], standalone_mode=False)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of the test's own."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.mark.parametrize("shell", SHELLS)
def test_the_script_asks_the_command_for_completions(shell: str) -> None:
    """By the variable that click looks for."""
    assert f"_OMBDRIVER_COMPLETE={shell}_complete" in invoked(shell).stdout


def test_without_a_name_it_is_the_users_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    """By $SHELL; another one is refused with those that are known."""
    monkeypatch.setenv("SHELL", "/usr/bin/fish")
    assert invoked().stdout == invoked("fish").stdout

    monkeypatch.setenv("SHELL", "/bin/tcsh")
    assert isinstance(refused := invoked().exception, InputError)
    assert "bash|zsh|fish" in str(refused)


@pytest.mark.parametrize("shell", SHELLS)
def test_it_is_installed_again_and_replaces_nobody_elses_file(shell: str, home: Path) -> None:
    """Where the shell looks for it, below the user's home."""
    path = place_of(shell)
    assert path.is_relative_to(home)

    assert [invoked(shell, "--install").exception for _ in range(2)] == [None, None]
    assert path.read_text() == invoked(shell).stdout

    path.write_text("mine")
    assert isinstance(invoked(shell, "--install").exception, InputError)
    assert path.read_text() == "mine"
