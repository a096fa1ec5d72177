"""A stored result becomes the request of the same run again; and what has changed since.

Knows what a result keeps of its workload and its setup. Passwords it does not keep, nor the content of payload files.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from ombdriver.bench.drivers.api import load_driver
from ombdriver.bench.results import store
from ombdriver.bench.results.environment import Drift, drift
from ombdriver.bench.results.result import Result, Standing
from ombdriver.bench.run.request import Request, new_run_id, plan_of
from ombdriver.bench.spec.setup import Setup
from ombdriver.bench.spec.workload import Workload
from ombdriver.bench.spec.yaml_file import YamlDocument
from ombdriver.bench.telemetry.installation import host, usable_cores
from ombdriver.errors import InputError
from ombdriver.secrets import HIDDEN

_USERS = ("user", "masteruser", "primaryuser")


def request_of(
    path: Path,
    *,
    url: str | None,
    workers: int | None,
    output: Path,
    tags: Mapping[str, str],
    force: bool = False,
    command_line: Sequence[str] = (),
) -> tuple[Result, Request]:
    """The result at `path`, and the request that repeats its run.

    Args:
        path: of the result.
        url: the server, in place of the setup's own; has to be given when that one's URL had a password.
        workers: how many processes; None for as many as there were.
        output: the folder of results.
        tags: the user's words, beside those of the result.
        force: the server is taken though the run may not fit into its memory.
        command_line: as typed.

    Raises:
        InputError: if the result can't be read, or the run can't be repeated from it; with what is missing.
    """
    result = store.load(path)
    if result.environment.get("hosts"):
        raise InputError(f"{path}: its workers were on several hosts; run it anew with `ombdriver run --scheduler`")
    setup = _setup(result, str(path), url)
    workload = _workload(result, path)
    load_driver(setup.driver_used)
    if workers is None:
        workers = _processes(result) or None
    request = Request(
        workload=workload,
        setup=setup,
        output=output,
        workers=workers,
        cores=usable_cores(),
        tags={**result.tags, **tags},
        command_line=command_line,
        standing=Standing(new_run_id()),
        overrides=result.overrides,  # the workload and the setup of the result have these, and what was swept
        sweep=result.sweep,
        sweep_of=result.sweep_of,
        force=force,
    )
    plan_of(request, "check")
    return result, request


def drift_of_host(result: Result) -> list[Drift]:
    """What of this machine and this installation is no longer what it was."""
    return drift(result.environment, host())


def drift_of_run(before: Result, after: Result) -> list[Drift]:
    """What of a run's surroundings, of its server and of its setup is no longer what it was."""
    return drift(
        {**before.environment, "setup": before.setup, "processes": _processes(before)},
        {**after.environment, "setup": after.setup, "processes": _processes(after)},
    )


def _processes(result: Result) -> int:
    workers = result.environment.get("workers")
    return len(workers) if isinstance(workers, list) else 0


def _workload(result: Result, path: Path) -> Workload:
    try:
        workload = Workload.from_document(
            YamlDocument(f"{path}: workloadSpec", dict(result.workload_spec)), path.parent
        )
    except InputError as error:
        if "missing payload file" not in str(error):
            raise
        name = result.workload_spec.get("payloadFile")
        raise InputError(
            f"{path}: its workload reads the payload file {name!r}, which is not here;"
            " start from the folder that the run was started from, or from the one of the workload file"
        ) from error
    if workload.sha256 != result.workload_sha256:
        name = workload.payload_file
        if workload.payload.content is not None:
            raise InputError(
                f"{path}: the payload file {name!r} has changed since the run; put back the one it had,"
                " or run the workload anew with `ombdriver run`"
            )
        raise InputError(
            f"{path}: workloadSpec is not what its workloadSha256 says, so it was edited;"
            " put such changes into a workload file, and give that to `ombdriver run`"
        )
    return workload


def _check_users(setup: Setup, source: str) -> None:
    """A password gives way to another one, the same for all servers; a user's rules to none."""
    config = setup.server.config if setup.server is not None else {}
    if gone := [name for name, value in config.items() if name.lower() in _USERS and value == HIDDEN]:
        raise InputError(
            f"{source}: its servers were started with {', '.join(gone)}, which may hold a password, so results don't"
            " keep it; run it anew with `ombdriver run`"
        )


def _setup(result: Result, source: str, url: str | None) -> Setup:
    setup = Setup.from_document(YamlDocument(f"{source}: setup", dict(result.setup)))
    stored = setup.server.joined_url if setup.is_users_server and setup.server is not None else None
    if url is None:
        _check_users(setup, source)
        if stored is not None and HIDDEN in stored:
            raise InputError(
                f"{source}: it ran on {stored}, and passwords are not kept in results; give the whole URL with --url"
            )
        return setup
    if setup.loopback:
        raise InputError(f"--url: {source} is of a run without a server; leave --url out")
    return setup.with_url(url, keep_name=stored is not None)
