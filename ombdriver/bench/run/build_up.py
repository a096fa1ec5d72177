"""What a run waits for before its phases begin: shown once that takes longer than a moment.

Knows the display and the words; what is built up, and how, is for its caller.
"""

import asyncio
import time
from types import TracebackType
from typing import Self

from ombdriver.bench.report.live import LiveView
from ombdriver.bench.report.progress import Progress
from ombdriver.bench.run.progress import WAITING_EVERY_S

PHASE = "create"
"""What progress calls this part of a run."""
PATIENCE_S = 2.0
"""A wait that is shorter needs no word."""


class BuildUp:
    """Shows which part of the build-up is waited for, once a second; a context manager within a loop.

    Args:
        display: what to show it on.
        patience_s: seconds that a part may take without a word.
    """

    def __init__(self, display: LiveView, patience_s: float = PATIENCE_S) -> None:
        self._display, self._patience_s = display, patience_s
        self._until, self._since_s = "", 0.0
        self._next: asyncio.TimerHandle | None = None

    def __repr__(self) -> str:
        return f"<BuildUp waiting {self._until}>"

    def waits(self, until: str) -> None:
        """The next part begins, which ends when what `until` says has come: `until the server has answered`."""
        self._until, self._since_s = until, time.monotonic()
        self._in(self._patience_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._next is not None:
            self._next.cancel()

    def _in(self, wait_s: float) -> None:
        if self._next is not None:
            self._next.cancel()
        self._next = asyncio.get_running_loop().call_later(wait_s, self._tell)

    def _tell(self) -> None:
        self._display.update(Progress(PHASE, time.monotonic() - self._since_s, message=self._until))
        self._in(WAITING_EVERY_S)
