"""Reads files that people name: regular ones only, since a pipe or a device may never end, and hears no signal."""

import codecs
import errno
import os
import stat
from pathlib import Path


class NotRegularError(OSError):
    """A path is that of a folder, a pipe, a socket or a device; `strerror` says which."""


def read_regular(path: Path, most: int | None = None) -> bytes:
    """The bytes of a file, or the first `most` of them.

    Raises:
        NotRegularError: if it is a pipe, a socket, a device or a folder.
        OSError: if it can't be read.
        ValueError: if there is a NUL in its name.
    """
    _check(path.stat())
    # It may have become something else meanwhile; a pipe that nobody writes into opens at once so.
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
        _check(os.fstat(file.fileno()))
        return file.read() if most is None else file.read(most)


def _check(status: os.stat_result) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise NotRegularError(errno.EISDIR, "a folder")
    if not stat.S_ISREG(status.st_mode):
        raise NotRegularError(errno.EINVAL, "no regular file (a pipe, a socket or a device)")


def is_wide_text(content: bytes) -> bool:
    """Whether `content` is text in UTF-16 or UTF-32, as PowerShell writes what is sent into a file by `>`."""
    begin = content[:1024].removeprefix(codecs.BOM_UTF16_LE).removeprefix(codecs.BOM_UTF16_BE).strip(b"\0")
    # Of what people write in YAML or JSON each second byte is zero, or three of four, and the rest is plain text.
    rest = begin.replace(b"\0", b"")
    return begin.count(0) > len(begin) // 3 and all(each >= 0x20 or each in b"\t\r\n" for each in rest)
