"""What is done to what a server writes to its disk. Pure."""

import errno
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DiskShape:
    """What is done to what a server writes; nothing without any of it.

    Attributes:
        fsync_delay_ns: each fsync begins so much later.
        fsync_error: the name of the error that each fsync fails with, as `EIO`; empty for none.
        full: no file may grow: each write to one fails.
    """

    fsync_delay_ns: int = 0
    fsync_error: str = ""
    full: bool = False

    def to_order(self) -> str:
        """As `fsync_gate_process` takes it."""
        if self.fsync_error:
            return f"fail {getattr(errno, self.fsync_error)}"
        return f"delay {self.fsync_delay_ns}"
