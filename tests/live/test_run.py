"""`ombdriver run`, from its command line to its result, on real servers."""

from collections.abc import Iterator
from typing import Any

import pytest
import redis
from documented_types import differences, keys
from hdrh.histogram import HdrHistogram
from processes import Place, place_in, sound

from ombdriver.bench.metrics.summary import FAMILIES
from ombdriver.bench.results.omb_keys import QUANTILES, SERIES, aggregated
from ombdriver.bench.results.result import RATES, Result
from ombdriver.bench.servers.private_server import PrivateServer

STATISTICS = ("Avg", "50pct", "75pct", "95pct", "99pct", "999pct", "9999pct", "Max")
OMB_FIELDS = [
    *("workload", "driver", "messageSize", "topics", "partitions", "producersPerTopic", "consumersPerTopic"),
    *("publishRate", "publishErrorRate", "consumeRate", "backlog"),
    *(f"{family}Latency{end}" for family in ("publish", "publishDelay", "endToEnd") for end in STATISTICS),
    *(
        f"aggregated{family}Latency{end}"
        for family in ("Publish", "PublishDelay", "EndToEnd")
        for end in (*STATISTICS, "Quantiles")
    ),
]
"""Every field of OMB's TestResult."""

ON_FIGURES = {
    "answeredLater",
    "carriedIn",
    "fewSamples",
    "shortRun",
    "colocated",
    "stalls",
    "ownShare",
    "busyMachine",
    "steal",
    "tailOwner",
}
"""Caveats of short runs on small machines; the others tell of messages."""

FORBIDDEN = (
    "config|set",
    "config|rewrite",
    "config|resetstat",
    "flush",
    "pause",
    "debug",
    "shutdown",
    "swapdb",
    "replicaof",
    "slaveof",
)


def ran(place: Place, *arguments: str) -> dict[str, Any]:
    """The result of a run that ends well."""
    finished = place.run("run", *arguments, "--plain")
    assert sound(finished.returncode), finished.stderr
    result = place.results()[-1]
    assert finished.returncode == (0 if result["verdict"]["status"] == "VALID" else 3)
    assert finished.stdout.startswith(f"{result['verdict']['status']}\n")
    assert f"Result: results/{file_of(place)}" in finished.stdout
    return result


def file_of(place: Place) -> str:
    """The name of the newest result."""
    return sorted(path.name for path in (place.folder / "results").iterdir())[-1]


def complete(result: dict[str, Any], messages: int, groups: int) -> None:
    """Every message was published, and received by every group; nothing else was met."""
    assert result["totals"] == {
        "published": messages,
        "publishErrors": 0,
        "indeterminate": 0,
        "underReplicated": 0,
        "unanswered": 0,
        "unsent": 0,
        "received": groups * messages,
        "receivedOfOthers": 0,
        "receivedFromOtherHosts": 0,
    }
    assert [each["received"] for each in result["subscriptions"]] == [messages] * groups
    assert [each["endToEndResponse"]["count"] for each in result["subscriptions"]] == [messages] * groups
    for told in result["delivery"]:
        assert (told["acknowledged"], told["received"]) == (messages, messages)
        others = ("lost", "trimmed", "undelivered", "redelivered", "duplicated", "repeated", "reordered", "recovered")
        assert not any(told[each] for each in others)
    assert [each["subscription"] for each in result["delivery"]] == [each["name"] for each in result["subscriptions"]]
    counts = [result["latency"][family]["count"] for family in FAMILIES]
    assert counts == [messages, messages, groups * messages, messages, groups * messages]
    assert result["counters"].keys() <= {"garbageCollections"}
    assert not result["partial"]
    assert [each for each in result["caveats"] if each["kind"] not in ON_FIGURES] == []


# -- the run of the issue: 10 s, 2,000 messages per second, 3 groups -------------------------------------------------


@pytest.fixture(scope="module")
def ten_seconds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[dict[str, Any], str]]:
    """The result of it, and its file's name; it takes the default setup and number of workers."""
    with place_in(tmp_path_factory.mktemp("run")) as place:
        result = ran(place, "1kb-3groups", "--duration", "10s", "--warmup", "1s", "--tag", "host=lab")
        yield result, file_of(place)


def test_what_was_published_was_received_by_each_group_to_the_message(ten_seconds: tuple[dict[str, Any], str]) -> None:
    """20,000 of the measured window, none of the warm-up's 2,000."""
    complete(ten_seconds[0], messages=20_000, groups=3)


def test_end_to_end_latencies_below_a_millisecond_are_in_the_histogram(
    ten_seconds: tuple[dict[str, Any], str],
) -> None:
    """OMB rounds to milliseconds and drops what is 0 then. HdrHistogram itself reads the histograms back."""
    histograms = ten_seconds[0]["histograms"]
    assert histograms["unit"] == "ns"
    for name in ("group-1", "group-2", "group-3"):
        histogram = HdrHistogram.decode(histograms["subscriptions"][name]["endToEnd"])
        below = sum(
            item.count_added_in_this_iter_step
            for item in histogram.get_recorded_iterator()
            if item.value_iterated_to < 1_000_000
        )
        assert below > 1_000
        assert histogram.get_total_count() == 20_000
    for family in FAMILIES:
        total = HdrHistogram.decode(histograms["families"][family]).get_total_count()
        assert total == ten_seconds[0]["latency"][family]["count"]


def test_every_field_of_ombs_result_is_there(ten_seconds: tuple[dict[str, Any], str]) -> None:
    """Under OMB's names, with one element per second in the lists; and so are ours."""
    result = ten_seconds[0]

    assert [name for name in OMB_FIELDS if name not in result] == []
    for name in (*RATES, *SERIES):
        assert len(result[name]) == 10
    for name in (*map(aggregated, SERIES), *QUANTILES):
        assert result[name]
    assert 0 < sum(result["publishRate"]) <= 20_000
    assert (result["kind"], result["formatVersion"], result["tags"]) == ("run", 1, {"host": "lab"})
    assert (result["workload"], result["driver"], result["targetPublishRate"]) == ("1kb-3groups", "redis-streams", 2000)
    assert result["setup"]["name"] == "embedded"
    assert result["environment"]["workers"]


def test_a_result_has_the_keys_that_its_page_tells(ten_seconds: tuple[dict[str, Any], str]) -> None:
    """By the types that docs/result.md is made from; those of parts that few runs have are held without a server."""
    result = ten_seconds[0]
    told_by_others = ("rates", "series", "quantiles", "subscriptions")
    hints = {name: hint for name, hint in keys(Result).items() if name not in told_by_others}

    assert [each for name, hint in hints.items() for each in differences(result[name], hint, name)] == []


def test_the_latencies_agree_with_each_other(ten_seconds: tuple[dict[str, Any], str]) -> None:
    """A response takes at least as long as its service, a delay is part of it, and percentiles rise."""
    latency = ten_seconds[0]["latency"]

    for family in FAMILIES:
        figures = latency[family]
        order = [figures[name] for name in ("min", "p50", "p75", "p95", "p99", "p99.9", "p99.99", "max")]
        assert order == sorted(order)
        assert order[0] >= 0
    assert latency["publishResponse"]["avg"] == pytest.approx(
        latency["publish"]["avg"] + latency["publishDelay"]["avg"], rel=1e-3
    )
    for service in ("publish", "endToEnd"):
        assert latency[f"{service}Response"]["avg"] >= latency[service]["avg"]


def test_the_file_is_named_after_the_run_and_read_back(ten_seconds: tuple[dict[str, Any], str]) -> None:
    """UTC, workload, setup, run id."""
    result, name = ten_seconds

    begin = result["beginTime"][:19].replace("-", "").replace(":", "")
    assert name == f"{begin}Z-1kb-3groups-embedded-{result['runId']}.json"
    assert result["endTime"] > result["beginTime"]


# -- other shapes ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("workload", "rate", "groups"),
    [("1kb-16partitions", 1600, 1), ("1kb-keyed", 1600, 1), ("1kb-100topics", 1000, 1), ("1kb-8producers", 800, 1)],
)
def test_every_shape_of_workload_is_complete(place: Place, workload: str, rate: int, groups: int) -> None:
    """Many partitions, keys, topics whose readers are merged, many producers: all is received, without a warm-up."""
    result = ran(place, workload, "--duration", "1s", "--warmup", "0s", "--rate", str(rate))

    complete(result, rate, len(result["subscriptions"]))
    assert result["workloadSpec"]["warmupDuration"] == "0s"


def test_a_run_of_several_workloads_writes_a_result_of_each(place: Place) -> None:
    """One after the other, in the order given; a short last interval is told like the others."""
    place.write((place.folder / "w.yaml").read_text().replace("testDuration: 1s", "testDuration: 1200ms"), "v.yaml")

    finished = place.run("run", "w.yaml", "v.yaml", "--setup", "memory", "--quiet")

    assert sound(finished.returncode)
    assert finished.stderr == ""
    by_name = {result["workload"]: result for result in place.results()}
    assert list(by_name) == ["w", "v"]
    complete(by_name["w"], 500, 2)
    complete(by_name["v"], 600, 2)
    assert len(by_name["v"]["publishRate"]) == 2


def test_the_memory_setup_needs_no_server(place: Place) -> None:
    """Everything within one process."""
    result = ran(place, "1kb-3groups", "--setup", "memory", "--duration", "1s", "--warmup", "1s")

    complete(result, 2_000, 3)
    assert (result["driver"], result["setup"]["name"]) == ("memory", "memory")
    assert len(result["environment"]["workers"]) == 1


def test_more_workers_share_the_schedule(place: Place) -> None:
    """Producers and consumers are dealt out to processes, and together send exactly the one schedule."""
    result = ran(place, "1kb-8producers", "--duration", "1s", "--warmup", "0s", "--rate", "801", "--workers", "4")

    complete(result, 801, len(result["subscriptions"]))
    assert len(result["environment"]["workers"]) == 4


# -- a server of the user's ------------------------------------------------------------------------------------------


def test_on_a_users_server_exactly_the_created_keys_are_gone(place: Place, server_url: str) -> None:
    """Keys of others stay untouched; no setting is changed, nothing flushed and nobody paused."""
    with redis.Redis.from_url(server_url) as client:
        client.xadd("{ombdriver-mine:0}", {"p": "1"})
        client.set("ombdriver:run:mine", "not a hash even")
        client.set("other", "2")
        before = {key: client.dump(key) for key in client.scan_iter()}
        settings = client.config_get("*")
        client.config_resetstat()
        result = ran(place, "w.yaml", "--url", server_url)
        statistics = client.info("commandstats")

        assert {key: client.dump(key) for key in client.scan_iter()} == before
        assert client.config_get("*") == settings
    complete(result, 500, 2)
    commands = {name.removeprefix("cmdstat_") for name in statistics} - {"config|resetstat"}  # our own
    assert statistics["cmdstat_xadd"]["calls"] == 501  # with the probe
    assert {"xadd", "xreadgroup", "xack", "unlink"} <= commands
    assert [command for command in commands if any(word in command for word in FORBIDDEN)] == []
    assert (result["setup"]["name"], result["setup"]["server"]["url"]) == ("url", server_url)
    server = result["environment"]["server"]
    assert (server["address"], server["tls"]) == ("loopback", False)
    assert {name: settings.get(name) for name in server["config"]} == server["config"]
    assert {"appendonly", "save", "stream-node-max-bytes", "maxmemory-policy"} <= server["config"].keys()
    assert not any("pass" in name or "auth" in name for name in server["config"])


def test_no_password_gets_into_the_result(place: Place, redis_server: PrivateServer) -> None:
    """Neither from the URL nor from the command line; and the user needs few rights."""
    with redis.Redis(port=redis_server.port) as client:
        client.flushall()
        rules = ["on", ">s3cr:t", "~{ombdriver-*", "~ombdriver:*", "+@all", "-@dangerous", "+info"]
        client.execute_command("ACL", "SETUSER", "bench", *rules)
        url = f"redis://bench:s3cr%3At@127.0.0.1:{redis_server.port}/2"
        try:
            result = ran(place, "w.yaml", "--url", url)
        finally:
            client.execute_command("ACL", "DELUSER", "bench")

    complete(result, 500, 2)
    text = (place.folder / "results" / file_of(place)).read_text()
    assert "s3cr" not in text
    assert result["environment"]["server"]["config"] is None  # CONFIG is dangerous, so refused
    assert Result.loads(text, "result").setup["server"]["url"].count("***") == 1
