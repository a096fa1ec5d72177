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
from collections.abc import Mapping
from typing import Any


def host_facts() -> dict[str, Any]:
    """What this host is: plain data."""
    from ombdriver.bench.hosts import agent_protocol

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "version": str(agent_protocol.OWN),
        "name": socket.gethostname(),
        "cores": cores,
        "memoryBytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "python": platform.python_version(),
        "kernel": f"{platform.system()} {platform.release()}",
    }


class AgentProcess:
    """The agent's process, started when this is made; an actor of Dask.

    Args:
        orders: what the agent is given; see `agent.main`.
    """

    def __init__(self, orders: Mapping[str, Any]) -> None:
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the process
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "ombdriver.bench.hosts.agent"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=self._said,
            start_new_session=True,  # signals to the engine's terminal are not for it
        )
        assert self._process.stdin is not None
        with self._process.stdin as pipe:
            pipe.write(json.dumps(dict(orders)).encode())

    def ended(self) -> str | None:
        """What it said last and its exit code, if it has ended."""
        code = self._process.poll()
        return None if code is None else self._fate(code)

    def end(self, within_s: float) -> str:
        """Waits until it has ended, and ends it by force when it has not in time; nothing of it can be asked then."""
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
