"""A field that a file may have has an effect, and is documented: walked over the models, so that none is forgotten.

Read means: by an attribute of something that is called like the part (`workload.seed`, `request.workload.seed`), in a
module that is not of the models; or in a property of the model that is read so. What tells a part as a whole (`spec`,
the hash) is no use of its fields, and neither is a rule that they must agree on.
"""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from pydantic import BaseModel

from ombdriver.bench.spec.setup import Client, Setup, Streams
from ombdriver.bench.spec.setup_server import Server, Tls
from ombdriver.bench.spec.workload import Workload

ROOT = Path(__file__).parents[4]
SPEC = ROOT / "ombdriver" / "bench" / "spec"
MODELS = {SPEC / f"{name}.py" for name in ("workload", "workload_rules", "fields", "setup", "setup_server")}
TELLING = {"spec", "sha256", "parse", "with_url"}
PARTS: dict[str, type[BaseModel]] = {
    "workload": Workload,
    "setup": Setup,
    "client": Client,
    "streams": Streams,
    "server": Server,
    "tls": Tls,
}


def reads(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """What each attribute is read of, by its last name, and the attribute."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
            of = node.value
            yield of.id if isinstance(of, ast.Name) else of.attr if isinstance(of, ast.Attribute) else "", node.attr


@cache
def reads_elsewhere() -> frozenset[tuple[str, str]]:
    """The same in all modules that are not of the models."""
    paths = [path for path in (ROOT / "ombdriver" / "bench").rglob("*.py") if path not in MODELS]
    return frozenset(each for path in paths for each in reads(ast.parse(path.read_text(encoding="utf-8"))))


@cache
def methods(part: str) -> dict[str, ast.FunctionDef]:
    """The properties and methods of a part's model, by name."""
    return {
        node.name: node
        for path in MODELS
        for body in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(body, ast.ClassDef) and body.name == PARTS[part].__name__
        for node in body.body
        if isinstance(node, ast.FunctionDef)
    }


@cache
def used(part: str) -> frozenset[str]:
    """What of a part is read outside of the models, by way of properties too, and of those of other parts."""
    waiting = [name for owner, name in reads_elsewhere() if owner.lstrip("_") == part]
    if part not in ("workload", "setup"):  # what holds the part reads it in properties of its own
        outer = methods("setup")
        inner = [each for at in used("setup") & outer.keys() - TELLING for each in reads(outer[at])]
        waiting += [name for owner, name in inner if owner == part]
    found: set[str] = set()
    while waiting:
        name = waiting.pop()
        found.add(name)
        if name in methods(part) and name not in TELLING:
            waiting += [name for owner, name in reads(methods(part)[name]) if owner == "self" and name not in found]
    return frozenset(found)


FIELDS = [(part, name) for part, model in PARTS.items() for name in model.model_fields]


@pytest.mark.parametrize(("part", "name"), FIELDS)
def test_every_field_is_read_by_who_carries_it_out(part: str, name: str) -> None:
    """A field that is accepted and has no effect would be a lie."""
    assert name in used(part)


@pytest.mark.parametrize(("part", "name"), FIELDS)
def test_every_field_is_documented(part: str, name: str) -> None:
    """By the name that it has in the file: those of workloads on their page, those of setups on theirs."""
    page = ROOT / "docs" / ("reference/workload.md" if part == "workload" else "setups.md")
    key = PARTS[part].model_fields[name].alias

    assert re.search(rf"`[^`\n]*\b{key}\b[^`\n]*`", page.read_text(encoding="utf-8")), f"{key} is not in {page.name}"
