"""Files that a server's URL names, carried to processes on other hosts: certificates, and keys.

They are read where the run was started, cross with a worker's job, and lie in memory there: nothing of a key is on a
disk, or left when a process is killed.
"""

import contextlib
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from ombdriver.bench.servers.url import files_of
from ombdriver.errors import RunError


def read_files(url: object) -> dict[str, bytes]:
    """The files that the options of `url` name, by the options; none of what is no URL.

    Raises:
        RunError: if one of them can't be read.
    """
    found = {}
    for option, path in files_of(url).items() if isinstance(url, str) else ():
        try:
            found[option] = Path(path).read_bytes()
        except OSError as error:
            raise RunError(f"{option}: {path} can't be read ({error.strerror}); check the path") from error
    return found


class PlacedFiles:
    """Files that this process alone may read, until `close`, or its end.

    Args:
        contents: what is in them, by name.

    Attributes:
        paths: where they are, by name; of this process.
    """

    def __init__(self, contents: Mapping[str, bytes]) -> None:
        self.paths: dict[str, str] = {}
        with contextlib.ExitStack() as stack:
            for name, content in contents.items():
                self.paths[name] = _place(name, content, stack)
            self._placed = stack.pop_all()

    def __repr__(self) -> str:
        return f"<PlacedFiles {', '.join(self.paths)}>"

    def close(self) -> None:
        """Removes them. Harmless when done."""
        self._placed.close()


def _place(name: str, content: bytes, stack: contextlib.ExitStack) -> str:
    if hasattr(os, "memfd_create"):
        file = stack.enter_context(os.fdopen(os.memfd_create(name), "wb"))
        os.fchmod(file.fileno(), 0o600)
        file.write(content)
        file.flush()
        return f"/proc/self/fd/{file.fileno()}"
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ombdriver-")))  # only its owner may look in
    (folder / name).write_bytes(content)
    return str(folder / name)
