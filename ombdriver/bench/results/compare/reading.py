"""Files, patterns and folders -> runs to compare, each once. Reads files; knows no comparison."""

import glob
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from ombdriver.bench.results import store
from ombdriver.bench.results.compare.trial import Trial, is_omb_result, trial_of, trial_of_omb
from ombdriver.bench.results.result import Result
from ombdriver.bench.units import visible, visible_json
from ombdriver.errors import InputError

OTHER_KINDS = ("calibration", "comparison")
"""What else ombdriver writes into the folder of results: passed over, since a shell's `*.json` names it too."""
_PATTERN = frozenset("*?[")


def read_trials(given: Sequence[str]) -> list[Trial]:
    """The runs whose results are given, in this order; those of a folder or a pattern by the names of their files.

    A result that is given twice counts once: by its run id, or else by its path.

    Args:
        given: paths of files, patterns with `*`, `?` or `[`, and folders, of which the `*.json` in it are read.

    Raises:
        InputError: with every file that is not there, can't be read or is no result; or when there is none at all.
    """
    faults: list[str] = []
    found: dict[str, Trial] = {}
    for name in given:
        try:
            for path, named in _paths(name):
                trial = _read(path, named)
                if trial is not None:
                    found.setdefault(trial.run_id or str(path.resolve()), trial)
        except InputError as error:
            faults += error.messages
    if not faults and not found:
        faults.append(f"no result in {', '.join(given)}; give files that `ombdriver run` or OMB wrote")
    if faults:
        raise InputError(faults)
    return list(found.values())


def _paths(name: str) -> Iterator[tuple[Path, bool]]:
    """The files that `name` means, and whether it is the name of one."""
    path = Path(name)
    if path.is_dir():
        yield from ((each, False) for each in sorted(path.glob("*.json")) if not each.name.startswith("."))
    elif not path.exists() and _PATTERN & set(name):
        paths = sorted(map(Path, glob.glob(name, recursive=True)))
        if not paths:
            raise InputError(f"{name}: no file is called so; `ls` in the folder shows what there is")
        yield from ((each, False) for each in paths if each.is_file())
    else:
        yield path, True


def _read(path: Path, named: bool) -> Trial | None:
    """The run that the file is of; None for what else lies in such folders."""
    text = store.read(path)
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        data = None  # said by `Result.loads`
    if isinstance(data, dict):
        if data.get("kind") in OTHER_KINDS:
            return None
        if is_omb_result(data):
            return trial_of_omb(visible_json(data), visible(path.name))
        if "kind" not in data and not named:
            return None
    return trial_of(Result.loads(text, visible(str(path))), visible(path.name))
