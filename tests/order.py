"""Where several processes run the tests: which of them stay in one process, and in which order they are dealt out."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import pytest

Item = TypeVar("Item")


def group_of(item: pytest.Item) -> str | None:
    """The tests that `item` stays with; None when any process may run it.

    Tests that share a fixture of their module, each value of it by itself, and those that may write one page.
    """
    info = getattr(item, "_fixtureinfo", None)
    found = {} if info is None else info.name2fixturedefs
    shared = sorted(name for name, made in found.items() if any(each.scope == "module" for each in made))
    if not shared and "golden_table" not in found:
        return None
    values = getattr(getattr(item, "callspec", None), "indices", {})
    return "-".join([item.nodeid.partition("::")[0], *(f"{name}{values[name]}" for name in shared if name in values)])


def spread(items: Sequence[Item], files: Sequence[Path]) -> list[Item]:
    """The same items in another order: those of each file are as far from each other as they can be.

    Tests of one file take the same of a machine: processor time, say, or patience. So at any time much the same is
    asked of it.

    Args:
        items: in the order in which they were collected.
        files: of each.
    """
    most, seen = Counter(files), Counter[Path]()
    placed = []
    for number, (item, file) in enumerate(zip(items, files, strict=True)):
        placed.append(((seen[file] + 0.5) / most[file], number, item))
        seen[file] += 1
    return [item for *_, item in sorted(placed, key=lambda each: each[:2])]
