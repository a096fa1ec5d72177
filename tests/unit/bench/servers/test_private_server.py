"""The program of an engine is found, without starting anything."""

import os
from pathlib import Path

import pytest

from ombdriver.bench.servers.private_server import find_binary
from ombdriver.errors import ServerError


def test_the_embedded_engine_comes_with_the_package() -> None:
    """It needs nothing installed on the machine."""
    assert os.access(find_binary("valkey"), os.X_OK)


def test_an_absent_redis_server_names_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """The way out is in the message."""
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ServerError, match="Debian's package redis-server"):
        find_binary("redis")


def test_an_unknown_engine_lists_the_engines() -> None:
    """A name that is no engine and no program is refused."""
    with pytest.raises(ServerError, match="one of the engines valkey, redis"):
        find_binary("no-such-engine")


def test_a_program_is_found_from_where_we_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is started in another directory, so a path from here would lead nowhere there."""
    program = tmp_path / "my-server"
    program.touch(0o755)
    monkeypatch.chdir(tmp_path)

    assert find_binary("./my-server") == program
