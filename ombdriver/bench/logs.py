"""The log on standard error: what servers and files say in it shows as text, without passwords.

Every process of a run has it so, since all of them write there.
"""

import logging
import sys
from collections.abc import Callable
from types import TracebackType
from typing import Any

from ombdriver.bench.units import visible
from ombdriver.secrets import redact_text

_DETAILED = "%(asctime)s %(levelname)s %(name)s: %(message)s"
_BRIEF = "%(message)s"


class _Formatter(logging.Formatter):
    """A message is one line, whatever is in it; a traceback has those of its own."""

    def format(self, record: logging.LogRecord) -> str:
        before, record.exc_text = record.exc_text, None  # another handler may have kept the traceback as it is
        try:
            return super().format(record)
        finally:
            record.exc_text = before

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's own name
        record.message = _shown(record.message)
        return super().formatMessage(record)

    def formatException(  # noqa: N802 - logging's own name
        self, ei: tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]
    ) -> str:
        return "\n".join(map(_shown, super().formatException(ei).split("\n")))


class _StandardError(logging.StreamHandler[Any]):
    """Writes to wherever standard error is by then: a live display stands in its place."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> Any:
        """Standard error."""
        return sys.stderr


def _shown(text: str) -> str:
    return visible(redact_text(text))


def log_to_standard_error(level: int = logging.WARNING) -> Callable[[], None]:
    """Has the process log there from now on, until what it returns is called.

    Args:
        level: the least that is shown; with less than warnings, time and module stand before each line.
    """
    root, handler = logging.getLogger(), _StandardError()
    handler.setFormatter(_Formatter(_BRIEF if level >= logging.WARNING else _DETAILED))
    before = root.level
    root.addHandler(handler)
    root.setLevel(level)

    def end() -> None:
        root.removeHandler(handler)
        root.setLevel(before)

    return end
