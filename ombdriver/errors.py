"""One vocabulary of errors for both rooms.

Knows nothing of redis, yaml or click: each border maps what it catches to one of these, with `from`.
Every message ends with the way out, and none carries a password.
"""

from collections.abc import Sequence

LINE = "\n  "
"""Between the lines of one message. The command line breaks a message here alone: a line break in foreign text is shown
by its number, and can't pass for a message of ours."""


class OmbdriverError(Exception):
    """Root of every error that this package raises on purpose."""


class InputError(OmbdriverError):
    """What could be known from the files and the command line alone: exit code 2.

    Attributes:
        messages: one sentence for each thing that is wrong, in the order found; never empty.
    """

    def __init__(self, messages: str | Sequence[str]) -> None:
        self.messages: tuple[str, ...] = (messages,) if isinstance(messages, str) else tuple(messages)
        super().__init__("\n".join(self.messages))


class NotComparable(InputError):  # noqa: N818 - a state
    """Results differ in what they must have in common to be compared; each message says in what."""


class RunError(OmbdriverError):
    """A run that could not start, or did not end well: exit code 1."""


class ServerError(RunError):
    """The server could not be started or reached, refused us, or lacks what the run needs."""


class WorkerError(RunError):
    """A worker process died or failed; the message names it."""


class OutcomeUnknown(OmbdriverError):  # noqa: N818 - a state
    """A request was sent and no answer came: it may have been carried out or not."""


class UnderReplicated(OutcomeUnknown):
    """A message is stored, but not on the replicas and disks that were asked for: a failover or a crash may lose it."""


class DriverError(RunError):
    """A driver could not do what the seam asks of it; the message names the driver."""
