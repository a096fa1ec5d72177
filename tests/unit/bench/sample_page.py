"""Results for the tests of pages: two setups with real histograms, telemetry and caveats; and hostile texts."""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from recorded_result import recorded
from sample_search import SEARCH

from ombdriver.bench.results.result import Result
from ombdriver.bench.results.store import ResultFile
from ombdriver.bench.spec.thresholds import Check
from ombdriver.bench.verdict.model import Advice, Caveat, NotJudged, Reason, Verdict

SCRIPT = "<script>window.hacked = 1</script>"
IMAGE = "<img src=x onerror='window.hacked = 1'>"
LINK = "<a href='https://example.invalid/'>here</a>"
PASSWORD = "hunter2"

STALLED = Caveat("stalls", "worker 0 (produce) was held up for 7.4 ms at once, above 5 ms")
CARRIED = Caveat("carriedIn", "12 messages of the warm-up were still on their way")
UNSTEADY = Verdict(
    "UNSTEADY",
    (Reason("rateTrend", "UNSTEADY", "the rate fell by 12 %; run longer"),),
    (NotJudged("backlogTrend", "a trend is judged from 30 intervals on"),),
)
CHECK = Check("endToEndResponse.p99 < 5ms", 6.06, 5.0, "ms", False)


def telemetry(looks: int, groups: Sequence[str] = ("group-1", "group-2")) -> dict[str, Any]:
    """Of a run of `looks` - 3 seconds: two looks in the warm-up, one each second, one right after the end."""
    times = [-2.0, -1.0, *(float(at) for at in range(1, looks - 2)), looks - 2.95]
    rising = [10.0 * at for at in range(looks)]
    process = {"cpu": [None, *([0.25] * (looks - 1))], "rssBytes": [2**20] * looks, "stalledMs": [None, *rising[1:]]}
    return {
        "intervalSeconds": 1.0,
        "summary": {},
        "server": {
            "t": times,
            "usedMemoryBytes": [value * 2**20 for value in rising],
            "memoryRssBytes": [value * 2**21 for value in rising],
            "cpuUser": [None, *([0.5] * (looks - 1))],
            "cpuSystem": [None, *([0.25] * (looks - 1))],
            "cpuChildren": [None, *([0.0] * (looks - 1))],
            "commandsPerSecond": [None, *([4000.0] * (looks - 1))],
            "streams": {"groups": {name: {"lag": [0, *([7] * (looks - 1))], "pending": rising} for name in groups}},
            "events": [{"t": 2.0, "kind": "fork", "text": "the server forked, 0.3 ms"}],
        },
        "processes": {
            "t": times,
            "server": None,
            "parent": process,
            "workers": [process | {"role": "produce"}, process | {"role": "consume"}],
        },
        "cost": {},
    }


def run(number: int, setup: str = "embedded", **changed: Any) -> Result:
    """The `number`-th result of a command, with telemetry and caveats."""
    values: dict[str, Any] = {
        "run_id": f"run{number:05d}",
        "setup": {"name": setup, "driver": "redis-streams"},
        "telemetry": telemetry(8),
        "caveats": [CARRIED, STALLED],
        "verdict": Verdict("VALID"),
        "groups": ("group-1", "group-2"),
    }
    result = recorded(5, **(values | changed))
    later = timedelta(minutes=number)
    begin, end = (datetime.fromisoformat(each) + later for each in (result.begin_time, result.end_time))
    return replace(result, begin_time=_text(begin), end_time=_text(end))


def _text(time: datetime) -> str:
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def files(*results: Result) -> list[ResultFile]:
    """As if each had been read from a file."""
    return [ResultFile(f"{result.run_id}.json", result) for result in results]


def two_setups() -> list[ResultFile]:
    """Two repeats of `embedded`, the second of which is unsteady, and one of `redis-local`."""
    second = run(
        2,
        verdict=UNSTEADY,
        thresholds=[CHECK],
        at_harness_floor=["publishResponse.p50"],
        own_parts={"publishResponse.p99": 0.5},
    )
    return files(run(1), second, run(3, "redis-local"))


LONG = "a-name-that-is-longer-than-any-table-is-wide-and-has-no-place-to-break-it-" * 2
"""As people have them, who write what is in a setup into its name."""
INVALID = Verdict(
    "INVALID",
    (Reason("runDelay", "INVALID", "worker 1 (consume) waited for a core for 47 % of the window"),),
    measured="this run took 0.84 of 2 cores, others 1.06",
    advice=(Advice("endOthers", "end what else runs on this machine: it took 1.06 of 2 cores"),),
)
VERDICTS = (Verdict("VALID"), INVALID, Verdict("OVERLOADED"), Verdict("LOSS"), Verdict("PARTIAL"), UNSTEADY)


def every_kind() -> list[ResultFile]:
    """Fifteen results on three setups with long names: one VALID, one of some verdicts, one that is always INVALID.

    They are a sweep over two settings, and each has looked for its highest rate.
    """
    results = []
    for number in range(15):
        at, setup = number // 3, number % 3
        verdict = (Verdict("VALID"), VERDICTS[at], INVALID)[setup]
        sweep = {"workload.messageSize": f"{10**at} bytes", "setup.streams.readCount": 10 * (at % 2 + 1)}
        of = {"workload": "1kb-3groups", "setup": f"{LONG}{setup}"}
        results.append(
            run(number, f"{LONG}{setup}", verdict=verdict, sweep=sweep, sweep_of=of, search=deepcopy(SEARCH))
        )
    return files(*results)


def hostile() -> list[ResultFile]:
    """What would run, load or reveal something, wherever a result has free text."""
    url = f"redis://user:{PASSWORD}@example.invalid:6379/0"
    evil = f"{SCRIPT}{IMAGE}{LINK} {url} %{{x}}"
    return files(
        run(
            1,
            f"a{SCRIPT}{IMAGE}",
            groups=(f"g{IMAGE}{LINK}", "other"),
            telemetry=telemetry(8, (f"g{SCRIPT}",)) | {"note": url},
            caveats=[Caveat(f"carriedIn{IMAGE}", evil), Caveat("carriedIn", evil)],
            verdict=Verdict("INVALID", (Reason(IMAGE, "INVALID", evil),), (NotJudged(SCRIPT, evil),)),
            thresholds=[Check(evil, None, 1.0, "ms", False)],
            tags={SCRIPT: url},
            environment={"commandLine": evil, "server": {"os": IMAGE}},
        )
    )
