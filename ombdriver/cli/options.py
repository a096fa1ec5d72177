"""The options that several verbs of the command line have in common, and how their values are read."""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ombdriver.cli.exit_codes import GATES

if TYPE_CHECKING:
    from ombdriver.bench.hosts.cluster import Cluster
    from ombdriver.bench.plan.host_layout import Placement
    from ombdriver.bench.run.request import Request

Verb = TypeVar("Verb", bound=Callable[..., Any])

USUAL_SETUPS = ("embedded",)
OF_CLUSTER = ("scheduler", "hosts", "workers_per_host", "placement", "server_host", "insecure")
"""The options of runs on several hosts."""
_WORKERS_PER_HOST = 2
_OF_ONE_FIELD = ("duration", "warmup", "rate", "rates", "steps", "thresholds", "abort_on_fail")


class Duration(click.ParamType[str]):
    """`10s`, `5m`, `1h`, as a workload file has it."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The text, if it is a duration."""
        from ombdriver.bench.units import parse_duration

        try:
            parse_duration(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)
        return str(value)


def _as_in_a_file(text: object) -> object:
    """The number that `text` is behind a key of a file (`1e4`, `0x10`, `01750`); `text` where it is none there."""
    from ombdriver.bench.spec.yaml_file import parse_value

    try:
        value = parse_value(text) if isinstance(text, str) else text
    except ValueError:
        return text
    return value if isinstance(value, int | float) and not isinstance(value, bool) else text


class WholeNumber(click.ParamType[int]):
    """A whole number as a workload file has it.

    Args:
        least, most: the bounds of what may be written; None where whoever uses it knows them.
    """

    name = "integer"

    def __init__(self, least: int | None = None, most: int | None = None) -> None:
        self.least, self.most = least, most

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The number, if it is within the bounds."""
        from ombdriver.bench.units import quoted

        found = _as_in_a_file(value)
        bounds = "digits only" if self.least is None else f"{self.least} to {self.most}"
        if isinstance(found, float) and found.is_integer():
            found = int(found)
        if param is not None and param.name == "workers" and ":" in str(value):
            from ombdriver.bench.spec.foreign import WORKERS_ARE_PROCESSES

            self.fail(WORKERS_ARE_PROCESSES, param, ctx)
        if not isinstance(found, int):
            self.fail(f"{quoted(value)} is no whole number; write {bounds}", param, ctx)
        if (self.least is not None and found < self.least) or (self.most is not None and found > self.most):
            self.fail(f"{found} is out of range; write {bounds}", param, ctx)
        return found


class Rate(click.ParamType[int | str]):
    """`10000`, `10k`, or `max`, as a workload file has it."""

    name = "rate"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | str:
        """Messages per second, or `max`."""
        from ombdriver.bench.units import is_maximum, parse_rate

        if is_maximum(value):
            return "max"
        try:
            return parse_rate(_as_in_a_file(value))
        except ValueError as error:
            self.fail(f"{error}, or max", param, ctx)


class Rates(click.ParamType[Sequence[int]]):
    """`1k,5k,10000`: rates, rising."""

    name = "rates"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Messages per second, the lowest first; what is no text has been converted before."""
        from ombdriver.bench.units import parse_rate

        if not isinstance(value, str):
            return value
        try:
            return sorted({parse_rate(_as_in_a_file(part)) for part in value.split(",")})
        except ValueError as error:
            self.fail(f"{error}; several as 1k,5k,10000", param, ctx)


def read_tags(_ctx: click.Context, _param: click.Parameter, values: Sequence[str]) -> dict[str, str]:
    """`KEY=VALUE`, each."""
    tags = {}
    for value in values:
        key, equals, text = value.partition("=")
        if not key or not equals:
            raise click.BadParameter(f"{value!r} is not KEY=VALUE")
        tags[key] = text
    return tags


def read_thresholds(_ctx: click.Context, _param: click.Parameter, values: Sequence[str]) -> Sequence[str]:
    """`FIGURE OP VALUE`, each; which groups there are is known to each workload."""
    from ombdriver.bench.spec.thresholds import Threshold

    for value in values:
        try:
            Threshold.parse(value)
        except ValueError as error:
            raise click.BadParameter(str(error)) from None
    return values


def _with(verb: Verb, options: Sequence[Callable[[Verb], Verb]]) -> Verb:
    """`verb` with `options`, in their order."""
    for option in reversed(options):
        verb = option(verb)
    return verb


def build_requests(options: Mapping[str, Any], **more: Any) -> "list[Request]":
    """The runs that the values of `request_options` ask for.

    Args:
        options: these values, and those of `result_options` that concern a run.
        more: further options of one field (`rates`, `steps`), or others in place of these; `connects` is false where
            hosts are only planned with, and no scheduler is needed.

    Raises:
        InputError: if anything of it can't be.
    """
    from ombdriver.bench.run import request
    from ombdriver.bench.spec.overrides import option_assignments

    values = {**options, **more}
    of_cluster = {name: values.pop(name) for name in OF_CLUSTER if name in values}
    values["cluster"] = _cluster(**of_cluster, connects=values.pop("connects", True))
    of_one_field = {name: values.pop(name) for name in _OF_ONE_FIELD if name in values}
    values |= {"setups": values["setups"] or USUAL_SETUPS, "is_named": bool(values["setups"])}
    return request.build_requests(options=option_assignments(**of_one_field), **values)


def _cluster(
    scheduler: str | None,
    hosts: int | None,
    workers_per_host: int | None,
    placement: "Placement | None",
    server_host: str | None,
    insecure: bool,
    *,
    connects: bool,
) -> "Cluster | None":
    """The hosts that are asked for; None for this machine.

    Args: as the options; `connects`: whether there has to be a scheduler.

    Raises:
        InputError: if it is not said how many, or there is no scheduler that has them.
    """
    from ombdriver.errors import InputError

    if hosts is None:
        given = {
            "--scheduler": scheduler,
            "--workers-per-host": workers_per_host,
            "--placement": placement,
            "--server-host": server_host,
            "--insecure": insecure or None,
        }
        if of_hosts := [name for name, value in given.items() if value is not None]:
            raise InputError(f"{of_hosts[0]}: is for several hosts; say how many by --hosts, or leave it out")
        return None
    from ombdriver.bench.hosts.cluster import ADDRESS_VARIABLE, Cluster, find_scheduler
    from ombdriver.bench.plan.host_layout import HostLayout

    each = _WORKERS_PER_HOST if workers_per_host is None else workers_per_host
    layout = HostLayout(hosts, each, placement or "mixed")
    if not connects and scheduler is None and not os.environ.get(ADDRESS_VARIABLE):
        return Cluster(None, layout, insecure, server_host)
    return Cluster(find_scheduler(scheduler, os.environ), layout, insecure, server_host)


def request_options(verb: Verb) -> Verb:
    """What `run` and `plan` have in common."""
    options = (
        click.option(
            "--setup",
            "setups",
            multiple=True,
            show_default=", ".join(USUAL_SETUPS),
            metavar="NAME",
            help="A shipped setup (`ombdriver setups` lists them), or a file; repeatable, each workload runs on each.",
        ),
        click.option(
            "--repeats",
            type=WholeNumber(),
            default=1,
            metavar="N",
            help="Run everything N times, the setups taking turns. Take 10 for a comparison: to call a setup faster or"
            " slower takes 8 VALID runs of each, and runs that are not VALID are left out.",
        ),
        click.option(
            "--set",
            "assignments",
            multiple=True,
            metavar="PATH=VALUE",
            help="In place of a file's value, as workload.messageSize=4KiB, setup.streams.retention=none; repeatable.",
        ),
        click.option(
            "--sweep",
            "sweeps",
            multiple=True,
            metavar="PATH=VALUE,...",
            help="Run with each value in turn, as workload.messageSize=100,1KiB; of several sweeps all combinations.",
        ),
        click.option(
            "--sweep-name",
            "sweep_names",
            multiple=True,
            metavar="PART=TEMPLATE",
            help="What each of them is called, as 'workload={name}-{messageSize}'; PART is workload or setup.",
        ),
        click.option(
            "--url",
            metavar="URL",
            help="A server of yours in place of the setup's: redis://, rediss:// (TLS; ?ssl_ca_certs=FILE for its"
            " authority), unix://, redis+cluster://HOST:PORT,..., redis+sentinel://HOST:PORT,.../MASTER. Results"
            " keep the name of a --setup that is given, else they call it url. Others can read a command line: a setup"
            " file takes a password by passwordEnv.",
        ),
        click.option("--duration", type=Duration(), help="Measured time, in place of the workload's: 10s, 5m, 1h."),
        click.option("--warmup", type=Duration(), help="Warm-up, in place of the workload's; 0s for none."),
        click.option(
            "--rate",
            type=Rate(),
            help="Messages per second, in place of the workload's producerRate; max finds the highest sustained.",
        ),
        click.option(
            "--workers",
            type=WholeNumber(),
            help="Processes, 2 or more, since none both produces and consumes; chosen by the machine's cores when"
            " absent.",
        ),
        click.option(
            "--scheduler",
            metavar="ADDRESS",
            help="Workers on the hosts of this scheduler of Dask (docs/cluster.md): tls://HOST:8786, or a scheduler"
            " file; DASK_SCHEDULER_ADDRESS when absent.",
        ),
        click.option("--hosts", type=WholeNumber(), metavar="N", help="So many hosts of the scheduler."),
        click.option(
            "--workers-per-host",
            type=WholeNumber(),
            metavar="N",
            help=f"Processes on each host; {_WORKERS_PER_HOST} when absent.",
        ),
        click.option(
            "--placement",
            type=click.Choice(("mixed", "split", "swarm")),
            help="Each host sends and reads (when absent); or some send and the others read; or each sends and reads,"
            " and end-to-end latencies are of what a host has sent to itself.",
        ),
        click.option(
            "--server-host",
            metavar="HOST",
            help="Start the servers of the setup on this host of the scheduler: its address, the name of its worker of"
            " Dask, or first. It has no workers where there is one host more than --hosts.",
        ),
        click.option(
            "--insecure", is_flag=True, help="Talk to a scheduler on another machine though it is not encrypted."
        ),
        click.option(
            "--threshold",
            "thresholds",
            multiple=True,
            callback=read_thresholds,
            metavar="CONDITION",
            help="As 'endToEndResponse.p99 < 5ms', besides the workload's; repeatable.",
        ),
        click.option("--abort-on-fail", is_flag=True, help="End a run as soon as a threshold fails."),
    )
    return _with(verb, options)


def result_options(verb: Verb) -> Verb:
    """What `run` and `rerun` have in common."""
    options = (
        click.option(
            "--output",
            type=click.Path(path_type=Path),
            default=Path("results"),
            show_default=True,
            help="Folder of the result files.",
        ),
        click.option(
            "--tag",
            "tags",
            multiple=True,
            callback=read_tags,
            metavar="KEY=VALUE",
            help="Noted in the result; repeatable.",
        ),
        click.option(
            "--force", is_flag=True, help="Run though the server may not have the memory; said in the result."
        ),
        click.option(
            "--gate",
            type=click.Choice(GATES),
            default=GATES[0],
            show_default=True,
            help="With verdict, each verdict that is not VALID gives exit code 3; with thresholds, INVALID and UNSTEADY"
            " only warn. A missed threshold gives 4 with both.",
        ),
        click.option("--plain", is_flag=True, help="One line per interval; the default when not on a terminal."),
        click.option("--quiet", is_flag=True, help="No progress; only the table at the end."),
        click.option(
            "--prometheus",
            type=WholeNumber(0, 65535),
            metavar="PORT",
            help="Serve live figures for Prometheus on this port of 127.0.0.1, as long as it runs; 0 for a free one.",
        ),
    )
    return _with(verb, options)
