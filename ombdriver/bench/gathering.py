"""What a user names as results (files, patterns, folders) -> results that were read, in the order of time.

Knows files; must not know what is made of the results.
"""

import glob
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ombdriver.bench import store
from ombdriver.bench.result import KINDS, Result
from ombdriver.errors import InputError

_PATTERN = frozenset("*?[")


@dataclass(frozen=True, slots=True)
class Gathered:
    """A result, and the name of the file that it is from, without its folder."""

    source: str
    result: Result


def gather(names: Sequence[str]) -> list[Gathered]:
    """Reads every result that is named, each once, the oldest first.

    Args:
        names: files; patterns such as `results/*embedded*.json`; folders, of which the results right in them count.
            What else lies in a folder (calibrations, for one) is passed over; a file that is named must be a result.

    Raises:
        InputError: with all faults, if something named is not there, holds no result, or can't be read.
    """
    faults: list[str] = []
    read: dict[str, Gathered] = {}
    for name in names:
        try:
            for path in _paths(name):
                result = store.load(path)
                read.setdefault(result.run_id, Gathered(path.name, result))
        except InputError as error:
            faults += error.faults
    if faults:
        raise InputError(faults)
    return sorted(read.values(), key=lambda each: (each.result.begin_time, each.source))


def results_in(folder: Path) -> list[Gathered]:
    """The results right in `folder`, the oldest first; none when it does not exist.

    Raises:
        InputError: if one can't be read.
    """
    paths = [str(path) for path in sorted(folder.glob("*.json")) if _is_result(path)]
    return gather(paths)


def _paths(name: str) -> Iterator[Path]:
    path = Path(name)
    if path.is_dir():
        yield from _some(name, [each for each in path.glob("*.json") if _is_result(each)])
    elif _PATTERN & set(name) and not path.exists():  # a shell that knows patterns leaves none to us
        yield from _some(name, [each for each in map(Path, glob.glob(name, recursive=True)) if _is_result(each)])
    else:
        yield path


def _some(name: str, paths: Sequence[Path]) -> Sequence[Path]:
    if not paths:
        raise InputError(f"{name}: there is no result in it; give files that `ombdriver run` wrote, or their folder")
    return sorted(paths)


def _is_result(path: Path) -> bool:
    """True for the result of a run, also for one that turns out to be damaged."""
    try:
        with path.open(encoding="utf-8") as file:
            head = file.read(200)
    except (OSError, UnicodeDecodeError):
        return False
    return any(f'"kind": {json.dumps(kind)}' in head for kind in KINDS)
