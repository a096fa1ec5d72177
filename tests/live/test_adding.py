"""What is added often takes no other places than CONTRIBUTING names: each is added to a copy of the package, and used.

The copy is edited as a person would, by one example for each list; so a place that a list lacks makes a test fail.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from processes import COMMAND, Place, sound

HOUSE = Path(__file__).parents[2]
SECTION = (HOUSE / "CONTRIBUTING.md").read_text(encoding="utf-8").partition("\n## How to add\n")[2]
PLACES = dict(re.findall(r"^A \*\*(.*?)\*\*:\n\n((?:\d\. .*\n)+)", SECTION, re.MULTILINE))

Edits = Mapping[str, tuple[str, str]]
"""By file of the package, what is found in it, and what stands there then; "" finds a file that is new."""

FIELD: Edits = {
    "ombdriver/bench/spec/workload.py": (
        "    seed: int = Field(\n",
        '    one_at_a_time: bool = Field(False, description="As `maxInFlight: 1`.")\n    seed: int = Field(\n',
    ),
    "ombdriver/bench/plan/planner.py": (
        "max_in_flight=workload.max_in_flight,",
        "max_in_flight=1 if workload.one_at_a_time else workload.max_in_flight,",
    ),
}
RULE: Edits = {
    "ombdriver/bench/verdict/rules.py": (
        "RULES = (\n",
        "RULES = (\n"
        '    Rule("tooWide", "UNSTEADY", "it is wide", lambda facts: [f"{facts.wide:,} groups; take fewer"]),\n',
    ),
    "ombdriver/bench/verdict/facts.py": ("    window_ns: int = 0\n", "    window_ns: int = 0\n    wide: int = 2\n"),
}
FAMILY: Edits = {
    "ombdriver/bench/metrics/families.py": (
        "TABLE = (\n",
        "TABLE = (\n"
        '    Family("publishTwice", "actual send", "acknowledgement", "as `publish`", "Publish, two times"),\n',
    ),
    "ombdriver/bench/worker/in_flight.py": (
        '                "publish": replied - sent,\n',
        '                "publish": replied - sent,\n                "publishTwice": 2 * (replied - sent),\n',
    ),
}
FAULT: Edits = {
    "ombdriver/bench/faults/write_file.py": (
        "",
        '''
"""`touch`: writes a file, as a fault that needs nothing."""

from pathlib import Path

from ombdriver.bench.faults.api import Fault


class WriteFile(Fault):
    """`touch: PATH`."""

    def __init__(self, value, options):
        self._path = Path(str(value))

    def spec(self):
        return {"touch": str(self._path)}

    def endangers(self, site):
        return "nothing"

    def missing(self, site):
        return None

    async def inject(self, system):
        self._path.write_text("here")
        return [self._path.name]
''',
    ),
    "ombdriver/bench/faults/api.py": (
        "SHIPPED: Mapping[str, str] = {\n",
        'SHIPPED: Mapping[str, str] = {\n    "touch": "write_file:WriteFile",\n',
    ),
}


class Copy:
    """A copy of the package, with something added to it, and a place to run it in."""

    def __init__(self, folder: Path, place: Place, what: str, edits: Edits) -> None:
        self.place, self._environment = place, {"PYTHONPATH": os.fspath(folder)}
        for name in ("ombdriver", "workloads"):
            shutil.copytree(HOUSE / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        for path, (found, text) in edits.items():
            assert path in PLACES[what] or path.rpartition("/")[0] + "/" in PLACES[what]
            file = folder / path
            before = file.read_text(encoding="utf-8") if found else ""
            assert before.count(found) == 1 or not found, path
            file.write_text(before.replace(found, text) if found else text, encoding="utf-8")

    def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Runs its `ombdriver`; in a new Python, since the package of a forked command is the one of these tests."""
        words, environment = [*COMMAND, *arguments], self.place.environment | self._environment
        return subprocess.run(
            words, capture_output=True, text=True, check=False, env=environment, cwd=self.place.folder
        )

    def result(self, *arguments: str) -> dict[str, Any]:
        """The result of a short run of its own, without a server."""
        done = self.run("run", "w.yaml", "--setup", "memory", "--quiet", *arguments)
        assert sound(done.returncode), done.stderr
        (found,) = self.place.results()
        return found

    def evaluate(self, program: str) -> Any:
        """What a program prints as JSON, with this package."""
        words = [sys.executable, "-c", program]
        environment = self.place.environment | self._environment
        done = subprocess.run(words, capture_output=True, text=True, check=True, env=environment, cwd=self.place.folder)
        return json.loads(done.stdout)


@pytest.fixture
def copy_with(tmp_path: Path, place: Place):  # type: ignore[no-untyped-def]
    """`copy_with(what, edits)`: a copy to which that was added."""
    return lambda what, edits: Copy(tmp_path / "copy", place, what, edits)


def test_a_field_of_a_workload_takes_two_places(copy_with: Any) -> None:
    """From then on files and --set have it, the plan obeys it, and results, schema and sweeps know it."""
    copy = copy_with("field of a workload", FIELD)

    result = copy.result("--set", "workload.oneAtATime=true")
    assert result["workloadSpec"]["oneAtATime"] is True
    assert "oneAtATime" in json.loads(copy.run("schema", "workload").stdout)["properties"]
    assert "oneAtATime: must be true or false" in copy.run("plan", "w.yaml", "--set", "workload.oneAtATime=2").stderr
    assert copy.evaluate(PLAN) == 1


PLAN = """
from pathlib import Path
from ombdriver.bench.plan.planner import make_plan
from ombdriver.bench.spec.setup import Setup
from ombdriver.bench.spec.workload import Workload

text = Path("w.yaml").read_text() + "oneAtATime: true\\n"
print(make_plan(Workload.parse(text, "w.yaml"), Setup.load("memory"), "r", workers=None, cores=2).max_in_flight)
"""


def test_a_rule_of_the_verdict_takes_two_places(copy_with: Any) -> None:
    """From then on runs are judged by it, and their terminal, results and exit codes tell it."""
    copy = copy_with("rule of the verdict", RULE)

    done = copy.run("run", "w.yaml", "--setup", "memory", "--quiet")
    (result,) = copy.place.results()
    assert {"rule": "tooWide", "status": "UNSTEADY", "message": "2 groups; take fewer"} in result["verdict"]["reasons"]
    assert "2 groups; take fewer" in done.stdout
    assert done.returncode == 3


def test_a_latency_family_takes_two_places(copy_with: Any) -> None:
    """From then on results, thresholds, exports, OMB's keys and pages have it."""
    copy = copy_with("latency family", FAMILY)

    result = copy.result("--threshold", "publishTwice.p99 < 10s")
    once, twice = (result["latency"][name] for name in ("publish", "publishTwice"))
    assert once["count"] == twice["count"] > 0
    assert once["p50"] < twice["p50"]
    assert result["thresholds"][0]["passed"]
    assert result["aggregatedPublishTwiceLatency99pct"] > 0
    assert len(result["publishTwiceLatencyMax"]) == len(result["publishLatencyMax"])
    (path,) = (copy.place.folder / "results").iterdir()
    assert "publishTwiceLatency" in copy.run("export", str(path), "--format", "csv").stdout
    assert copy.run("report", str(path), "-o", "page.html").returncode == 0
    assert "Publish, two times" in (copy.place.folder / "page.html").read_text(encoding="utf-8")


def test_a_fault_takes_two_places(copy_with: Any) -> None:
    """From then on workloads can have it, plans show it, and results tell what came of it."""
    copy = copy_with("fault", FAULT)
    faults = ("--set", "workload.faults=[{at: 200ms, touch: here.txt}]")

    assert "touch: here.txt" in copy.run("plan", "w.yaml", "--setup", "memory", *faults).stdout
    result = copy.result(*faults)
    assert (copy.place.folder / "here.txt").read_text() == "here"
    (injection,) = result["faults"]["injections"]
    assert (injection["kind"], injection["hit"], injection["error"]) == ("touch", ["here.txt"], None)


def test_a_driver_takes_a_module_and_an_entry_point(place: Place) -> None:
    """The example of docs/drivers.md, installed beside the package: what was published was received."""
    page = (HOUSE / "docs" / "drivers.md").read_text(encoding="utf-8").partition("\n## A complete example\n")[2]
    (module,) = re.findall(r"^```python\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    (setup,) = re.findall(r"^```yaml\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    (entry_points,) = re.findall(r"^\[project.entry-points.(\"ombdriver.drivers\")\]\n(.*)$", page, re.MULTILINE)
    place.write(module, "listdriver.py")
    place.write(setup, "lists.yaml")
    installed = place.folder / "listdriver-0.1.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: listdriver\nVersion: 0.1\n")
    (installed / "entry_points.txt").write_text("[ombdriver.drivers]\n{}\n".format(entry_points[1].replace('"', "")))

    done = place.run("run", "w.yaml", "--setup", "lists.yaml", "--quiet", PYTHONPATH=os.fspath(place.folder))
    assert sound(done.returncode), done.stderr
    (result,) = place.results()
    assert result["totals"]["published"] == 500
    assert [each["received"] for each in result["subscriptions"]] == [500, 500]
