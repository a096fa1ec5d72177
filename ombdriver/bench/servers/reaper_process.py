"""The parent of a private server: it ends the server when the harness is gone, whatever ended that.

Run as a script by `python -I -S`: it knows the standard library only, so it starts in a few hundredths of a second.
When standard input ends (the harness closed it, or died, also by `kill -9`), or when the server has ended, it removes
the server's process and its directory, and ends itself.

    reaper_process.py PARENT_FOLDER PROGRAM NAME PROCESSORS GATE CLOCK [ARGUMENT...]
    reaper_process.py PARENT_FOLDER

PROCESSORS: numbers with commas, which the server is to stay on; empty for all.
GATE: the script that carries out the server's fsyncs (`fsync_gate_process`); empty where it does so itself.
CLOCK: the library by which the server has a clock of its own (libfaketime), which is as far from this machine's as the
file NAME.clock in its directory says; empty for this machine's clock.
ARGUMENT: what the program is given after its configuration file.
With the folder alone there is no server: only a directory, for files that several servers share.
Standard input: the server's configuration, ended by a NUL byte, then orders, each a line, until the end. `{directory}`
in it is replaced, and stands in quotes there. (Not in the arguments: it may hold a password, and arguments are public.)
Standard output: one line `PID DIRECTORY` when the server was started (without one, of this process), one line for each
order, and at the end the last of the server's log. DIRECTORY is in hexadecimal, since a name may hold anything. Where
the directory can't be made or written to, the line is `! REASON`.
Orders: `crash` ends the server by SIGKILL, and waits for the next order in place of ending with it; `wipe` removes what
it has written, but for its log and its configuration; `start` starts it again. `may-end` has it count as running when
it ends by itself from now on, and `must-run` starts it again if it has. `full` has no file of it grow from now on, and
`room` lets them. The answer is its process id, 0 where it does not run, or what went wrong. `disk ORDER` gives an order
to its gate, and answers what that does; to `cut` the directory and the names of what is kept are added.
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


class Gate:
    """The process that carries out the fsyncs of a server.

    Args:
        script: its program.
        log: descriptor of the file that what goes wrong in it is written to.
    """

    def __init__(self, script: str, log: int) -> None:
        import socket  # few servers need it, and it takes a while

        self._python = [sys.executable, "-I", "-S", script]
        self._socket, theirs = socket.socketpair()
        with theirs:
            self.process = subprocess.Popen(
                [*self._python, str(theirs.fileno())],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                pass_fds=[theirs.fileno()],
            )

    @property
    def descriptor(self) -> int:
        """What a server must be given."""
        return self._socket.fileno()

    def before(self, command: list[str]) -> list[str]:
        """The command by which a program is started so that its fsyncs come here."""
        return [*self._python, str(self.descriptor), *command]

    def order(self, order: bytes) -> bytes:
        """Gives it an order; returns its answer."""
        stdin, stdout = self.process.stdin, self.process.stdout
        if stdin is None or stdout is None:
            return b"it has no pipes"
        with contextlib.suppress(BrokenPipeError):
            stdin.write(order + b"\n")
            stdin.flush()
        return stdout.readline().rstrip(b"\n") or b"the process that carries out fsyncs has ended"

    def close(self) -> None:
        """Ends it."""
        self._socket.close()
        if self.process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self.process.stdin.close()
        self.process.kill()
        self.process.wait()


class Program:
    """The server: started, and started again where it was ordered to crash.

    Args:
        command: program, configuration file and arguments.
        directory: where it works.
        log: descriptor of the file that what it says is written to.
        kept: names of files that `wipe` leaves.
        gate: who carries out its fsyncs; None for itself.
        clock: the library by which it has a clock of its own, and the file that says how far that is from this
            machine's; None for this machine's.
    """

    def __init__(
        self,
        command: list[str],
        directory: str,
        log: int,
        kept: tuple[str, ...],
        gate: Gate | None = None,
        clock: tuple[str, str] | None = None,
    ) -> None:
        self._command, self._directory, self._log, self._kept = command, directory, log, kept
        self._gate = gate
        if clock is not None:
            # By `env`, so that what comes before the server keeps this machine's clock.
            variables = [f"{name}={value}" for name, value in clock_variables(*clock).items()]
            self._command = ["/usr/bin/env", *variables, *command]
        self._clock = clock
        self._is_down = False  # by an order, or as it was allowed to
        self._may_end = self._has_ended_alone = self._is_full = False
        self.start()

    def start(self) -> None:
        """Starts it; an OSError if that can't be."""
        self.process = subprocess.Popen(
            self._command if self._gate is None else self._gate.before(self._command),
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            cwd=self._directory,
            pass_fds=() if self._gate is None else [self._gate.descriptor],
            # As this process has them: SIGXFSZ is ignored, so a file that may not grow is an error of a write.
            restore_signals=False,
        )
        self._is_down = self._has_ended_alone = False
        if self._is_full:
            limit_files(self.process.pid, is_full=True)

    @property
    def has_ended(self) -> bool:
        """Whether it has ended by itself, and was not allowed to."""
        if self._is_down or self.process.poll() is None:
            return False
        if self._may_end:
            self._is_down = self._has_ended_alone = True
            self.forget()
            return False
        return True

    def forget(self) -> None:
        """Removes what the library of its clock has left of a server that has ended."""
        if self._clock is not None:
            forget_clock(self.process.pid)

    def obey(self, order: bytes) -> bytes:
        """Carries out one order; returns the answer."""
        try:
            if order == b"crash":
                self._is_down, self._has_ended_alone = True, False
                self.process.kill()
                self.process.wait()
                self.forget()
            elif order == b"wipe" and self._is_down:
                wipe(self._directory, self._kept)
            elif order == b"start" and self._is_down:
                self.start()
            elif order == b"may-end":
                self._may_end = True
            elif order == b"must-run":
                if not self.has_ended and self._has_ended_alone:
                    self.start()
                self._may_end = False
            elif order in (b"full", b"room"):
                if self._is_full is not (order == b"full"):
                    self._is_full = order == b"full"
                    if self.process.poll() is None:
                        limit_files(self.process.pid, is_full=self._is_full)
            elif order.startswith(b"disk ") and self._gate is not None:
                return self._gate.order(self._of_gate(order.removeprefix(b"disk ")))
            else:
                return b"this can't be done now: " + order
        except OSError as error:
            return str(error).replace("\n", " ").encode()
        return b"0" if self._is_down else b"%d" % self.process.pid

    def _of_gate(self, order: bytes) -> bytes:
        if order != b"cut":
            return order
        return b" ".join([order, os.fsencode(self._directory).hex().encode(), *map(os.fsencode, self._kept)])


def limit_files(pid: int, *, is_full: bool) -> None:
    """Has no file of a child grow any more, or lets them as far as those of this process may."""
    import resource  # few servers need it

    usual, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (0 if is_full else usual, most))


def clock_variables(library: str, file: str) -> dict[str, str]:
    """What has a program take its time from a clock of its own; only the time of day, since timers are not to stop."""
    return {
        "LD_PRELOAD": library,
        "FAKETIME_TIMESTAMP_FILE": file,
        "FAKETIME_CACHE_DURATION": "1",
        "DONT_FAKE_MONOTONIC": "1",
        "FAKETIME_DONT_RESET": "1",
    }


def forget_clock(pid: int) -> None:
    """Removes what libfaketime leaves of a process that was killed."""
    for name in ("faketime_shm_", "sem.faketime_sem_"):
        with contextlib.suppress(OSError):
            os.unlink(f"/dev/shm/{name}{pid}")


def write_offset(path: str, offset_s: float = 0.0) -> None:
    """Says how far a clock is from this machine's, in one step for who reads it."""
    with open(path + ".new", "w") as file:
        file.write(f"{offset_s:+f}\n")
    os.replace(path + ".new", path)


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
    program, name, processors, gate_script, library, *arguments = command
    with open(os.path.join(directory, name + ".conf"), "xb") as file:
        file.write(configuration.replace(b"{directory}", quotable(directory).encode()))
    clock = None
    if library:
        clock = library, os.path.join(directory, name + ".clock")
        write_offset(clock[1])
    kept = name + ".conf", name + ".log", name + ".clock", NODES
    with open(os.path.join(directory, name + ".log"), "xb+") as log, contextlib.ExitStack() as stack:
        try:
            if processors:
                # Ours too, since a child takes it over before its first thread; we are asleep all the time.
                os.sched_setaffinity(0, [int(number) for number in processors.split(",")])
            gate = Gate(gate_script, log.fileno()) if gate_script else None
            if gate is not None:
                stack.callback(gate.close)
            server = Program([program, file.name, *arguments], directory, log.fileno(), kept, gate, clock)
        except OSError as error:
            tell(0, directory)
            write(str(error).encode(errors="backslashreplace"))
            return 127
        try:
            tell(server.process.pid, directory)
            wait_for_end(server, wakeup)
        finally:
            if gate is not None:
                gate.order(b"delay 0")  # its last fsync is not held up
            code = end(server.process)
            server.forget()
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
