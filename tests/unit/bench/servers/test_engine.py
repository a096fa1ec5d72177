"""Engines and configuration files, without starting anything."""

import os
from pathlib import Path

import pytest

from ombdriver.bench.servers.engine import TlsFiles, find_binary, hide_secrets, render_configuration
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


def test_settings_of_the_caller_win_over_the_embedded_ones() -> None:
    """An empty value is quoted, and a key with several values has several lines."""
    text = render_configuration({"appendonly": "yes", "user": ["a on", "b on"]}, 6000)

    lines = text.splitlines()
    assert 'save ""' in lines
    assert "appendonly yes" in lines
    assert "appendonly no" not in lines
    assert {"user a on", "user b on", "port 6000", "bind 127.0.0.1"} <= set(lines)


def test_with_tls_there_is_no_plain_port() -> None:
    """The port speaks TLS alone."""
    lines = render_configuration({}, 6000, TlsFiles(Path("/c"), Path("/k"), Path("/a"))).splitlines()

    assert {"port 0", "tls-port 6000", "tls-cert-file /c", "tls-key-file /k", "tls-ca-cert-file /a"} <= set(lines)


def test_a_setting_cannot_smuggle_in_another_line() -> None:
    """A line break in a value would be another setting."""
    with pytest.raises(ValueError, match="'save' holds a line break"):
        render_configuration({"save": "1 1\nport 0"}, 6000)


def test_passwords_of_the_configuration_are_hidden() -> None:
    """Those of users and those of the server itself."""
    config = {"requirepass": "open sesame", "user": ["bob on >shut <old #abc ~* +@all"]}

    shown = hide_secrets("requirepass open sesame; user bob on >shut <old #abc ~*", config)

    assert shown == "requirepass ***; user bob on >*** <*** #*** ~*"
