"""Files and keys of other tools, known by name: what they are, and what to write here. Pure."""

import re
from collections.abc import Mapping

SEARCH = "the highest rate is found by producerRate: max, and rates are tried one after the other by probeRates"
_DRAIN = "a backlog is built as consumerBacklogSizeGB says, and drained as backlogDrainRatio says"
FORK_KEYS: Mapping[str, str] = {
    "producerStartRate": SEARCH,
    "producerIncrementRate": SEARCH,
    "producerIncrementRateSeconds": SEARCH,
    "acceptableBacklog": SEARCH,
    "maxBacklog": SEARCH,
    "producerPauseBeforeDrain": _DRAIN,
    "producerPauseBeforeDrainSeconds": _DRAIN,
    "producerPauseDuringDrain": _DRAIN,
    "backlogProducerRate": "the backlog is built at producerRate; remove it",
    "warmupProducerRate": "the warm-up runs at producerRate; remove it, or lead in with stages of rateProfile",
    "warmupProducerRateSeparationMinutes": "the warm-up runs at producerRate; remove it",
    "producerRateList": "write rateProfile: [{duration: 30s, rate: 1000}, {duration: 30s, rate: 2000}]",
    "partitionsPerTopicList": "write sweep: {workload.partitionsPerTopic: [1, 4]}",
    "producersPerTopicList": "write sweep: {workload.producersPerTopic: [1, 4]}",
    "messageSizeList": "write sweep: {workload.messageSize: [100, 1KiB]}",
    "randomTopicNames": "topics have names of their own in each run; remove it",
    "sampleRateMillis": "write sampleInterval: 1s",
    "logIntervalMillis": "write sampleInterval: 1s",
    "consumerOnly": "write producersPerTopic: 0 and producerRate: 0, with existingTopicList",
    "producerOnly": "write subscriptionsPerTopic: 0",
    "topicNames": "write existingTopicList for topics that exist; new ones have names of their own",
    "topicGroups": "topics of a workload are all alike; write one workload for each group, its keys at the top",
    "testDurationSeconds": "write testDuration: 30s",
    "warmupDurationSeconds": "write warmupDuration: 30s",
    "testDurationMs": "write testDuration: 30s",
}
"""Keys of OMB's known forks and earlier versions, and what replaces them here."""
_OF_A_DRIVER: Mapping[str, str] = {
    "redisHost": "server.url: redis://HOST:PORT",
    "redisPort": "server.url: redis://HOST:PORT",
    "redisUser": "server.username",
    "redisPass": "server.passwordEnv or server.passwordFile",
    "redisNodes": "server.url with a list of them, and server.cluster: true",
    "driverClass": "driver",
}
"""Keys of OMB's driver files, and what replaces them in a setup."""
WORKLOAD_KEYS: Mapping[str, str] = {
    **{key: f"is a key of another version of OMB; {way_out}" for key, way_out in FORK_KEYS.items()},
    "workload": "is no key of a file; write what is below it at the top, without it",
    "stages": "is a key of k6; write rateProfile: [{duration: 30s, rate: 1000}, {duration: 30s, rate: 2000}]",
    "vus": "is a key of k6; messages are due at producerRate, whoever sends them: write producersPerTopic",
    **dict.fromkeys(_OF_A_DRIVER, "is a key of OMB's driver files; remove it, and give that file with --setup"),
}
"""What is said of keys in a workload that other tools have."""
SETUP_KEYS: Mapping[str, str] = {
    key: f"is a key of OMB's driver files; in a setup write {here}" for key, here in _OF_A_DRIVER.items()
}
"""What is said of keys in a setup that other tools have."""
_OTHER_HOSTS = "workers on other hosts are placed by --scheduler and --hosts"
_URL = "the server is named by --url redis://HOST:PORT/DB"
OPTIONS: Mapping[str, str] = {
    **dict.fromkeys(("--drivers", "-d"), "is an option of OMB; give its driver file with --setup"),
    **dict.fromkeys(("--workers-file", "-wf", "-w"), f"is an option of OMB; {_OTHER_HOSTS}"),
    **dict.fromkeys(("--host", "--server", "--port", "-s", "-p", "-u", "--uri"), f"is there not; {_URL}"),
    **dict.fromkeys(
        ("--password", "--pass", "--authenticate", "-a"),
        "is there not; name the password in a setup, by passwordEnv or passwordFile, or write it into --url",
    ),
}
"""Options of other tools (OMB, redis-cli, redis-benchmark, memtier_benchmark), and what replaces them here."""
WORKERS_ARE_PROCESSES = f"workers are processes of this machine; write how many. {_OTHER_HOSTS.capitalize()}"
"""What is said of addresses in the place of the number of workers, as OMB takes them."""
HOLDS_A_WORKLOAD = ("topicGroups", "workload")
"""Of these, the keys that hold what else stands at the top: beside them nothing else is missing."""

_SETUP = ("a setup of ombdriver; give it with --setup", frozenset({"driver"}))
_WORKLOAD = ("a workload; give it without --setup", frozenset({"topics", "producerRate"}))
_TOOLS: tuple[tuple[str, frozenset[str]], ...] = (
    ("a driver file of the OpenMessaging Benchmark; give it with --setup", frozenset({"driverClass"})),
    ("a Kubernetes manifest", frozenset({"apiVersion", "kind"})),
    ("a Docker Compose file", frozenset({"services"})),
    ("a Prometheus configuration", frozenset({"scrape_configs"})),
    ("a GitHub workflow", frozenset({"jobs", "on"})),
    ("an Artillery script", frozenset({"config", "scenarios"})),
    ("a workers file of the OpenMessaging Benchmark; ombdriver starts its workers itself", frozenset({"workers"})),
    ("a result of a run; give it to report, compare, export or rerun", frozenset({"formatVersion"})),
    ("a result of the OpenMessaging Benchmark", frozenset({"publishRate", "aggregatedPublishLatencyAvg"})),
)
_REPORTS: tuple[tuple[str, frozenset[str]], ...] = (
    ("a result of the OpenMessaging Benchmark; `ombdriver compare` reads it", frozenset({"publishRate", "driver"})),
    ("a summary of k6", frozenset({"metrics", "root_group"})),
    ("a result of memtier_benchmark", frozenset({"ALL STATS"})),
    ("a report of pytest-benchmark", frozenset({"machine_info", "benchmarks"})),
    ("a report of Google Benchmark", frozenset({"context", "benchmarks"})),
    ("a result of pyperf", frozenset({"benchmarks", "metadata"})),
    ("a report of oha", frozenset({"summary", "latencyPercentiles"})),
    ("a report of vegeta", frozenset({"latencies", "bytes_in", "bytes_out"})),
    ("a report of autocannon", frozenset({"latency", "requests", "throughput"})),
    ("a report of Artillery", frozenset({"aggregate", "intermediate"})),
    ("a result of fortio", frozenset({"RunType", "DurationHistogram"})),
    ("a report of ghz", frozenset({"latencyDistribution", "rps"})),
)
"""What JSON files of other tools have at their top."""
_TEXTS: tuple[tuple[str, str], ...] = (
    ("lines of k6, one value each", r'\s*\{"(type|metric)":'),
    ("CSV of redis-benchmark", r'"test","rps"'),
    ("text of redis-benchmark", r"\s*=+ \w+ =+"),
    ("text of memtier_benchmark", r"\s*(Writing results|\[RUN #|ALL STATS|\d+ +Threads)"),
    ("text of wrk", r"Running \S+ test @"),
    ("CSV of JMeter", r"timeStamp,elapsed"),
    ("percentiles of an HdrHistogram", r"\s*Value +Percentile"),
    ("a log of an HdrHistogram", r"#\[.*Histogram"),
    ("text of Kafka's performance test", r"\d+ records sent|start\.time, end\.time"),
    ("a page of HTML", r"\s*<(!doctype|html)"),
    ("YAML (workloads and setups are for `ombdriver run`)", r"(#.*\n|\s)*[A-Za-z]+:\s"),
)
"""How text of other tools begins."""


def told_as(data: Mapping[str, object], *, setup: bool) -> str | None:
    """What a file of these keys is, where it is no workload (with `setup`: no setup); None where it can't be said."""
    tools = (*_TOOLS, _WORKLOAD if setup else _SETUP)
    return next((what for what, keys in tools if keys <= data.keys()), None)


def result_told_as(data: object) -> str | None:
    """What a JSON file is that should be a result, and is none; None where it can't be said."""
    if isinstance(data, list):
        return "a list, as some tools write their results" if data else None
    if not isinstance(data, Mapping):
        return None
    if "kind" in data:
        return f"a {data['kind']} of ombdriver" if data["kind"] in ("calibration", "comparison") else None
    return next((what for what, keys in _REPORTS if keys <= data.keys()), None)


def text_told_as(text: str) -> str | None:
    """What a text is that should be JSON; None where it can't be said."""
    return next((what for what, begins in _TEXTS if re.match(begins, text, re.I)), None)
