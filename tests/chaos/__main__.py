"""`make chaos`: runs `ombdriver chaos` on some setups, and puts the table of what they lost into a page.

The table is made of nothing but the results in a folder; so it can be made again of one that is there, by --results.
All other options go to `ombdriver chaos`. Ctrl-C ends the runs, and tells what there is.
"""

import argparse
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from ombdriver.bench.report import units
from ombdriver.bench.report.chaos import runs_of, to_markdown
from ombdriver.bench.results import store
from ombdriver.bench.results.result import Result
from tests.marked import around, put_into


def table(results: Sequence[Result]) -> str:
    """The table of the results, and what it is of; as Markdown.

    Raises:
        SystemExit: if none of them is of a standard fault.
    """
    runs = runs_of(results)
    if not runs:
        sys.exit("no result has a standard fault in it, so there is no table")
    return f"{to_markdown(runs)}\n{summary(results)}\n"


def summary(results: Sequence[Result]) -> str:
    """What was run, by what and on what, in a sentence or two; of several values of one thing, all."""
    rates = {f"{units.rate(each.target_publish_rate)} for {units.duration(each.window_s)}" for each in results}
    servers = {_server(each) for each in results}
    versions = [each.environment.get("versions") or {} for each in results]
    pythons = {str(each.get("python", "")) for each in versions}
    cores = {str((each.environment.get("cpu") or {}).get("usableCores") or "") for each in results}
    statuses = [each.verdict.status if each.verdict else units.NOTHING for each in results]
    verdicts = ", ".join(f"{statuses.count(each)} `{each}`" for each in sorted(set(statuses)))
    version = _all({each.version for each in results})
    return (
        f"{units.many(len(results), 'run')} of {_all(rates)} each, ombdriver {version},"
        f" {_all(servers)}, {_all(cores)} cores, {_all(pythons)}; verdicts: {verdicts}."
    )


def _server(result: Result) -> str:
    server = result.environment.get("server") or {}
    return f"{str(server.get('engine', 'server')).capitalize()} {server.get('version', '')}".strip()


def _all(values: set[str]) -> str:
    return " or ".join(sorted(each for each in values if each)) or units.NOTHING


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs, and writes the table; ends with the exit code of the runs."""
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__, allow_abbrev=False)
    parser.add_argument("--page", type=Path, metavar="PAGE", help="a page to put the table into")
    parser.add_argument("--results", type=Path, metavar="FOLDER", help="make the table of these, and run nothing")
    options, passed_on = parser.parse_known_args(arguments)
    if options.page is not None:
        around(options.page, "chaos")  # rather than after all runs
    folder, code = options.results, 0
    if folder is None:
        folder = Path("results") / f"chaos-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
        signal.signal(signal.SIGINT, lambda *_: None)  # the runs are asked to stop by it too, and are waited for
        command = [sys.executable, "-m", "ombdriver", "chaos", *passed_on, "--output", os.fspath(folder)]
        code = subprocess.run(command, check=False).returncode
    text = table([each.result for each in store.load_all([os.fspath(folder)])])
    sys.stdout.write(f"\n{text}\n")
    if options.page is not None:
        put_into(options.page, "chaos", text)
    sys.exit(code)


if __name__ == "__main__":
    main()
