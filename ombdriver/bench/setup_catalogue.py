"""The setups that ship with the package, as a user asks for them: what there is, and the file of each."""

from pathlib import Path

from ombdriver.bench.setup import FOLDER, Setup, setup_names
from ombdriver.bench.text import nearest
from ombdriver.errors import InputError


def summaries() -> dict[str, str]:
    """What each shipped setup is, by its name, in the order of the names."""
    return {name: Setup.load(name).description for name in setup_names()}


def path(name: str) -> Path:
    """The file of the shipped setup `name`.

    Raises:
        InputError: if there is none of that name; the nearest is told.
    """
    known = setup_names()
    if name not in known:
        near = nearest(name, known)
        hint = f"did you mean {near}?" if near else "`ombdriver setups` lists them"
        raise InputError(f"there is no setup {name!r}; {hint}")
    return FOLDER / f"{name}.yaml"
