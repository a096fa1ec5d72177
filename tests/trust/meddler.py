"""A process that holds others up: stops them for a while again and again, or takes their processor.

A program of its own, of the standard library alone, so that it starts fast and does nothing but this. Its first
argument is JSON (`Meddling`); it reads one line, the nanoseconds of the monotonic clock at which to begin and to end;
then it writes the stretches in which it held up, as JSON. It ends with its parent.
"""

import contextlib
import json
import os
import random
import signal
import sys
import time


def _sleep_until(at_ns: int) -> None:
    while (left_ns := at_ns - time.monotonic_ns()) > 0:
        time.sleep(left_ns / 1e9)


def _stop(pids: list[int], until_ns: int) -> None:
    """Stops processes as Ctrl-Z would."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        _sleep_until(until_ns)
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def _burn(until_ns: int) -> None:
    while time.monotonic_ns() < until_ns:
        pass


def main() -> None:
    """Holds up, and tells when."""
    asked = json.loads(sys.argv[1])
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent, pids, core = os.getppid(), asked["pids"], asked["core"]
    if core is not None:
        os.sched_setaffinity(0, {core})
    if asked["real_time"]:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(50))
    elif core is None:  # to be on time when it stops others; what it takes is next to nothing
        with contextlib.suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(51))
    elif asked["niceness"]:
        os.nice(asked["niceness"])
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    line = sys.stdin.readline()
    if not line:
        return
    begin_ns, end_ns = json.loads(line)
    share, length_ns = asked["share"], round(asked["length_ms"] * 1e6)
    chance = random.Random(asked["seed"])
    held: list[tuple[int, int]] = []
    with contextlib.suppress(ProcessLookupError):
        # The gaps vary, so that they keep no beat with anything.
        due_ns = begin_ns + round(length_ns * (1 / share - 1) * chance.random())
        while due_ns < end_ns and os.getppid() == parent:
            _sleep_until(due_ns)
            first_ns = time.monotonic_ns()
            until_ns = min(max(due_ns, first_ns) + length_ns, end_ns)
            if pids:
                _stop(pids, until_ns)
            else:
                _burn(until_ns)
            held.append((first_ns, time.monotonic_ns()))
            due_ns += max(length_ns, round(length_ns / share * (1 + (0.4 * chance.random() - 0.2) * (share < 1))))
    sys.stdout.write(json.dumps(held) + "\n")


if __name__ == "__main__":
    main()
