"""What the engine holds of a host: the process of its agent, and what the host is. Runs in a worker of the engine.

Standard library only but for the version, so that a host that lacks something says what.
"""

import json
import os
import platform
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from typing import Any


def host_facts() -> dict[str, Any]:
    """What this host is: plain data."""
    from ombdriver.bench.hosts import agent_protocol
    from ombdriver.bench.telemetry import installation

    return {
        "version": str(agent_protocol.OWN),
        "name": socket.gethostname(),
        "cores": installation.usable_cores(),
        "python": platform.python_version(),
        **installation.host(),
        "loadAverageAtStart": installation.load_average(),
    }


class AgentProcess:
    """The agent's process; an actor of Dask.

    It is made without arguments: those of a task are kept by the scheduler and shown in its dashboard, and the orders
    hold the run's secret. Those of a call of an actor are not.
    """

    def __init__(self) -> None:
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the process
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, orders: Mapping[str, Any], *, has_nanny: bool = False) -> int:
        """Starts it, once; its process id.

        Args:
            orders: what the agent is given; see `agent.main`.
            has_nanny: whether the parent of this process is the engine's too.
        """
        engine = [os.getpid(), *([os.getppid()] if has_nanny else [])]
        self._process = process = subprocess.Popen(
            [sys.executable, "-P", "-m", "ombdriver.bench.hosts.agent"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=self._said,
            start_new_session=True,  # signals to the engine's terminal are not for it
        )
        assert process.stdin is not None
        with process.stdin as pipe:
            pipe.write(json.dumps({**orders, "engine": engine}).encode())
        # Nobody may ask for it any more, as when the coordinator was killed: it is no zombie then.
        threading.Thread(target=process.wait, name="agent", daemon=True).start()
        return process.pid

    def ended(self) -> str | None:
        """What it said last and its exit code, if it has ended."""
        code = None if self._process is None else self._process.poll()
        return None if code is None else self._fate(code)

    def end(self, within_s: float) -> str:
        """Waits until it has ended, and ends it by force when it has not in time; nothing of it can be asked then."""
        if self._process is None:
            return "its agent was not started"
        try:
            code = self._process.wait(within_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        with self._said:
            return self._fate(code)

    def _fate(self, code: int) -> str:
        self._said.seek(0)
        lines = self._said.read().decode(errors="replace").strip().splitlines()
        return f"its agent ended with exit code {code}" + (f": {lines[-1]}" if lines else "")
