"""The workloads that ship with the package: where they lie, what they are called, and what a name on the command line
means. Reads no workload.
"""

from pathlib import Path

from ombdriver.bench.text import nearest
from ombdriver.errors import InputError

_PACKAGE = Path(__file__).parent.parent
_SUFFIXES = (".yaml", ".yml")


def folder() -> Path:
    """Where the shipped workloads lie: inside an installed package, or at the top of a checkout.

    Raises:
        InputError: if neither has them.
    """
    for candidate in (_PACKAGE / "workloads", _PACKAGE.parent / "workloads"):
        if candidate.is_dir():
            return candidate
    raise InputError("the shipped workloads are missing; install ombdriver again, or name a workload file")


def names() -> list[str]:
    """The names of the shipped workloads, sorted."""
    return sorted(path.stem for path in folder().glob("*.yaml"))


def path(name: str) -> Path:
    """The file of the shipped workload `name`.

    Raises:
        InputError: if there is none of that name; the nearest is told.
    """
    known = names()
    if name not in known:
        near = nearest(name, known)
        hint = f"did you mean {near}?" if near else "`ombdriver workloads` lists them"
        raise InputError(f"there is no workload {name!r}; {hint}")
    return folder() / f"{name}.yaml"


def resolve(name_or_path: str) -> Path:
    """The file that a user means: a shipped workload by its name, or else a path.

    Raises:
        InputError: if it is neither; the nearest name is told.
    """
    given = Path(name_or_path)
    if name_or_path in names():
        return path(name_or_path)
    if given.is_file():
        return given
    if given.suffix in _SUFFIXES and given.stem in names():
        raise InputError(f"{name_or_path}: there is no such file; to run the shipped workload, write {given.stem}")
    if given.suffix in _SUFFIXES or len(given.parts) > 1:
        raise InputError(f"{name_or_path}: there is no such file; check the path, or name a shipped workload")
    return path(name_or_path)


def summary(name: str) -> str:
    """What the shipped workload `name` shows: the first sentence of the comment at its top, on one line."""
    lines = []
    for line in path(name).read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        lines.append(line.lstrip("# ").strip())
    return " ".join(lines).split(". ")[0].rstrip(".") + "."
