"""The process that carries out the fsyncs of one server, so that they can be late, fail, or be known.

Run as a script by `python -I -S`, by the reaper; knows the standard library only.

    fsync_gate_process.py SOCKET                      carries out what comes, until standard input ends
    fsync_gate_process.py SOCKET PROGRAM ARGUMENT...  becomes PROGRAM, of which each fsync and fdatasync waits for it
    fsync_gate_process.py                             tries whether this machine can do that
    fsync_gate_process.py cost                        tells how many nanoseconds longer an fsync takes by that

SOCKET: descriptor of one end of a pair of stream sockets; the program's end sends what the kernel tells its fsyncs by
(seccomp_unotify(2)) to the other end, before it becomes the program. Other system calls are as they are.
Standard input: orders, each a line. Standard output: one line for each, a whole number or what went wrong.
Orders: `delay NANOSECONDS` has each fsync begin so much later, 0 as ever, and lets those go on that wait; `fail NUMBER`
has each fail with this errno, 0 none; `cut DIRECTORY NAME...` takes from each file below a directory (in hexadecimal)
what no fsync had covered, but from those of these names, as when a machine loses its power; the answer is how many
bytes that was.
Exit code of a try, and of `cost`: 0, or 1 with the reason on standard output.
"""

import contextlib
import ctypes
import errno
import fcntl
import os
import platform
import select
import socket
import stat
import struct
import sys
import threading
import time

_CALLS = {"x86_64": (0xC000003E, 317, 74, 75), "aarch64": (0xC00000B7, 277, 82, 83)}
"""By machine: its name for the kernel's audit, and its numbers of seccomp, fsync and fdatasync."""
_PR_SET_NO_NEW_PRIVS = 38
_SET_MODE_FILTER, _NEW_LISTENER = 1, 8
_LOAD, _EQUAL, _RETURN = 0x20, 0x15, 0x06
_ALLOW, _ASK = 0x7FFF0000, 0x7FC00000
_TAKE, _ANSWER, _IS_VALID = 0xC0502100, 0xC0182101, 0x40082102
_REQUEST = struct.Struct("=QIIiIQ6Q")
_REPLY = struct.Struct("=QqiI")
_GO_ON = 1
"""Flag of a reply: the call is carried out by whoever has made it."""
_HANDS = 4
"""Fsyncs of one server that are carried out at a time: its threads and children that write."""
_TRIES = 201
"""Fsyncs by which their cost is told."""
NS = 1_000_000_000


# -- what becomes a server ---------------------------------------------------------------------------------------------


def listen() -> int:
    """Has the kernel ask before each fsync of this process and its children; returns by which descriptor.

    Raises:
        OSError: if this machine can't.
    """
    if platform.machine() not in _CALLS:
        raise OSError(errno.ENOSYS, f"the system calls of {platform.machine()} are not known")
    audited, seccomp, fsync, fdatasync = _CALLS[platform.machine()]
    filters = [
        (_LOAD, 0, 0, 4),
        (_EQUAL, 0, 4, audited),
        (_LOAD, 0, 0, 0),
        (_EQUAL, 1, 0, fsync),
        (_EQUAL, 0, 1, fdatasync),
        (_RETURN, 0, 0, _ASK),
        (_RETURN, 0, 0, _ALLOW),
    ]
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *each) for each in filters))
    program = struct.pack("@HP", len(filters), ctypes.addressof(code))
    kernel = ctypes.CDLL(None, use_errno=True)
    if kernel.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    found: int = kernel.syscall(seccomp, _SET_MODE_FILTER, _NEW_LISTENER, program)
    if found < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return found


def become(descriptor: int, command: list[str]) -> None:
    """Hands over what tells the fsyncs of this process, and becomes the program. Does not return."""
    listener = listen()
    with socket.socket(fileno=descriptor) as other:
        socket.send_fds(other, [b"l"], [listener])
    os.close(listener)
    os.execv(command[0], command)


# -- what carries out its fsyncs ---------------------------------------------------------------------------------------


class FsyncGate:
    """Carries out fsyncs, and knows what they have covered."""

    def __init__(self) -> None:
        self._news = threading.Condition()
        self._delay_ns = self._errno = self._orders = 0
        self._is_blind = False  # once there was a file that this process could not open
        self._begun = self._busy = 0
        # By device and inode: a descriptor, so that no other file gets that number; which fsync; and how long it was.
        self._covered: dict[tuple[int, int], tuple[int, int, int]] = {}

    def obey(self, order: bytes) -> bytes:
        """Carries out one order; returns the answer."""
        name, *words = order.split()
        try:
            match name, words:
                case b"delay", [text]:
                    self._set(delay_ns=int(text), error=0)
                case b"fail", [text]:
                    self._set(delay_ns=0, error=int(text))
                case b"cut", [directory, *kept]:
                    return b"%d" % self._cut(bytes.fromhex(directory.decode()), kept)
                case _:
                    return b"not known: " + order
        except OSError as error:
            return str(error).replace("\n", " ").encode()
        return b"0"

    def _set(self, *, delay_ns: int, error: int) -> None:
        with self._news:
            self._delay_ns, self._errno = delay_ns, error
            self._orders += 1
            self._news.notify_all()

    def serve(self, listener: int) -> None:
        """Begins to carry out the fsyncs that `listener` tells; ends with those who make them."""
        turn = threading.Lock()
        for _ in range(_HANDS):
            threading.Thread(target=self._serve, args=(listener, turn), daemon=True).start()

    def _serve(self, listener: int, turn: threading.Lock) -> None:
        while True:
            with turn:
                request = take(listener)
            if request is None:
                return
            self._carry_out(listener, request)

    def _carry_out(self, listener: int, request: bytearray) -> None:
        called, pid, _, number, _, _, descriptor, *_ = _REQUEST.unpack(request)
        value, flags = self._wait(), 0
        if not value:
            try:
                file = os.open(f"/proc/{pid}/fd/{descriptor & 0xFFFFFFFF}", os.O_RDONLY | os.O_CLOEXEC)
            except OSError as error:
                file = -1
                self._is_blind |= error.errno in (errno.EACCES, errno.EPERM)
            # Whoever has called may have ended by now, and its number be somebody else's.
            if not is_valid(listener, called):
                if file >= 0:
                    os.close(file)
                return
            if file >= 0:
                value = self.sync(file, is_data=number == _CALLS[platform.machine()][3])
            else:
                flags = _GO_ON
        with contextlib.suppress(OSError):  # it has ended
            fcntl.ioctl(listener, _ANSWER, bytearray(_REPLY.pack(called, 0, -value, flags)))

    def _wait(self) -> int:
        """Waits as long as is ordered; returns the error to answer with, 0 for none."""
        with self._news:
            until, orders = time.monotonic_ns() + self._delay_ns, self._orders
            while self._orders == orders and (left := until - time.monotonic_ns()) > 0:
                self._news.wait(left / NS)
            return self._errno

    def sync(self, file: int, *, is_data: bool) -> int:
        """Carries out an fsync, or an fdatasync, of a descriptor that it takes over; returns its error, 0 for none."""
        with self._news:
            self._begun, self._busy = self._begun + 1, self._busy + 1
            place, before = self._begun, os.fstat(file)
        found = 0
        try:
            (os.fdatasync if is_data else os.fsync)(file)
        except OSError as error:
            found = error.errno or errno.EIO
        if found or not stat.S_ISREG(before.st_mode):
            os.close(file)
        else:
            self._cover(file, place, before)
        with self._news:
            self._busy -= 1
            self._news.notify_all()
        return found

    def _cover(self, file: int, place: int, before: os.stat_result) -> None:
        key = before.st_dev, before.st_ino
        with self._news:
            known = self._covered.get(key)
            if known is not None:
                os.close(file)
                if place > known[1]:  # of two at a time the one that has begun earlier may end later
                    self._covered[key] = known[0], place, before.st_size
                return
            for other, (held, *_) in list(self._covered.items()):
                if not os.fstat(held).st_nlink:
                    os.close(held)
                    del self._covered[other]
            self._covered[key] = file, place, before.st_size

    def _cut(self, directory: bytes, kept: list[bytes]) -> int:
        if self._is_blind:
            raise PermissionError(errno.EACCES, "the files of the server could not be seen")
        count = 0
        with self._news:
            self._news.wait_for(lambda: not self._busy)
        for folder, _, names in os.walk(directory):
            for name in names:
                path = os.path.join(folder, name)
                found = os.lstat(path)
                if name in kept or not stat.S_ISREG(found.st_mode):
                    continue
                with self._news:
                    *_, size = self._covered.get((found.st_dev, found.st_ino), (-1, 0, 0))
                if size < found.st_size:
                    os.truncate(path, size)
                    count += found.st_size - size
        return count


def take(listener: int) -> bytearray | None:
    """The next call that waits for an answer; None when nobody is left who could make one."""
    watch = select.poll()
    watch.register(listener, select.POLLIN)
    while True:
        ((_, happened),) = watch.poll()
        if not happened & select.POLLIN:
            return None
        request = bytearray(_REQUEST.size)
        try:
            fcntl.ioctl(listener, _TAKE, request)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.EINTR):  # else it was killed meanwhile
                return None
            continue
        return request


def is_valid(listener: int, called: int) -> bool:
    """Whether a call still waits for its answer."""
    try:
        fcntl.ioctl(listener, _IS_VALID, struct.pack("=Q", called))
    except OSError:
        return False
    return True


def carry_out(descriptor: int) -> None:
    """Carries out fsyncs and orders until standard input ends."""
    gate, given = FsyncGate(), b""
    with socket.socket(fileno=descriptor) as other:
        watched = [0, descriptor]
        while True:
            ready, _, _ = select.select(watched, [], [])
            if descriptor in ready:
                _, listeners, _, _ = socket.recv_fds(other, 1, 1)
                for listener in listeners:
                    gate.serve(listener)
                if not listeners:
                    watched = [0]
            if 0 in ready:
                chunk = os.read(0, 4096)
                if not chunk:
                    return
                *orders, given = (given + chunk).split(b"\n")
                for order in orders:
                    with contextlib.suppress(BrokenPipeError):
                        os.write(1, gate.obey(order) + b"\n")


# -- what that costs ---------------------------------------------------------------------------------------------------


def cost_ns() -> int:
    """By how much an fsync takes longer that another process carries out at once: the median of many.

    The file is one in memory, of which an fsync takes next to nothing by itself. Filters this process for good.

    Raises:
        OSError: if this machine can't.
    """
    ours, theirs = socket.socketpair()
    gate = os.fork()
    if not gate:
        ours.close()
        with contextlib.suppress(OSError):
            _, listeners, _, _ = socket.recv_fds(theirs, 1, 1)
            for listener in listeners:
                FsyncGate().serve(listener)
            theirs.recv(1)
        os._exit(0)
    theirs.close()
    try:
        file = os.memfd_create("cost")
        alone = typical_ns(file)
        listener = listen()
        socket.send_fds(ours, [b"l"], [listener])
        os.close(listener)
        return typical_ns(file) - alone
    finally:
        ours.close()
        os.waitpid(gate, 0)


def typical_ns(file: int) -> int:
    """How long an fsync of it takes: the median of `_TRIES`."""
    took = []
    for _ in range(_TRIES):
        begun = time.perf_counter_ns()
        os.fsync(file)
        took.append(time.perf_counter_ns() - begun)
    return sorted(took)[_TRIES // 2]


def main(arguments: list[str]) -> int:
    """Returns the exit code."""
    if arguments in ([], ["cost"]):
        try:
            if arguments:
                print(cost_ns())  # noqa: T201 - for who has asked
            else:
                listen()
        except OSError as error:
            print(error.strerror)  # noqa: T201 - for who has asked
            return 1
        return 0
    descriptor, *command = arguments
    if command:
        become(int(descriptor), command)
    carry_out(int(descriptor))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
