"""The parent of a private server: it ends the server when the harness is gone, whatever ended that.

Run as a script by `python -I -S`: it knows the standard library only, so it starts in a few hundredths of a second.
When standard input ends (the harness closed it, or died, also by `kill -9`), or when the server has ended, it removes
the server's process and its directory, and ends itself.

    reaper_process.py PARENT_FOLDER PROGRAM NAME PROCESSORS [ARGUMENT...]
    reaper_process.py PARENT_FOLDER

PROCESSORS: numbers with commas, which the server is to stay on; empty for all.
ARGUMENT: what the program is given after its configuration file.
With the folder alone there is no server: only a directory, for files that several servers share.
Standard input: the server's configuration, ended by a NUL byte, then orders, each a line, until the end. `{directory}`
in it is replaced, and stands in quotes there. (Not in the arguments: it may hold a password, and arguments are public.)
Standard output: one line `PID DIRECTORY` when the server was started (without one, of this process), one line for each
order, and at the end the last of the server's log. DIRECTORY is in hexadecimal, since a name may hold anything. Where
the directory can't be made or written to, the line is `! REASON`.
Orders: `crash` ends the server by SIGKILL, and waits for the next order in place of ending with it; `wipe` removes what
it has written, but for its log and its configuration; `start` starts it again. The answer is its process id, 0 where
it does not run, or what went wrong.
Exit code: the server's own, 128 + the signal that ended it, or 127 when it could not be started at all.
"""

import contextlib
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile

GRACE_S = 5.0
"""How long the server may take to end after SIGTERM, before SIGKILL."""
LOG_TAIL = 32 * 1024
"""Bytes of log handed over at the end: less than a pipe holds, so that nobody has to be reading."""
PREFIX = "ombdriver-"
NODES = "nodes.conf"
"""Who a node is to the others of its cluster: no data, so that it is not wiped."""


def read_configuration() -> bytes | None:
    """Standard input up to the NUL; None if it ended without one."""
    text = b""
    while not text.endswith(b"\0"):
        chunk = os.read(0, 65536)
        if not chunk:
            return None
        text += chunk
    return text[:-1]


def write(text: bytes) -> None:
    """Writes to standard output; it is no fault when nobody reads any more."""
    with contextlib.suppress(BrokenPipeError):
        os.write(1, text)


def quotable(path: str) -> str:
    """A path as it may stand between double quotes in a server's configuration file."""
    safe = (chr(byte) if 32 <= byte < 127 and byte not in b'"\\' else f"\\x{byte:02x}" for byte in os.fsencode(path))
    return "".join(safe)


def tell(pid: int, directory: str) -> None:
    """Says what has been started, and where."""
    write(f"{pid} {os.fsencode(directory).hex()}\n".encode())


class Program:
    """The server: started, and started again where it was ordered to crash.

    Args:
        command: program, configuration file and arguments.
        directory: where it works.
        log: descriptor of the file that what it says is written to.
        kept: names of files that `wipe` leaves.
    """

    def __init__(self, command: list[str], directory: str, log: int, kept: tuple[str, ...]) -> None:
        self._command, self._directory, self._log, self._kept = command, directory, log, kept
        self._is_down = False  # by an order
        self.start()

    def start(self) -> None:
        """Starts it; an OSError if that can't be."""
        self.process = subprocess.Popen(
            self._command,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            cwd=self._directory,
        )
        self._is_down = False

    @property
    def has_ended(self) -> bool:
        """Whether it has ended by itself."""
        return not self._is_down and self.process.poll() is not None

    def obey(self, order: bytes) -> bytes:
        """Carries out one order; returns the answer."""
        try:
            if order == b"crash":
                self._is_down = True
                self.process.kill()
                self.process.wait()
            elif order == b"wipe" and self._is_down:
                wipe(self._directory, self._kept)
            elif order == b"start" and self._is_down:
                self.start()
            else:
                return b"this can't be done now: " + order
        except OSError as error:
            return str(error).replace("\n", " ").encode()
        return b"0" if self._is_down else b"%d" % self.process.pid


def wipe(directory: str, kept: tuple[str, ...]) -> None:
    """Removes everything from `directory` but the files `kept`."""
    for entry in os.scandir(directory):
        if entry.name in kept:
            continue
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path)
        else:
            os.unlink(entry.path)


def wait_for_end(program: "Program | None", wakeup: int) -> None:
    """Obeys until standard input has ended, the server (if there is one) has ended by itself, or SIGTERM came."""
    given = b""
    while program is None or not program.has_ended:
        ready, _, _ = select.select([0, wakeup], [], [])
        if 0 in ready:
            chunk = os.read(0, 4096)
            if not chunk:
                return
            *orders, given = (given + chunk).split(b"\n")
            for order in orders:
                if program is not None:
                    write(program.obey(order) + b"\n")
        if wakeup in ready and signal.SIGTERM in os.read(wakeup, 4096):
            return


def end(server: "subprocess.Popen[bytes]") -> int:
    """Ends the server if it still runs, and returns its exit code as a shell would tell it."""
    if server.poll() is None:
        server.terminate()
        server.send_signal(signal.SIGCONT)  # one that was stopped acts on SIGTERM only when it goes on
        try:
            server.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
    return server.returncode if server.returncode >= 0 else 128 - server.returncode


def hold(directory: str, wakeup: int) -> int:
    """Holds `directory`, without a server, until there is a reason not to; returns the exit code 0."""
    tell(os.getpid(), directory)
    wait_for_end(None, wakeup)
    return 0


def run_server(directory: str, command: list[str], configuration: bytes, wakeup: int) -> int:
    """Runs the server in `directory` until there is a reason to end it; returns its exit code."""
    program, name, processors, *arguments = command
    with open(os.path.join(directory, name + ".conf"), "xb") as file:
        file.write(configuration.replace(b"{directory}", quotable(directory).encode()))
    with open(os.path.join(directory, name + ".log"), "xb+") as log:
        try:
            if processors:
                # Ours too, since a child takes it over before its first thread; we are asleep all the time.
                os.sched_setaffinity(0, [int(number) for number in processors.split(",")])
            kept = name + ".conf", name + ".log", NODES
            server = Program([program, file.name, *arguments], directory, log.fileno(), kept)
        except OSError as error:
            tell(0, directory)
            write(str(error).encode(errors="backslashreplace"))
            return 127
        try:
            tell(server.process.pid, directory)
            wait_for_end(server, wakeup)
        finally:
            code = end(server.process)
        size = log.seek(0, os.SEEK_END)
        log.seek(max(0, size - LOG_TAIL))
        write(log.read())
    return code


def main(arguments: list[str]) -> int:
    """The whole life of the reaper; returns its exit code."""
    parent_folder, *command = arguments
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)
    wakeup, wakeup_end = os.pipe()
    os.set_blocking(wakeup_end, False)
    # With a wake-up descriptor every handled signal becomes a byte to select on; the handlers have nothing to do.
    signal.set_wakeup_fd(wakeup_end)
    for number in (signal.SIGTERM, signal.SIGCHLD):
        signal.signal(number, lambda *_: None)
    configuration = read_configuration() if command else b""
    if configuration is None:
        return 0
    directory = None
    try:
        directory = tempfile.mkdtemp(prefix=PREFIX, dir=parent_folder)
        return run_server(directory, command, configuration, wakeup) if command else hold(directory, wakeup)
    except OSError as error:  # of our own files: what hinders the server is in its log
        write(f"! {error.strerror}\n".encode())
        return 127
    finally:
        if directory is not None:
            shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
