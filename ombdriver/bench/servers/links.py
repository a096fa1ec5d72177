"""Our side of a run's links: starts their process, opens links to ports, and shapes what they carry.

Only starter of `link_process`. Knows ports; no server, client or fault.
"""

import asyncio
import contextlib
import json
import subprocess
import sys
import threading
from collections.abc import Collection, Mapping
from typing import Any, Self

from ombdriver.bench.servers import link_process
from ombdriver.bench.servers.link_shape import LinkShape
from ombdriver.bench.servers.topology import HOST

END_TIMEOUT_S = 5.0
FILES_OF_A_CONNECTION, FILES_OF_A_LINK, OTHER_FILES = 2, 2, 64
"""What the process of the links opens: both ends of each connection, a port and who listens on it, and itself."""


def open_files(connections: int, links: int) -> int:
    """So many files and connections the process of the links has open at a time."""
    return FILES_OF_A_CONNECTION * connections + FILES_OF_A_LINK * links + OTHER_FILES


class LinkError(Exception):
    """A link could not be opened or shaped; the text says why."""


class Links:
    """The links of one run, in a process that ends with this one. Made by `start`; `async with` ends it.

    It belongs to no event loop.
    """

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = process
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"<Links, pid {self.pid}>"

    @classmethod
    def start(cls) -> Self:
        """Starts their process; it has no link yet."""
        return cls(
            subprocess.Popen(
                [sys.executable, "-I", "-S", link_process.__file__],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                start_new_session=True,  # Ctrl-C goes to the whole foreground group: to us, but not to the links
            )
        )

    @property
    def pid(self) -> int:
        """Of their process."""
        return self._process.pid

    async def open(self, port: int, host: str = HOST, *, at: int = 0, callers: Collection[str] = ()) -> int:
        """Opens a link to a port; returns the port by which it is reached, on 127.0.0.1.

        Args:
            port: where it leads to.
            host: name or address of where that is.
            at: the port by which it is to be reached; 0 for any.
            callers: addresses whose connections can be shaped by themselves.

        Raises:
            LinkError: if it can't be.
        """
        answer = await self._order({"open": port, "host": host, "at": at, "callers": [*callers]})
        return int(answer["port"])

    async def shape(self, link: int, shape: LinkShape, caller: str = "") -> int:
        """Shapes what goes through a link from now on; returns how many connections there were.

        Args:
            link: the port that `open` gave.
            shape: how; one without anything lets it go as it is.
            caller: one of its callers; empty for all the rest.

        Raises:
            LinkError: if it can't be.
        """
        whose = {"caller": caller} if caller else {}
        answer = await self._order({"link": link, **whose, "shape": shape.to_order()})
        return int(answer["connections"])

    async def _order(self, order: Mapping[str, object]) -> Mapping[str, Any]:
        line = await asyncio.to_thread(self._ask, json.dumps(order).encode() + b"\n")
        if not line.endswith(b"\n"):
            raise LinkError("the process of the links has ended")
        answer: Mapping[str, Any] = json.loads(line)
        if "error" in answer:
            raise LinkError(f"a link could not do {json.dumps(order)}: {answer['error']}")
        return answer

    def _ask(self, order: bytes) -> bytes:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        with self._lock:
            if stdin.closed:
                return b""
            with contextlib.suppress(BrokenPipeError):
                stdin.write(order)
                stdin.flush()
            return stdout.readline()

    def close(self) -> None:
        """Lets the process end, with every connection. Harmless when it has."""
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            with contextlib.suppress(BrokenPipeError):
                pipe.close()

    async def aclose(self) -> None:
        """As `close`, and waits until it has ended, by force if it does not in time."""
        self.close()
        await asyncio.to_thread(self._end)

    def _end(self) -> None:
        try:
            self._process.wait(END_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()
