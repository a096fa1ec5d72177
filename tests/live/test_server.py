"""Private servers: they answer, they leave nothing behind, and their failures tell why."""

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest
import redis

from ombdriver.bench.servers import private_server, reaper_process
from ombdriver.bench.servers.configuration import TlsFiles
from ombdriver.bench.servers.private_server import PrivateServer
from ombdriver.errors import ServerError

PARENT = """
import asyncio, sys
from ombdriver.bench.servers.private_server import PrivateServer

async def main():
    server = await PrivateServer.start()
    print(server.pid, server.unix_url, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A short folder for temporary files; every test has to leave it without a server's directory."""
    path = Path(tempfile.mkdtemp(prefix="o"))
    monkeypatch.setattr(tempfile, "tempdir", str(path))
    monkeypatch.setenv("TMPDIR", str(path))
    yield path
    directories = [one for one in path.iterdir() if one.is_dir()]
    shutil.rmtree(path)
    assert directories == []


def program(folder: Path, text: str) -> str:
    """A shell program in `folder` that takes the place of a server's."""
    path = folder / "program"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o700)
    return str(path)


def wait_for_the_end(*processes: psutil.Process) -> None:
    """Returns when all of them have ended; an orphan that process 1 has not buried yet (a zombie) has ended too."""
    alive = list(processes)
    for _ in range(300):
        _, alive = psutil.wait_procs(alive, timeout=0.1)
        with contextlib.suppress(psutil.NoSuchProcess):
            alive = [one for one in alive if one.status() != psutil.STATUS_ZOMBIE]
        if not alive:
            return
    raise AssertionError(f"still running: {alive}")


async def test_a_server_answers_on_its_port_and_on_its_socket() -> None:
    """Both URLs lead to the same server, which keeps nothing on disk."""
    async with await PrivateServer.start() as running:
        with redis.Redis.from_url(running.url) as client:
            client.set("k", "v")
            assert client.config_get("save") == {"save": ""}
            assert client.info("server")["process_id"] == running.pid
        with redis.Redis.from_url(running.unix_url) as client:
            assert client.get("k") == b"v"


async def test_a_stopped_server_leaves_no_process() -> None:
    """Stopping ends the server and its reaper; stopping again is harmless."""
    running = await PrivateServer.start()
    reaper = psutil.Process(running.pid).parent()
    assert reaper is not None

    await running.stop()
    await running.stop()

    assert not psutil.pid_exists(running.pid)
    assert not psutil.pid_exists(reaper.pid)
    assert repr(running) == f"<PrivateServer {running.url} pid={running.pid} ended>"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_nothing_is_left_when_the_parent_is_killed(number: signal.Signals) -> None:
    """The reaper ends the server and removes its directory, even after kill -9 of the process that started it."""
    root = str(Path(private_server.__file__).parents[3])
    with subprocess.Popen(
        [sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": root}
    ) as parent:
        assert parent.stdout is not None
        pid, _, url = parent.stdout.readline().strip().partition(" ")
        directory = Path(url.removeprefix("unix://")).parent
        running = psutil.Process(int(pid))
        reaper = running.parent()
        assert reaper is not None
        assert directory.is_dir()

        parent.send_signal(number)

        wait_for_the_end(running, reaper)
        assert not directory.exists()


async def test_ctrl_c_in_the_terminal_does_not_reach_the_server() -> None:
    """Reaper and server are in a session of their own, and the reaper ignores SIGINT that comes all the same."""
    async with await PrivateServer.start() as running:
        reaper = psutil.Process(running.pid).parent()
        assert reaper is not None
        assert os.getsid(reaper.pid) == os.getsid(running.pid) != os.getsid(0)
        reaper.send_signal(signal.SIGINT)
        with redis.Redis.from_url(running.url) as client:
            assert client.ping()
        running.check()


async def test_a_killed_reaper_takes_nothing_with_it() -> None:
    """When the reaper itself was killed, stopping ends the server and removes its directory all the same."""
    running = await PrivateServer.start()
    process = psutil.Process(running.pid)
    reaper = process.parent()
    assert reaper is not None
    reaper.kill()

    await running.stop()

    await asyncio.to_thread(wait_for_the_end, process)


async def test_a_server_that_dies_by_itself_is_told() -> None:
    """`check` is silent while the server runs, then raises with the end of its log; its directory is gone by then."""
    running = await PrivateServer.start()
    running.check()
    reaper = psutil.Process(running.pid).parent()
    assert reaper is not None
    with redis.Redis.from_url(running.url) as client:
        client.shutdown(nosave=True)
    await asyncio.to_thread(wait_for_the_end, reaper)

    with pytest.raises(ServerError, match=r"(?s)has ended by itself \(exit code 0\).*the end of its log:\n.*bye"):
        running.check()
    await running.stop()


async def test_a_failed_start_shows_the_log_without_the_password(folder: Path) -> None:
    """The last lines are in the message, all of the log is kept in a file, and neither holds the password."""
    config = {"user": ["bob on >sesame-open ~* +nonsense"], "requirepass": "sesame-shut"}

    with pytest.raises(ServerError) as raised:
        await PrivateServer.start(config=config)

    kept = Path(str(raised.value).partition("kept in ")[2].split()[0])
    assert kept.parent == folder
    assert "+nonsense" in str(raised.value)
    assert "sesame" not in str(raised.value) + await asyncio.to_thread(kept.read_text)


async def test_a_program_that_ends_at_once_is_told(folder: Path) -> None:
    """A program that says nothing and ends is no server."""
    with pytest.raises(ServerError, match="ended at once, and left no log"):
        await PrivateServer.start(program(folder, "exit 3"))


async def test_a_program_that_never_answers_is_ended(folder: Path) -> None:
    """After the time-out the program is ended, and its directory removed."""
    with pytest.raises(ServerError, match=r"did not answer PING within 0\.2 s"):
        await PrivateServer.start(program(folder, "exec sleep 600"), timeout_s=0.2)


async def test_a_file_that_is_no_program_is_told(folder: Path) -> None:
    """The system's own word for it is in the message."""
    path = folder / "program"
    path.write_bytes(b"\x7fELF but not really")
    path.chmod(0o700)

    with pytest.raises(ServerError, match=r"could not be started; its log is kept in .*\n.*Exec format error"):
        await PrivateServer.start(str(path))


async def test_a_cancelled_start_leaves_nothing(folder: Path) -> None:
    """A start that is given up has ended its program and removed its directory when the cancel comes through."""
    os.mkfifo(folder / "fifo")
    start = asyncio.create_task(PrivateServer.start(program(folder, f"echo > {folder}/fifo; exec sleep 600")))
    await asyncio.to_thread((folder / "fifo").read_text)

    start.cancel()

    with pytest.raises(asyncio.CancelledError):
        await start


def test_a_server_that_ignores_sigterm_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    """After the grace the reaper sends SIGKILL, and tells so in its exit code."""
    monkeypatch.setattr(reaper_process, "GRACE_S", 0.1)
    with subprocess.Popen(["sh", "-c", "trap '' TERM; echo set; exec sleep 600"], stdout=subprocess.PIPE) as stubborn:
        assert stubborn.stdout is not None
        stubborn.stdout.readline()

        assert reaper_process.end(stubborn) == 128 + signal.SIGKILL


async def test_a_port_taken_meanwhile_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """When somebody takes the port between our look and the server's bind, another one is tried."""
    free = private_server._free_port
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ports = iter([taken.getsockname()[1], free("127.0.0.1")])
        monkeypatch.setattr(private_server, "_free_port", lambda address: next(ports))
        async with await PrivateServer.start() as running:
            assert running.port != taken.getsockname()[1]


async def test_a_long_temporary_path_does_not_break_the_socket(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """A socket's path has little more than 100 bytes; past that the directory goes elsewhere."""
    (folder / ("x" * 90)).mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder / ("x" * 90)))
    async with await PrivateServer.start() as running:
        with redis.Redis.from_url(running.unix_url) as client:
            assert client.ping()
    (folder / ("x" * 90)).rmdir()


async def test_users_come_from_the_configuration_and_passwords_stay_out_of_the_process_list() -> None:
    """Several `user` lines make several users; no argument of reaper or server holds a password."""
    config = {"requirepass": "sesame", "user": ["ann on >open ~* +@all", "bob on >shut ~* +@all"]}
    async with await PrivateServer.start(config=config) as running:
        for name, password in (("ann", "open"), ("bob", "shut"), ("default", "sesame")):
            with redis.Redis(port=running.port, username=name, password=password) as client:
                assert client.ping()
        process = psutil.Process(running.pid)
        reaper = process.parent()
        assert reaper is not None
        assert not {"open", "shut", "sesame"} & set(" ".join([*process.cmdline(), *reaper.cmdline()]).split())


async def test_a_server_can_speak_tls(tls_files: TlsFiles) -> None:
    """With TLS files the port speaks TLS alone; the socket stays plain."""
    async with await PrivateServer.start("redis", tls=tls_files) as running:
        context = ssl.create_default_context(cafile=str(tls_files.authority))
        reader, writer = await asyncio.open_connection("127.0.0.1", running.port, ssl=context)
        writer.write(b"PING\r\n")
        assert await reader.readline() == b"+PONG\r\n"
        writer.close()
        await writer.wait_closed()
        assert running.url == f"rediss://127.0.0.1:{running.port}"


@pytest.mark.parametrize(
    "name",
    [
        b"a b",
        b'q"q',
        b"q'q",
        b"n\nn",
        "caf\u00e9".encode(),
        b"\xff\xfe",
        b"[x]",
        b"a*b",
        b"a?b",
        b"b\\s",
        b"p%41#",
        b"l" * 150,
    ],
)
async def test_a_server_lives_in_a_folder_of_any_name(
    name: bytes, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or in another one, where it can't: its socket is found by its URL, and nothing is left."""
    inner = os.fsdecode(os.fsencode(folder) + b"/" + name)
    os.mkdir(inner)
    monkeypatch.setattr(tempfile, "tempdir", inner)

    async with await PrivateServer.start() as running:
        with redis.Redis.from_url(running.unix_url) as client:
            assert client.info("server")["process_id"] == running.pid

    assert os.listdir(inner) == []
    os.rmdir(inner)


async def test_a_folder_that_is_named_from_here_is_found_by_the_server(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server works in another directory than ours."""
    (folder / "inner").mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setattr(tempfile, "tempdir", "inner")

    async with await PrivateServer.start() as running:
        assert running.socket.is_relative_to(folder / "inner")
    (folder / "inner").rmdir()


async def test_a_folder_that_takes_no_file_is_told_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the reason and the way out, and without a traceback."""
    monkeypatch.setattr(tempfile, "tempdir", "/proc")

    with pytest.raises(ServerError) as failed:
        await PrivateServer.start()

    assert str(failed.value).startswith("the folder for temporary files, /proc, can't be written to (")
    assert str(failed.value).endswith("free it, or set TMPDIR to another one")
