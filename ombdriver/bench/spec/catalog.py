"""The workloads and setups that ship with the package: what there is, and the file that a name means."""

from pathlib import Path

from ombdriver.bench.spec.setup import FOLDER, Setup, setup_names
from ombdriver.bench.units import suggested
from ombdriver.errors import InputError

_PACKAGE = Path(__file__).parents[2]
_SUFFIXES = (".yaml", ".yml")


def workload_folder() -> Path:
    """Where the shipped workloads lie: inside an installed package, or at the top of a checkout.

    Raises:
        InputError: if neither has them.
    """
    for candidate in (_PACKAGE / "workloads", _PACKAGE.parent / "workloads"):
        if candidate.is_dir():
            return candidate
    raise InputError("the shipped workloads are missing; install ombdriver again, or name a workload file")


def workload_names() -> list[str]:
    """The names of the shipped workloads, sorted."""
    return sorted(path.stem for path in workload_folder().glob("*.yaml"))


def workload_path(name: str) -> Path:
    """The file of the shipped workload `name`.

    Raises:
        InputError: if there is none of that name; the message has the nearest.
    """
    _check_known("workload", name, workload_names())
    return workload_folder() / f"{name}.yaml"


def find_workload(name_or_path: str) -> Path:
    """The file that a user means: a shipped workload by its name, or else a path.

    Raises:
        InputError: if it is neither; the message has the nearest name.
    """
    given = Path(name_or_path)
    if name_or_path in workload_names():
        return workload_path(name_or_path)
    if given.exists():
        return given
    if given.suffix in _SUFFIXES and given.stem in workload_names():
        raise InputError(f"{name_or_path}: there is no such file; to run the shipped workload, write {given.stem}")
    if given.suffix in _SUFFIXES or len(given.parts) > 1:
        raise InputError(f"{name_or_path}: there is no such file; check the path, or name a shipped workload")
    return workload_path(name_or_path)


def workload_summary(name: str) -> str:
    """What the shipped workload `name` shows: the first sentence of the comment at its top, on one line."""
    lines = []
    for line in workload_path(name).read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        lines.append(line.lstrip("# ").strip())
    return " ".join(lines).split(". ")[0].rstrip(".") + "."


def setup_summaries() -> dict[str, str]:
    """What each shipped setup is, by its name, in the order of the names."""
    return {setup.name: setup.description for setup in map(Setup.load, setup_names())}


def setup_path(name: str) -> Path:
    """The file of the shipped setup `name`.

    Raises:
        InputError: if there is none of that name; the message has the nearest.
    """
    _check_known("setup", name, setup_names())
    return FOLDER / f"{name}.yaml"


def _check_known(kind: str, name: str, known: list[str]) -> None:
    if name not in known:
        near = suggested(name, known)
        hint = f"did you mean {near}?" if near else f"`ombdriver {kind}s` lists them"
        raise InputError(f"there is no {kind} {name!r}; {hint}")
