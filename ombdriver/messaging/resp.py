"""RESP 2, by hiredis both ways: commands packed, replies parsed as bytes, error replies as redis-py's classes."""

from hiredis import Reader, ReplyError, pack_command
from redis._parsers.base import BaseParser

from ombdriver.messaging.errors import AioRedisMQValueError

__all__ = ["Argument", "Reader", "ReplyError", "pack", "pack_command", "server_error"]

Argument = bytes | str | int | float


def server_error(reply: ReplyError) -> Exception:
    """The error class that redis-py raises for this error reply."""
    error: Exception = BaseParser.parse_error(str(reply))  # type: ignore[no-untyped-call]
    return error


def pack(args: tuple[Argument, ...]) -> bytes:
    """One command in RESP.

    Raises:
        AioRedisMQValueError: if an argument is not bytes, str, int or float.
    """
    try:
        data: bytes = pack_command(args)  # type: ignore[arg-type]  # its stub says one-tuple
    except (TypeError, UnicodeEncodeError) as error:
        for arg in args:
            if not isinstance(arg, bytes | str | int | float) or isinstance(arg, bool):
                raise AioRedisMQValueError(
                    f"{args[0]!s}: {type(arg).__name__} can't be stored; give bytes, str, int or float"
                ) from error
        raise AioRedisMQValueError(f"{args[0]!s}: {error}") from error
    return data
