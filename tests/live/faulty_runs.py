"""Runs with faults that tests share: several faults in one run, far enough apart."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from processes import Place, place_in, sound

ENGINES = ("valkey", "redis")
LOAD = """
topics: 1
partitionsPerTopic: 1
messageSize: 100
subscriptionsPerTopic: 1
producersPerTopic: 1
producerRate: 500
warmupDuration: 1s
sampleInterval: 200ms
drainTimeout: 20s
"""
THREE_PARTITIONS = LOAD.replace("partitionsPerTopic: 1", "partitionsPerTopic: 3")
"""One for each primary of a cluster, where they are balanced."""
ONE_CONSUMER = "consumerPerSubscription: 1\n"
TWO_CONSUMERS = "consumerPerSubscription: 2\n"
MOST_LATER_S = 3.0
"""A machine on which other tests run may need so long to come back to a connection."""
WORK = f"{TWO_CONSUMERS}consumerWork: 1ms\n"


@dataclass(frozen=True)
class FaultyRun:
    """One run.

    Attributes:
        faults: entries of its workload, by names for the test.
        duration: of its measured time.
        server, client, streams: what its setup says of these.
        readers: the workload's lines about consumers.
        load: its other lines.
        given: further words of the command, in place of a setup.
    """

    faults: Mapping[str, str]
    duration: str
    server: str = "engine: valkey"
    client: str = "{}"
    streams: str = "{}"
    readers: str = ONE_CONSUMER
    load: str = LOAD
    given: Sequence[str] = ()

    def prepare(self, place: Place) -> Sequence[str]:
        """Writes its files; the command's words."""
        entries = ", ".join(self.faults.values())
        place.write(f"{self.load}{self.readers}testDuration: {self.duration}\nfaults: [{entries}]\n")
        if self.given:
            return ["run", "w.yaml", "--plain", *self.given]
        setup = f"server: {{{self.server}}}\nclient: {self.client}\nstreams: {self.streams}\n"
        place.write(f"name: s\ndriver: redis-streams\n{setup}", "s.yaml")
        return ["run", "w.yaml", "--setup", "s.yaml", "--plain"]


class Told:
    """What a run tells.

    Args:
        run: which.
        result: of it.
    """

    def __init__(self, run: FaultyRun, result: dict[str, Any]) -> None:
        self.result = result
        self._names = list(run.faults)

    def __getitem__(self, name: str) -> dict[str, Any]:
        """The injection of a fault, which went well."""
        one = self.tried(name)
        assert one["error"] is None, one
        return one

    def tried(self, name: str) -> dict[str, Any]:
        """The injection of a fault, however it went."""
        number = self._names.index(name) + 1
        (one,) = [each for each in self.result["faults"]["injections"] if each["number"] == number]
        return dict(one)

    @property
    def delivery(self) -> dict[str, Any]:
        """Of its only group; every message of it has become something."""
        (each,) = self.result["delivery"]
        missing = each["lost"] + each["trimmed"] + each["undelivered"]
        assert each["acknowledged"] + each["recovered"] == each["received"] + missing
        return dict(each)

    @property
    def rules(self) -> set[str]:
        """The rules that say something of it, but those of this machine."""
        return {each["rule"] for each in self.result["verdict"]["reasons"] if each["status"] != "INVALID"}

    @property
    def caveats(self) -> set[str]:
        """Their kinds."""
        return {each["kind"] for each in self.result["caveats"]}


def as_long(outage_s: float, one: Mapping[str, Any]) -> bool:
    """Whether an outage is as long as its fault lasted, as the clock had it, and what this machine needs after that.

    How exactly outages are told is for `test_honesty_faults`, which has its machine for itself.
    """
    lasted_s: float = one["healedSeconds"] - one["injectedSeconds"]
    return lasted_s - 0.2 <= outage_s <= lasted_s + MOST_LATER_S


def all_told(folder: Path, runs: Mapping[str, FaultyRun]) -> dict[str, Told]:
    """What runs tell, by their names; one after the other, each in a folder of its own below `folder`.

    Other processes of the tests have runs too meanwhile: with all runs of a file at once, servers were late by seconds.
    """
    told = {}
    for name, run in runs.items():
        (folder / name).mkdir()
        with place_in(folder / name) as place, place.start(*run.prepare(place)) as process:
            code, _, said = process.end()
            assert sound(code), said
            (result,) = place.results()
            told[name] = Told(run, result)
    return told
