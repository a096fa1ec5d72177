"""The fingerprint of a run: versions, machine, server and command line, and what differs between two of them.

Looks at this host and this Python once; imports no package that it names. Must not know a plan or figures. What can't
be found out is None: a fingerprint never fails a run. Its keys count as facts that bear on the figures, but for those
that change from one run to the next whatever is done.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import ombdriver
from ombdriver.bench.telemetry.installation import host, load_average, read_text
from ombdriver.secrets import redact_argument


def fingerprint(
    server: Mapping[str, object],
    command_line: Sequence[str],
    *,
    load_at_start: Sequence[float] | None = None,
    seeds: Mapping[str, int] | None = None,
) -> dict[str, Any]:
    """The environment of a run that has been measured, as plain data for its result.

    Args:
        server: what the server says of itself, without secrets.
        command_line: as typed; passwords are hidden here.
        load_at_start: what `load_average` gave before anything was started.
        seeds: what random figures of the run came from, by what they were for.
    """
    return {
        **host(),
        "gitCommit": commit(),
        "loadAverageAtStart": load_at_start,
        "loadAverage": load_average(),
        "seeds": dict(seeds or {}),
        "server": dict(server),
        "commandLine": redact_command_line(command_line),
    }


def redact_command_line(arguments: Sequence[str]) -> list[str]:
    """The arguments, with `***` for passwords."""
    return [redact_argument(argument) for argument in arguments]


def commit() -> str | None:
    """The commit that this installation was made from: of its checkout, or as pip was given it (`git+https:…`)."""
    checked_out = git_commit(Path(ombdriver.__file__).parents[1])
    if checked_out is not None:
        return checked_out
    try:
        origin = json.loads(distribution("ombdriver").read_text("direct_url.json") or "{}")
    except (PackageNotFoundError, OSError, ValueError):
        return None
    found = origin.get("vcs_info", {}).get("commit_id")
    return found if isinstance(found, str) else None


def git_commit(folder: Path) -> str | None:
    """The commit that is checked out in `folder`; None when it is no plain checkout. Reads files, starts no git.

    Changes that are not committed can't be seen so.
    """
    git = folder / ".git"
    linked = read_text(git) or ""  # a file in a further work tree of a repository, else a folder
    if linked.startswith("gitdir: "):
        git = folder / linked.removeprefix("gitdir: ")
    head = read_text(git / "HEAD")
    if head is None or not head.startswith("ref: "):
        return head
    name = head.removeprefix("ref: ")
    shared = git / (read_text(git / "commondir") or "")
    packed = re.search(rf"^([0-9a-f]+) {re.escape(name)}$", read_text(shared / "packed-refs") or "", re.MULTILINE)
    return read_text(shared / name) or (packed[1] if packed else None)


VOLATILE = (
    *("loadAverage", "loadAverageAtStart", "commandLine", "workers", "harness", "telemetry"),
    "server.usedMemoryBytes",
)
"""Keys, and all below them, that are of a moment or of one run."""
LIMIT_BY_DEFAULT = "maxMemoryByDefault"
"""A fact of a server: its limit on memory is what this machine had left, and nobody's choice."""
NOTHING = "nothing"
"""What stands for null in a sentence."""


@dataclass(frozen=True, slots=True)
class Drift:
    """A fact that is no longer what it was: its dotted `key`, and both values as JSON has them."""

    key: str
    then: Any
    now: Any

    def __str__(self) -> str:
        return f"{self.key} was {_text_of(self.then)}, is {_text_of(self.now)}"


def drift(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Drift]:
    """Every fact that both have, and not alike, in the order of `before`.

    What only one of them has is no drift: older versions knew fewer facts, and a server may have refused to tell. Nor
    is a limit on memory that was not chosen.

    Args:
        before: the environment of a result, or any part of one.
        after: the same of another, or of this machine.
    """
    now = dict(_leaves(_chosen(after)))
    return [Drift(key, then, now[key]) for key, then in _leaves(_chosen(before)) if key in now and now[key] != then]


def chosen_facts(server: Mapping[str, Any]) -> dict[str, Any]:
    """The facts of a server, with no limit on memory where that was not chosen: as it was in older versions."""
    facts = dict(server)
    if facts.pop(LIMIT_BY_DEFAULT, False):
        facts["maxMemoryBytes"] = 0
        if isinstance(config := facts.get("config"), Mapping):
            facts["config"] = {**config, "maxmemory": "0"}
    return facts


def _chosen(environment: Mapping[str, Any]) -> Mapping[str, Any]:
    server = environment.get("server")
    return {**environment, "server": chosen_facts(server)} if isinstance(server, Mapping) else environment


def _leaves(data: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in data.items():
        key = f"{above}{name}"
        if key in VOLATILE:
            continue
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{key}.")
        else:
            yield key, value


def _text_of(value: Any) -> str:
    return NOTHING if value is None else repr(value) if value == "" else str(value)
