"""The seam between the parent and whatever starts its workers: a launcher makes an endpoint for each.

An endpoint is the parent's end of what joins it with one worker, as `worker.Link` is the worker's. Knows no process,
pipe, socket or host.
"""

from collections.abc import Callable
from typing import Protocol

from ombdriver.bench.worker import protocol, wire_format
from ombdriver.errors import OmbdriverError

OnMessage = Callable[[protocol.WorkerMessage], None]
"""Is called with each message of a worker, in the running loop, once `launch` has returned."""
OnFrame = Callable[[bytes], None]
"""Is called with each frame of a worker, the greeting first."""
OnGone = Callable[[], None]
"""Is called once, after the last message of a worker, when nothing more can come of it."""


class Endpoint(Protocol):
    """One worker as the parent sees it.

    Attributes:
        pid: its process id, on the host that it is on.
    """

    @property
    def pid(self) -> int: ...  # noqa: D102

    def send(self, command: protocol.Command) -> None:
        """Gives `command` to the worker; to one that is gone nothing, which `on_gone` tells.

        Raises:
            FormatError: if something in it is no plain data.
        """
        ...

    def signal(self, number: int) -> None:
        """Sends a signal to the worker's process, if it is there."""
        ...

    def fate(self) -> str:
        """What became of a worker that is gone, as the end of a sentence: `died with exit code -9`."""
        ...

    async def end(self, deadline: float) -> None:
        """Waits until the worker has ended, and ends it by force if it has not at `deadline`, a time of the loop.

        Nothing of it is left then, and `on_gone` has been called.

        Raises:
            RunError: if it can't be ended.
        """
        ...


class Launcher(Protocol):
    """Starts workers."""

    def launch(self, job: protocol.Job, on_message: OnMessage, on_gone: OnGone) -> Endpoint:
        """Starts a worker for `job`, and returns before it has connected; a failure to start is its `on_gone`.

        A worker of another version of this program is told as an `on_message` with `protocol.Failed`.

        Raises:
            FormatError: if something in `job` is no plain data.
        """
        ...


def opening(job: protocol.Job) -> tuple[bytes, ...]:
    """The first frames for a worker: a greeting, and what it is for.

    Raises:
        FormatError: if something in `job` is no plain data.
    """
    return wire_format.greeting(), wire_format.encode(job)


def reading(on_message: OnMessage) -> OnFrame:
    """Reads the frames of one worker; what can't be read is told as `protocol.Failed`."""
    decoder = wire_format.Decoder()

    def on_frame(frame: bytes) -> None:
        try:
            message = decoder.decode(frame)
        except OmbdriverError as error:
            message = protocol.Failed(str(error), known=True)
        if message is not None:
            on_message(message)

    return on_frame
