"""Where results lie: `results/<utc>-<workload>-<setup>-<run id>.json`, written whole or not at all, and read back.

Knows folders, names, patterns, and how a file comes to be complete on disk. Must not know how a result was measured,
what is made of it, or how it is shown.
"""

import glob
import json
import os
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ombdriver.bench.files import is_wide_text, read_regular
from ombdriver.bench.results.result import KINDS, Result
from ombdriver.bench.units import visible
from ombdriver.errors import InputError, RunError

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_LONGEST_PART = 60
_TIME = "%Y%m%dT%H%M%SZ"
_PATTERN = frozenset("*?[")


def file_name(result: Result) -> str:
    """The name of the result's file: the beginning of its window in UTC to the second, workload, setup and run id."""
    begin = datetime.fromisoformat(result.begin_time).astimezone(UTC)
    parts = (result.workload, str(result.setup.get("name", "setup")), result.run_id)
    return "-".join([begin.strftime(_TIME), *map(_safe, parts)]) + ".json"


def prepare(folder: Path) -> None:
    """Creates the folder and tries a small file in it, so that a run does not find out at its end.

    Raises:
        RunError: if the folder can't be made or written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"x" * 4096)
            file.flush()
    except OSError as error:
        raise _cannot_write(folder, error) from error


def load(path: Path) -> Result:
    """Reads a result's file, of this version of ombdriver or of any before it.

    Raises:
        InputError: if it is not there, can't be read, or is no result.
    """
    return Result.loads(read(path), visible(str(path)))


def read(path: Path) -> str:
    """The text of a result's file.

    Raises:
        InputError: if it is not there, or can't be read.
    """
    try:
        content = read_regular(path)
        if is_wide_text(content):
            raise InputError(f"{path}: text in UTF-16; save it as UTF-8")
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not text, so not a result; give a file that `ombdriver run` wrote") from error
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise InputError(f"{path} can't be read ({reason}); give a result file, as there are in results/") from error


def save(result: Result, folder: Path) -> Path:
    """Writes the result into the folder and returns its path; see `write`."""
    return write(folder, file_name(result), result.dumps())


def save_report(kind: str, report: Mapping[str, Any], folder: Path) -> Path:
    """Writes a report other than a run's, by its kind and its `time` (ISO 8601 in UTC); see `write`."""
    time = datetime.fromisoformat(str(report["time"])).astimezone(UTC)
    return write(folder, f"{time.strftime(_TIME)}-{_safe(kind)}.json", json.dumps(report, indent=1) + "\n")


def latest_calibration(folder: Path, host: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The newest calibration in the folder that was made on `host` (`installation.host`); None if there is none."""
    for path in sorted(folder.glob("*-calibration.json"), reverse=True):
        try:
            report = json.loads(read_regular(path).decode())
        except (OSError, ValueError):  # not readable: not a calibration that could be used
            continue
        if isinstance(report, dict) and report.get("kind") == "calibration" and report.get("host") == host:
            return {"time": report["time"], **report["figures"]}
    return None


def write(folder: Path, name: str, text: str, *, replace: bool = False) -> Path:
    """Writes `text` as a new file of the folder and returns its path.

    The file has its name only once all of it is on disk. A file of that name is replaced only when that is asked for.

    Raises:
        RunError: if it can't be written; nothing is left then.
    """
    path = folder / name
    if not replace:
        _refuse_existing(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=".", suffix=".part", dir=folder)
        try:
            # What can't be encoded is of a name that is not UTF-8: in JSON this is its escape.
            with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
                file.write(text)
                file.flush()
                os.fchmod(file.fileno(), 0o644)  # mkstemp's 0600 would keep colleagues from reading it
                os.fsync(file.fileno())
            os.rename(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise
        _sync_folder(folder)
    except OSError as error:
        raise _cannot_write(folder, error) from error
    return path


def write_all(folder: Path, texts: Mapping[str, str]) -> list[Path]:
    """Writes each text as a new file of the folder, by its name; none when one of them is there already. See `write`.

    Raises:
        RunError: if a file is there, or can't be written; those before it are left then.
    """
    for name in texts:
        _refuse_existing(folder / name)
    return [write(folder, name, text) for name, text in texts.items()]


def _refuse_existing(path: Path) -> None:
    if path.exists():
        raise RunError(f"{path} exists already and is not replaced; move it away, or give another --output")


def _cannot_write(folder: Path, error: OSError) -> RunError:
    reason = error.strerror or str(error)
    return RunError(f"results can't be written to {folder} ({reason}); free it, or name another folder with --output")


def _sync_folder(folder: Path) -> None:
    """Makes the new name last through a power cut too."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _safe(part: str) -> str:
    """`part` as it may stand in a file's name anywhere."""
    return _UNSAFE.sub("_", part).strip("._-")[:_LONGEST_PART] or "unnamed"


@dataclass(frozen=True, slots=True)
class ResultFile:
    """A result, and the name of the file that it is from, without its folder."""

    source: str
    result: Result


def load_all(names: Sequence[str]) -> list[ResultFile]:
    """Reads every result that is named, each once, the oldest first.

    Args:
        names: files; patterns such as `results/*embedded*.json`; folders, of which the results right in them count.
            What else lies in a folder (calibrations, for one) is passed over; a file that is named must be a result.

    Raises:
        InputError: with all faults, if something named is not there, holds no result, or can't be read.
    """
    faults: list[str] = []
    read: dict[str, ResultFile] = {}
    for name in names:
        try:
            paths = list(_paths(name))
        except InputError as error:
            faults += error.messages
            continue
        for path in paths:
            try:
                result = load(path)
            except InputError as error:
                faults += error.messages
            else:
                read.setdefault(result.run_id, ResultFile(path.name, result))
    if faults:
        raise InputError(faults)
    return sorted(read.values(), key=lambda each: (each.result.begin_time, each.source))


def results_in(folder: Path) -> list[ResultFile]:
    """The results right in `folder`, the oldest first; none when it does not exist.

    Raises:
        InputError: if one can't be read.
    """
    paths = [str(path) for path in sorted(folder.glob("*.json")) if _is_result(path)]
    return load_all(paths)


def _paths(name: str) -> Iterator[Path]:
    path = Path(name)
    if path.is_dir():
        yield from _some(name, [each for each in path.iterdir() if each.suffix in ("", ".json") and _is_result(each)])
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
    if path.name.startswith(".") or not path.is_file():
        return False
    try:
        head = read_regular(path, 200).decode("utf-8-sig", errors="replace")
    except OSError:
        return False
    return any(f'"kind": {json.dumps(kind)}' in head for kind in KINDS)
