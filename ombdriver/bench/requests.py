"""What a user names and overrides -> requests that can be run; every fault of all of it in one error."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from ombdriver.bench import catalogue
from ombdriver.bench.benchmark import Request, plan_of
from ombdriver.bench.driver import load_driver
from ombdriver.bench.environment import usable_cores
from ombdriver.bench.login import connect_url
from ombdriver.bench.overrides import Overrides
from ombdriver.bench.setup import Setup
from ombdriver.bench.workload import Workload
from ombdriver.errors import InputError


def requests_of(
    *,
    workloads: Sequence[str],
    setup_name: str,
    url: str | None,
    duration: int | None,
    warmup: int | None,
    rate: int | None,
    workers: int | None,
    output: Path,
    tags: Mapping[str, str],
    thresholds: Sequence[str] = (),
    abort_on_fail: bool = False,
    command_line: Sequence[str] = (),
) -> list[Request]:
    """One request for each workload, in their order.

    Args:
        workloads: names of shipped ones, or paths.
        setup_name: a shipped setup, or the path of a file.
        url: a server of the user's in place of the setup's.
        duration: measured time in nanoseconds, in place of each workload's; so are the next two.
        warmup: warm-up in nanoseconds.
        rate: messages per second.
        workers: how many processes; None chooses by the machine.
        output: the folder of results.
        tags: the user's words for the results.
        thresholds: conditions besides each workload's own.
        abort_on_fail: each run ends as soon as a threshold fails.
        command_line: as typed.

    Raises:
        InputError: if anything of it can't be; with the faults of all files and options.
    """
    faults: list[str] = []
    setup: Setup | None = None
    try:
        setup = Setup.load(setup_name)
        if url is not None:
            setup = setup.with_url(url)
    except InputError as error:
        faults += error.faults
    if setup is not None:
        try:
            load_driver(setup.driver_used)
            if setup.server is not None and setup.server.url is not None:
                connect_url(setup.server)  # only to find what is missing
        except InputError as error:
            faults += [f"{setup_name}: {fault}" for fault in error.faults]
    overrides = Overrides(duration, warmup, rate, thresholds, abort_on_fail)
    requests = []
    for name in workloads:
        try:
            workload = Workload.load(catalogue.resolve(name))
            workload = workload.with_overrides(overrides)
            if setup is not None:
                request = Request(workload, setup, output, workers, usable_cores(), tags, command_line)
                plan_of(request, "check")
                requests.append(request)
        except InputError as error:
            faults += [fault for fault in error.faults if fault not in faults]
    if faults:
        raise InputError(faults)
    return requests
