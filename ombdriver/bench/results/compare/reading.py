"""Files, patterns and folders -> runs to compare, each once. Reads files; knows no comparison."""

import glob
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from ombdriver.bench.files import read_regular
from ombdriver.bench.results import store
from ombdriver.bench.results.compare.trial import Trial, is_omb_result, trial_of, trial_of_omb
from ombdriver.bench.results.result import Result
from ombdriver.bench.spec.foreign import result_told_as
from ombdriver.bench.units import visible, visible_json
from ombdriver.errors import InputError

OTHER_KINDS = ("calibration", "comparison")
"""What else ombdriver writes into the folder of results: passed over, since a shell's `*.json` names it too."""
MOST_NAMED = 5
"""Of files that are no results, where there is no other."""
_PATTERN = frozenset("*?[")


def read_trials(given: Sequence[str], labels: Sequence[str] = ()) -> list[Trial]:
    """The runs whose results are given, in this order; those of a folder or a pattern by the names of their files.

    A result that is given twice counts once: by its run id, or else by its path. Where all results are of one setup,
    as before and after a change, folders, patterns or two files name the setups: `compare before/ after/`.

    Args:
        given: paths of files, patterns with `*`, `?` or `[`, and folders, of which the `*.json` in it are read, and
            what has no ending and begins as JSON does.
        labels: what the setups of each of `given` are called; none to let their results say.

    Raises:
        InputError: with every file that is not there, can't be read or is no result; when there is none at all, not a
            label for each that is given, or one result by two labels.
    """
    if labels and len(labels) != len(given):
        raise InputError(f"--label: {len(labels)} for {len(given)} that are given; write one for each, in their order")
    faults: list[str] = []
    found: dict[str, Trial] = {}
    origins: dict[str, int] = {}
    paths: dict[str, Path] = {}
    passed_over: list[str] = []
    twice: dict[tuple[int, int], Path] = {}
    for at, name in enumerate(given):
        try:
            for path, named in _paths(name):
                try:
                    trial = _read(path, named, passed_over)
                except InputError as error:
                    faults += error.messages
                    continue
                if trial is not None:
                    key = trial.run_id or str(path.resolve())
                    first = origins.setdefault(key, at)
                    if labels and labels[first] != labels[at]:
                        twice.setdefault((first, at), path)
                    paths.setdefault(key, path)
                    found.setdefault(key, trial)
        except InputError as error:
            faults += error.messages
    faults += [
        f"{visible(str(path))}: this result is given twice, as {labels[first]} and as {labels[at]}; give it once"
        for (first, at), path in twice.items()
    ]
    if not faults and not found:
        others = f" ({', '.join(passed_over[:MOST_NAMED])})" if passed_over else ""
        faults.append(f"no result in {', '.join(given)}{others}; give files that `ombdriver run` or OMB wrote")
    if faults:
        raise InputError(faults)
    names = Counter(path.name for path in paths.values())
    found = {
        key: trial if names[paths[key].name] == 1 else replace(trial, source=visible(str(paths[key])))
        for key, trial in found.items()
    }
    one_setup = len({trial.setup for trial in found.values()}) == 1 and len(set(origins.values())) > 1
    if not labels and one_setup and (len(given) == 2 or not any(Path(name).is_file() for name in given)):
        short = [Path(name).name or name for name in given]
        labels = [visible(each) for each in (short if len(set(short)) == len(short) else given)]
    if not labels:
        return list(found.values())
    return [_labelled(trial, labels[origins[key]], found.values()) for key, trial in found.items()]


def _labelled(trial: Trial, label: str, every: Iterable[Trial]) -> Trial:
    """`trial` under another setup's name, with its own behind it where there are several."""
    several = len({each.setup for each in every}) > 1
    return replace(trial, setup=f"{label} {trial.setup}" if several else label)


def _paths(name: str) -> Iterator[tuple[Path, bool]]:
    """The files that `name` means, and whether it is the name of one."""
    path = Path(name)
    if path.is_dir():
        yield from ((each, False) for each in sorted(path.iterdir()) if _may_be_result(each))
    elif not path.exists() and _PATTERN & set(name):
        paths = sorted(map(Path, glob.glob(name, recursive=True)))
        if not paths:
            raise InputError(f"{name}: no file is called so; `ls` in the folder shows what there is")
        yield from ((each, False) for each in paths if each.is_file())
    else:
        yield path, True


def _may_be_result(path: Path) -> bool:
    """Whether a file of a folder is JSON: by the ending of its name; without one, by its first sign."""
    if path.name.startswith(".") or not path.is_file():
        return False
    if path.suffix:
        return path.suffix == ".json"
    return read_regular(path, 64).lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{")


def _read(path: Path, named: bool, passed_over: list[str]) -> Trial | None:
    """The run that the file is of; None for what else lies in such folders, which is added to `passed_over`."""
    text = store.read(path)
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        data = None  # said by `Result.loads`
    if isinstance(data, dict):
        if data.get("kind") in OTHER_KINDS:
            passed_over.append(f"{visible(path.name)} is a {data['kind']}")
            return None
        if is_omb_result(data):
            return trial_of_omb(visible_json(data), visible(path.name))
        if "kind" not in data and not named:
            passed_over.append(f"{visible(path.name)} is {result_told_as(data) or 'something else'}")
            return None
    return trial_of(Result.loads(text, visible(str(path))), visible(path.name))
