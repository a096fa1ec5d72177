"""What an error says of a command: whether it was surely not carried out, and whether the server is the wrong one.

Pure: a table of error replies and losses. Who sends a command again asks here first.
"""

from redis.exceptions import (
    AskError,
    BusyLoadingError,
    ClusterDownError,
    MasterDownError,
    MovedError,
    ReadOnlyError,
    ResponseError,
    TryAgainError,
)

from ombdriver.messaging.errors import NotSentError

__all__ = ["AskError", "MovedError", "is_of_wrong_server", "was_not_carried_out"]

# MasterDownError is a ClusterDownError, MovedError an AskError.
_REFUSED = (AskError, TryAgainError, ClusterDownError, ReadOnlyError, BusyLoadingError, NotSentError)


def was_not_carried_out(error: BaseException) -> bool:
    """Whether the command was surely not carried out, and would be elsewhere or later: it may be sent again.

    False for `OutcomeUnknownError`, and for what would be refused again, as WRONGTYPE.
    """
    return isinstance(error, _REFUSED) or _is_unblocked(error)


def is_of_wrong_server(error: BaseException) -> bool:
    """Whether the server has become a replica, or a replica without its primary: its connection is of no use."""
    return isinstance(error, ReadOnlyError | MasterDownError) or _is_unblocked(error)


def _is_unblocked(error: BaseException) -> bool:
    """A blocking read was ended because the server's role changed; it brought nothing."""
    return isinstance(error, ResponseError) and str(error).startswith("UNBLOCKED ")
