"""`hook`: a command of the user's breaks what only the user can break, and another one mends it."""

import asyncio
import contextlib
import os
import shlex
import shutil
import signal
import tempfile
from collections.abc import Mapping, Sequence

from ombdriver.bench.faults.api import Endangers, Fault, FaultError, FaultSystem, Site
from ombdriver.bench.units import quoted

TIMEOUT_S = 30.0
"""How long a command may take; it is killed then, with what it started in its process group."""
MOST_SAID = 300


class RunHook(Fault):
    """`hook: ./cut.sh`, with `heal: ./mend.sh` where it is to be undone. No shell; words as a shell splits them."""

    OPTIONS = ("heal",)
    LASTS = "maybe"

    def __init__(self, value: object, options: Mapping[str, object]) -> None:
        self._value, self._heal = value, options.get("heal")
        self._command = _words(value, "hook")
        self._mend = _words(self._heal, "heal") if self._heal is not None else []
        self._injected = False

    def spec(self) -> Mapping[str, object]:
        """See `Fault.spec`."""
        return {"hook": self._value} | ({} if self._heal is None else {"heal": self._heal})

    def endangers(self, site: Site) -> Endangers:
        """Nobody here knows what it does."""
        return "unknown"

    def missing(self, site: Site) -> str | None:
        """A program that is not there is told before the run."""
        absent = [words[0] for words in (self._command, self._mend) if words and shutil.which(words[0]) is None]
        if not absent:
            return None
        return f"there is no program {quoted(absent[0])} that can be run; correct its path, or make it executable"

    @property
    def heals(self) -> bool:
        """See `Fault.heals`."""
        return bool(self._mend)

    async def inject(self, system: FaultSystem) -> Sequence[str]:
        """See `Fault.inject`."""
        self._injected = True
        await _run(self._command)
        return [self._command[0]]

    async def heal(self) -> None:
        """Runs `heal`, if there is one."""
        if self._injected and self._mend:
            self._injected = False
            await _run(self._mend)


def _words(value: object, key: str) -> list[str]:
    if isinstance(value, list) and value and all(isinstance(each, str) and each for each in value):
        return list(value)
    if isinstance(value, str) and value.strip():
        try:
            return shlex.split(value)
        except ValueError as error:
            raise ValueError(f"{key}: {quoted(value)} is no command ({error}); write a list of words") from None
    raise ValueError(f"{key}: {quoted(value)} is no command; write it as './cut.sh 10', or as a list of words")


async def _run(words: Sequence[str]) -> None:
    # A file, since what the command leaves running may hold a pipe open.
    with tempfile.TemporaryFile() as said:
        try:
            process = await asyncio.create_subprocess_exec(
                *words,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=said,
                start_new_session=True,
            )
        except OSError as error:
            raise FaultError(f"{words[0]} can't be run ({error.strerror or error})") from error
        try:
            await asyncio.wait_for(process.wait(), TIMEOUT_S)
        except TimeoutError as error:
            raise FaultError(f"{words[0]} did not end within {TIMEOUT_S:g} s, and was killed") from error
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
        if process.returncode:
            said.seek(0)
            text = said.read().decode(errors="replace").strip()[-MOST_SAID:]
            raise FaultError(f"{words[0]} ended with exit code {process.returncode}{f': {text}' if text else ''}")
