"""Reference pages are made from the code: with GOLDEN=write they are written anew, else they must be as the code says.

Each table has a head of its own, by which it is found in its page; the prose around it is written by hand.
"""

import asyncio
import inspect
import re
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
from documented_types import meanings
from prometheus_client.core import Metric
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

import ombdriver
from ombdriver.bench.faults.api import SHIPPED, FaultTypes
from ombdriver.bench.faults.standard import STANDARD
from ombdriver.bench.metrics.families import TABLE
from ombdriver.bench.metrics.figures import COUNTS as COUNTED
from ombdriver.bench.metrics.figures import DURATIONS, LATENCIES, OF_GROUP, RATES
from ombdriver.bench.metrics.histogram import Histogram
from ombdriver.bench.report.progress import GroupProgress, Progress, ServerProgress, TotalsProgress
from ombdriver.bench.report.prometheus import COUNTS, FAMILIES, Labels, metrics
from ombdriver.bench.results.export.formats import NAMES as EXPORTED
from ombdriver.bench.spec import setup_server
from ombdriver.bench.spec.catalog import setup_summaries
from ombdriver.bench.spec.fields import Form, Within
from ombdriver.bench.spec.setup import Client, Setup, Streams
from ombdriver.bench.spec.setup_server import Server, Tls
from ombdriver.bench.spec.workload import Workload
from ombdriver.bench.verdict.model import Verdict
from ombdriver.cli import cli
from ombdriver.cli.compare import FORMATS as COMPARED_AS
from ombdriver.cli.exit_codes import MEANINGS
from ombdriver.messaging.prometheus import KINDS, LABELS, PrometheusCollector

DOCS = Path(__file__).parents[2] / "docs"
GoldenTable = Callable[[str, str, Sequence[str]], None]

# -- fields of workload and setup files --------------------------------------------------------------------------------

OF_OMB = {
    *("name", "topics", "partitionsPerTopic", "keyDistributor", "messageSize", "messageSizeDistribution"),
    *("useRandomizedPayloads", "randomBytesRatio", "randomizedPayloadPoolSize", "payloadFile"),
    *("subscriptionsPerTopic", "producersPerTopic", "consumerPerSubscription", "producerRate"),
    *("consumerBacklogSizeGB", "backlogDrainRatio", "testDurationMinutes", "warmupDurationMinutes"),
}
"""The fields that a workload of OMB may have."""
READ_ON = {
    "existingTopicList": "[topics that exist](../how-to/existing-topics.md)",
    "producerRate": "[the highest rate](../how-to/highest-rate.md)",
    "rateProfile": "[a load that changes](../how-to/changing-load.md)",
    "arrivals": "[a load that changes](../how-to/changing-load.md)",
    "consumerBacklogSizeGB": "[a backlog](../how-to/backlog.md)",
    "thresholds": "[thresholds](../verdict.md#thresholds)",
    "faults": "[faults](../faults.md)",
    "expect": "[faults](../faults.md)",
    "sweep": "[sweeps](../how-to/sweep.md#many-values)",
    "retention": "[below](#retention)",
    "waitReplicas": "[below](#waitreplicas-and-waitaof)",
    "waitAof": "[below](#waitreplicas-and-waitaof)",
    "driver": "[write a driver](drivers.md)",
}
"""Where a field has more to it than its meaning."""
REQUIRED_ELSEWHERE = {"name", "messageSize", "producerRate"}
"""Fields of a workload that the model requires, and for which a file may have something else."""


def metadata(field: FieldInfo) -> Iterator[object]:
    """What annotates a field's type, in a union with None too."""
    yield from field.metadata
    for part in typing.get_args(field.annotation):
        yield from getattr(part, "__metadata__", ())


def value_of(field: FieldInfo, schema: dict[str, Any]) -> str:
    """How a value is written: by its type's own words, else by the JSON Schema."""
    for each in metadata(field):
        said = getattr(each, "func", each)
        if isinstance(said, Form | Within):
            return said.text
    kinds = schema.get("anyOf") or schema.get("oneOf") or [schema]
    kinds = [each for each in kinds if each.get("type") != "null"]
    return "; ".join(dict.fromkeys(kind_of(each, schema) for each in kinds))


def kind_of(kind: dict[str, Any], whole: dict[str, Any]) -> str:
    """In words, what one alternative of a JSON Schema is."""
    if "enum" in kind or "const" in kind:
        return ", ".join(f"`{each}`" for each in kind.get("enum", [kind.get("const")]))
    if "$ref" in kind:
        return "keys below it"
    least, most = kind.get("minimum"), kind.get("maximum")
    name = {"integer": "whole number", "number": "number", "string": "text", "boolean": "`true`, `false`"}.get(
        kind.get("type", ""), {"array": "a list", "object": "keys below it"}.get(kind.get("type", ""), "")
    )
    if least is None or most is None or abs(least) > 2**60:
        return name if least is None or abs(least) > 2**60 else f"{name} from {least:,}"
    return f"{least:,} to {most:,}"


def default_of(key: str, field: FieldInfo) -> str:
    """What holds when a file does not say it; empty where the meaning tells it, or nothing holds."""
    if field.is_required():
        return "" if key in REQUIRED_ELSEWHERE else "required"
    default = field.default
    if default in (None, PydanticUndefined, "") or default == [] or default == {} or isinstance(default, BaseModel):
        return ""
    text = str(default).lower() if isinstance(default, bool) else str(default)
    return f"{default:,}" if type(default) is int else f"`{text}`"


def cell(text: str) -> str:
    """As it may stand in a table."""
    return text.replace("|", "\\|")


def field_rows(model: type[BaseModel], keys: Sequence[str] = (), *, defaults: bool = True) -> list[str]:
    """A row for each field of a model, in its order; of all, or of these."""
    schema = model.model_json_schema(by_alias=True, mode="validation")["properties"]
    rows = []
    for field in model.model_fields.values():
        key = str(field.alias)
        if keys and key not in keys:
            continue
        name = f"`{key}`" + (" †" if model is Workload and key not in OF_OMB else "")
        meaning = str(field.description) + (f" See {READ_ON[key]}." if key in READ_ON else "")
        cells = [name, value_of(field, schema[key]), *([default_of(key, field)] if defaults else []), meaning]
        rows.append("| " + " | ".join(map(cell, cells)) + " |")
    return [re.sub(r"\|  (?=\|)", "| ", row) for row in rows]


def test_the_fields_of_workloads_are_the_models(golden_table: GoldenTable) -> None:
    """With values, defaults and meanings; the JSON Schema has the same meanings."""
    golden_table("reference/workload.md", "| field | value | default | meaning |", field_rows(Workload))


def test_the_keys_of_setups_are_the_models(golden_table: GoldenTable) -> None:
    """A table for each part; that of `server` is two, by what goes together."""
    camel = Server.model_config["alias_generator"]
    started = ["engine", *map(camel, setup_server.STARTED), "tls"]  # type: ignore[arg-type]
    running = ["url", *map(camel, (*setup_server.RUNNING, *setup_server.SENTINELS)), "tls"]  # type: ignore[arg-type]
    assert {*started, *running} == {field.alias for field in Server.model_fields.values()}

    golden_table("setups.md", "| key | value | meaning |", field_rows(Setup, defaults=False))
    golden_table("setups.md", "| key of `server`, started | value | default | meaning |", field_rows(Server, started))
    golden_table(
        "setups.md", "| key of `server`, running | value | meaning |", field_rows(Server, running, defaults=False)
    )
    golden_table("setups.md", "| key of `tls` | value | default | meaning |", field_rows(Tls))
    golden_table("setups.md", "| key of `client` | value | default | meaning |", field_rows(Client))
    golden_table("setups.md", "| key of `streams` | value | default | meaning |", field_rows(Streams))


def test_the_setups_are_those_that_ship(golden_table: GoldenTable) -> None:
    """With the description in the file of each."""
    golden_table(
        "setups.md", "| setup | what it is |", [f"| `{name}` | {text} |" for name, text in setup_summaries().items()]
    )


# -- faults ------------------------------------------------------------------------------------------------------------

FOR = {"never": "never", "always": "must", "maybe": "may"}
"""How the table of faults says whether one takes `for`."""


def test_the_standard_faults_are_the_codes(golden_table: GoldenTable) -> None:
    """With what each stands for."""
    golden_table(
        "faults.md",
        "| standard fault | what it stands for |",
        [f"| `{each.name}` | {each.what} |" for each in STANDARD],
    )


def test_every_fault_has_its_rows() -> None:
    """One or more, each of which says of `for` what the class says, and names the other keys that it takes."""
    page = (DOCS / "faults.md").read_text(encoding="utf-8")
    table = page.partition("| key | `for` | what it does |\n|---|---|---|\n")[2].partition("\n\n")[0]
    rows = [row.strip("| ").split(" | ") for row in table.splitlines()]
    found: dict[str, list[list[str]]] = {key: [] for key in SHIPPED}
    for row in rows:
        for key in re.findall(r"`(\w+): ", row[0]):
            if key in SHIPPED:
                found[key].append(row)

    assert [key for key, of in found.items() if not of] == []
    for key, of in found.items():
        fault = FaultTypes.installed().load(key)
        assert {row[1] for row in of} == {FOR[fault.LASTS]}
        told = " ".join(row[0] for row in of)
        assert [option for option in fault.OPTIONS if f"{option}:" not in told] == []


# -- formats -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("page", "head", "formats"),
    [
        ("how-to/export.md", "| format | what it is |", EXPORTED),
        ("compare.md", "| `--format` | what |", COMPARED_AS),
    ],
)
def test_every_format_has_a_row(page: str, head: str, formats: Sequence[str]) -> None:
    """And there is none for what is no format."""
    table = (DOCS / page).read_text(encoding="utf-8").partition(f"{head}\n|---|---|\n")[2].partition("\n\n")[0]

    assert sorted(re.findall(r"^\| `(\w+)`", table, re.MULTILINE)) == sorted(formats)


# -- figures -----------------------------------------------------------------------------------------------------------


def names(each: Iterable[str]) -> str:
    """As a list of code."""
    return ", ".join(f"`{one}`" for one in each)


def test_the_figures_of_thresholds_are_those_of_the_grammar(golden_table: GoldenTable) -> None:
    """By kind, with the unit of their values."""
    counts = [f"| {names(f'{family}.{name}' for name in of)} | a plain number |" for family, of in COUNTED.items()]
    rows = [
        f"| {names(LATENCIES)}, each with one of the [statistics](result.md#summaries), as `.p99.9` | with a unit:"
        " `ns`, `us` (`µs`), `ms`, `s` |",
        f"| {names(DURATIONS)} of [faults](faults.md), the longest of all injections | with a unit, as latencies |",
        f"| {names(RATES)} | messages per second: a plain number, or `1k`, `2.5k`, `1M` |",
        *counts,
    ]

    golden_table("verdict.md", "| figure | values |", rows)
    page = (DOCS / "verdict.md").read_text(encoding="utf-8")
    assert [family for family in OF_GROUP if not re.search(rf"`{family}`.* or of one:", page)] == []


# -- the command line --------------------------------------------------------------------------------------------------

PAGES = {
    "run": "[Run several workloads and setups](../how-to/several-runs.md), [sweeps](../how-to/sweep.md)",
    "curve": "[Find the highest rate](../how-to/highest-rate.md#latency-against-load)",
    "chaos": "[Faults against setups](../faults.md#faults-against-setups-ombdriver-chaos)",
    "rerun": "[Repeat a run](../how-to/rerun.md)",
    "plan": "[See what a workload would do](../how-to/own-workload.md#see-what-it-would-do)",
    "calibrate": "[Find the floor of a machine](../how-to/calibrate.md)",
    "clean": "[After a kill](../how-to/your-server.md#after-a-kill)",
    "workloads": "[Write a workload of your own](../how-to/own-workload.md)",
    "setups": "[Setups](../setups.md)",
    "schema": "[In an editor](../how-to/own-workload.md#in-an-editor)",
    "export": "[Use results in other tools](../how-to/export.md)",
    "compare": "[Compare two setups](../tutorials/compare.md), [the method](../compare.md)",
    "report": "[Make a page of results](../how-to/report.md)",
    "completion": "[Install](../how-to/install.md#shell-completion)",
}
"""Where each verb is explained."""


def verbs(group: click.Group, path: str) -> Iterator[tuple[str, click.Command]]:
    """Every command with its whole name."""
    for name, command in group.commands.items():
        yield f"{path} {name}", command
        if isinstance(command, click.Group):
            yield from verbs(command, f"{path} {name}")


def option_rows(command: click.Command) -> list[str]:
    """A row for each option."""
    context = click.Context(command)
    rows = []
    for option in command.params:
        if not isinstance(option, click.Option) or option.hidden:
            continue
        metavar = "" if option.is_flag or option.count else " " + option.make_metavar(context)
        names = ", ".join(f"`{name}{metavar if name == option.opts[-1] else ''}`" for name in option.opts)
        shown = option.show_default if isinstance(option.show_default, str) else option.default
        default = f"`{shown}`" if option.show_default else ""
        rows.append(f"| {cell(names)} | {cell(default)} | {cell(option.help or '')} |".replace("|  |", "| |"))
    return rows


def commands_page() -> str:
    """docs/reference/commands.md."""
    lines = [
        "# Commands",
        "",
        "Made from the command line itself: `ombdriver --help` and `ombdriver VERB --help` print the same.",
        "Every command has `--help`, ends with an [exit code](exit-codes.md), and tells an error in one message.",
    ]
    for path, command in (("ombdriver", cli), *verbs(cli, "ombdriver")):
        arguments = " ".join(
            str(each.metavar or f"{str(each.name).upper()}")
            for each in command.params
            if isinstance(each, click.Argument)
        )
        usage = " ".join(part for part in (path, arguments) if part)
        paragraphs = [" ".join(part.split()) for part in (command.help or "").split("\n\n")]
        lines += ["", f"## `{usage}`", "", "\n\n".join(paragraphs)]
        if rows := option_rows(command):
            lines += ["", "| option | default | meaning |", "|---|---|---|", *rows]
        if page := PAGES.get(path.removeprefix("ombdriver ")):
            lines += ["", f"Read on: {page}."]
    return "\n".join(lines) + "\n"


def test_the_commands_are_those_of_the_command_line(golden_page: Callable[[str, str], None]) -> None:
    """The page as a whole; each verb leads to a page that explains it."""
    golden_page("reference/commands.md", commands_page())

    assert set(PAGES) == set(cli.commands)


def test_the_exit_codes_are_the_codes(golden_table: GoldenTable) -> None:
    """With what each means."""
    rows = [f"| {code} | {meaning} |" for code, meaning in MEANINGS.items()]

    golden_table("reference/exit-codes.md", "| code | meaning |", rows)


# -- figures for Prometheus --------------------------------------------------------------------------------------------


def everything() -> Progress:
    """Progress that has all there can be."""
    counts = {(kind, "group-1" if kind == "received" else None): 1 for kind in COUNTS}
    latencies = {
        (family, "group-1" if family.startswith("endToEnd") else None): Histogram.of(np.array([1], np.int64))
        for family in FAMILIES
    }
    return Progress(
        "measure",
        1.0,
        target_rate=1.0,
        groups={"group-1": GroupProgress(1.0, 1, 1)},
        server=ServerProgress(0.1, 1),
        verdict=Verdict("VALID"),
        own_parts={"publish.p50": 0.5},
        totals=TotalsProgress("measure", counts, latencies),
    )


def test_the_metrics_are_those_that_are_served(golden_table: GoldenTable) -> None:
    """By what a scrape gets of a run that has everything."""
    rows = []
    for family in metrics(Labels("workload", "setup", 1), everything()):
        name = family.name + ("_total" if family.type == "counter" else "")
        labels = dict.fromkeys(label for sample in family.samples for label in sample.labels if label != "le")
        rows.append(
            f"| `{name}` | {family.type} | {', '.join(f'`{label}`' for label in labels)} | {family.documentation} |"
        )

    golden_table(
        "reference/metrics.md",
        "| metric | type | labels | meaning |",
        [row.replace("|  |", "| |") for row in rows],
    )


def test_the_metrics_of_the_library_are_those_that_are_served(golden_table: GoldenTable) -> None:
    """With what each statistic counts, by the docstring of its class."""
    told = {
        f"ombdriver_{kind}_{name}": text
        for kind, cls in KINDS.items()
        for together, text in meanings(cls).items()
        for name in together
    }
    labels = {f"ombdriver_{kind}": names(each) for kind, each in LABELS.items()}
    rows = [
        f"| `{family.name}{'_total' if family.type == 'counter' else ''}` | {family.type} |"
        f" {labels[family.name[: family.name.index('_', 10)]]} | {told[family.name]} |"
        for family in asyncio.run(described())
    ]

    golden_table("reference/metrics.md", "| metric of the library | type | labels | meaning |", rows)


async def described() -> list[Metric]:
    """What the collector would serve."""
    return list(PrometheusCollector().describe())


def test_the_latency_families_are_the_codes(golden_table: GoldenTable) -> None:
    """From when to when each is."""
    rows = [f"| `{each.name}` | {each.begins} | {each.ends} | {each.counted} |" for each in TABLE]

    golden_table("result.md", "| family | from | to | counted |", rows)


# -- the library -------------------------------------------------------------------------------------------------------


def test_every_public_name_of_the_library_is_in_its_reference() -> None:
    """Once; its text is its docstring, which the site shows."""
    page = (DOCS / "reference" / "library.md").read_text(encoding="utf-8")
    told = re.findall(r"^\.\. auto\w+:: ombdriver\.(\w+)$", page, re.MULTILINE)
    aliases = {name for name in ombdriver.__all__ if getattr(ombdriver, name).__name__ != name}

    assert sorted(told) == sorted(set(ombdriver.__all__) - aliases)
    assert {name for name in aliases if f"`{name}`" not in page} == set()


def test_the_types_of_a_message_are_the_codes() -> None:
    """As `Producer.send` takes them, and as a `Message` has them."""
    page = (DOCS / "library" / "README.md").read_text(encoding="utf-8").replace("\\|", "or")
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \| (.*?) \|$", page.partition("| of a message |")[2], re.MULTILINE)
    taken = inspect.signature(ombdriver.Producer.send).parameters

    told = {name: cells for name, *cells in rows}
    assert {"value", *(set(taken) & set(dir(ombdriver.Message)))} <= told.keys() <= set(dir(ombdriver.Message))
    for name, (sent, received) in told.items():
        if name in taken and name != "value":
            assert sent == f"`{written(taken[name].annotation)}`"
        found = getattr(ombdriver.Message, name)
        if isinstance(found, property) and name != "value":
            assert received.partition(": ")[0] == f"`{written(inspect.signature(found.fget).return_annotation)}`"  # type: ignore[arg-type]


def written(annotation: Any) -> str:
    """A type as a page has it in a table."""
    text = annotation.__name__ if isinstance(annotation, type) and not typing.get_args(annotation) else str(annotation)
    return text.replace("collections.abc.", "").replace("|", "or")


@pytest.mark.parametrize("name", ombdriver.__all__)
def test_every_public_method_has_a_docstring(name: str) -> None:
    """What a class inherits from ours included."""
    thing = getattr(ombdriver, name)
    public = {
        key: value
        for base in (thing.__mro__ if isinstance(thing, type) else ())
        if base.__module__.startswith("ombdriver.")
        for key, value in vars(base).items()
        if not key.startswith("_") and isinstance(value, types.FunctionType | property)
    }

    assert [key for key, value in public.items() if not value.__doc__] == []
