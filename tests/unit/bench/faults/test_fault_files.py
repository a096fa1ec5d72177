"""`faults` and `expect` of a workload: what is read, what is refused with its line, and what a plan makes of it."""

import pickle
from collections.abc import Mapping, Sequence
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
import yaml
from requested_runs import requested

from ombdriver.bench.faults import api, break_disk, shape_link, step_clock
from ombdriver.bench.faults.api import Endangers, Fault, FaultSystem, FaultTypes, Site
from ombdriver.bench.faults.spec import read_faults, schedule, unsupported
from ombdriver.bench.faults.target import Target
from ombdriver.bench.servers.equipment import Equipment
from ombdriver.bench.servers.topology import ServerPlan
from ombdriver.bench.spec.workload import Workload
from ombdriver.bench.units import SECOND
from ombdriver.errors import InputError

LOAD = """\
topics: 1
partitionsPerTopic: 1
messageSize: 100
subscriptionsPerTopic: 1
producersPerTopic: 1
consumerPerSubscription: 1
producerRate: 100
warmupDuration: 0s
testDuration: 60s
"""
LINK = {"between": ["clients", "primary"]}
STANDALONE = Site(ServerPlan())
WITH_AOF = Site(ServerPlan(config={"Appendonly": "yes"}))
SENTINEL = Site(ServerPlan(topology="sentinel"))
CLUSTER = Site(ServerPlan(topology="cluster", replicas=0))
YOURS = Site(None)
FAULTS = """\
faults:
  - {at: 10s, kill: primary, restartAfter: 2s}
  - {at: 30s, for: 3s, pause: replica 1}
  - {at: 45s, failover: ordered}
  - {every: 20s, until: 50s, for: 200ms, pause: consumers of group-1}
  - {at: 1s, for: 1s, clientPause: write}
  - {at: 3s, for: 1s, maxmemory: reached}
  - {at: 5s, bgsave: primary}
  - {at: 6s, bgrewriteaof: node 2}
  - {at: 8s, for: 1s, link: {between: [primary, clients], latency: 20ms, jitter: 5ms, bandwidth: 1MB}}
  - {at: 9s, for: 1s, link: {between: [primary, replica 1], down: true}}
  - {at: 11s, for: 1s, disk: {fsyncDelay: 500ms}}
  - {at: 12s, for: 1s, disk: {fsyncError: EIO}, on: node 2}
  - {at: 13s, for: 1s, disk: {full: true}}
  - {at: 14s, powerLoss: servers, restartAfter: 2s}
  - {at: 15s, clock: {step: 5s}}
  - {at: 16s, for: 1s, clock: {step: -1500ms}, on: node 2}
  - {at: 7s, for: 1s, hook: "/bin/true 1", heal: [/bin/true]}
"""
EXPECT = "expect: [outage < 5s, 'delivery[group-1].lost <= 0', 'deliveryOutage[group-1] < 6s', faults.injected > 3]\n"


def cut(*between: str) -> dict[str, object]:
    """A link that is down."""
    return {"link": {"between": [*between], "down": True}, "for": "1s"}


def workload(more: str) -> Workload:
    """A workload with these lines."""
    return Workload.parse(LOAD + more, "w.yaml")


def faults_of(text: str) -> list[str]:
    """What is wrong with a file that has this list."""
    with pytest.raises(InputError) as caught:
        workload(text)
    return list(caught.value.messages)


def test_a_workload_with_faults_is_read_back_from_its_spec() -> None:
    """The resolved workload is what a result holds, and what a rerun reads."""
    one = workload(FAULTS + EXPECT)

    again = Workload.parse(yaml.safe_dump(one.spec()), "again.yaml")

    assert again.spec() == one.spec()
    assert again.sha256 == one.sha256
    assert [str(each) for each in one.fault_specs][:2] == ["kill: primary, restartAfter: 2s", "pause: replica 1"]
    assert pickle.loads(pickle.dumps(one.fault_specs)) == one.fault_specs


def test_faults_are_of_the_load_and_expectations_are_not() -> None:
    """A workload without faults has the hash that it always had."""
    plain = Workload.parse(LOAD, "w.yaml").sha256

    assert workload("faults: []\n").sha256 == plain
    assert workload(FAULTS).sha256 != plain
    assert workload(FAULTS + EXPECT).sha256 == workload(FAULTS).sha256


def test_a_schedule_has_every_injection_in_its_order() -> None:
    """Repeated ones too, up to `until`."""
    found = schedule(workload(FAULTS).fault_specs, 60 * SECOND)

    times = [(each.at_ns // SECOND, each.spec.kind) for each in found]
    assert times == sorted(times, key=lambda each: each[0])
    assert [at for at, kind in times if kind == "pause"] == [20, 30, 40]
    kill = next(each for each in found if each.spec.kind == "kill")
    assert (kill.at_ns, kill.heal_ns) == (10 * SECOND, 12 * SECOND)


def test_all_that_is_wrong_with_all_faults_is_told_with_lines() -> None:
    """One error, a sentence for each, and what else is wrong beside it."""
    said = faults_of(
        """\
faults:
  - {at: 10s, kil: primary}
  - {at: 70s, kill: primary}
  - at: 5s
    pause: replika
    for: 1s
  - {at: 5s, pause: primary}
  - {at: 5s, for: 1s, failover: ordered}
  - {kill: primary, restartAfter: soon, colour: red}
sampleInterval: never
"""
    )

    assert [each.split(" ")[0] for each in said if "faults." in each] == [
        "w.yaml:11:",
        "w.yaml:12:",
        "w.yaml:14:",
        "w.yaml:16:",
        "w.yaml:17:",
        "w.yaml:18:",
        "w.yaml:18:",
        "w.yaml:18:",
    ]
    assert any("sampleInterval" in each for each in said)
    assert any("not known: 'kil'; did you mean kill?" in each for each in said)
    assert any("'replika' is nobody a fault can hit; did you mean replica?" in each for each in said)


@pytest.mark.parametrize(
    ("entry", "word"),
    [
        ("kill", "holds no settings"),
        ({"at": "1s"}, "names no fault; add one as kill: primary (known are: kill, pause"),
        ({"at": "1s", "lnk": {}}, "not known: 'lnk'; did you mean link?"),
        ({"at": "1s", "for": "1s", "link": "down"}, "holds no settings; write it as link: {between"),
        ({"at": "1s", "for": "1s", "link": {"down": True}}, "between: null are no two"),
        ({"at": "1s", "for": "1s", "link": {**LINK}}, "nothing can't be what becomes of a link; write latency"),
        ({"at": "1s", "for": "1s", "link": {**LINK, "down": True, "latency": "1ms"}}, "down, latency can't be"),
        ({"at": "1s", "for": "1s", "link": {**LINK, "down": "yes"}}, "write down: true"),
        ({"at": "1s", "for": "1s", "link": {**LINK, "latncy": "1ms"}}, "did you mean latency?"),
        ({"at": "1s", "for": "1s", "link": {**LINK, "latency": 5}}, "5 has no unit"),
        ({"at": "1s", "for": "1s", "link": {**LINK, "latency": "1ms", "jitter": "2ms"}}, "is more than the latency"),
        ({"at": "1s", "for": "1s", "link": {**LINK, "bandwidth": 0}}, "lets nothing through"),
        ({"at": "1s", "for": "1s", "link": {"between": ["clients", "replica 1"], "down": True}}, "there is no link"),
        ({"at": "1s", "for": "1s", "link": {"between": ["node 1", "node 1"], "down": True}}, "there is no link"),
        ({"at": "1s", "for": "1s", "link": {"between": ["producers", "primary"], "down": True}}, "there is no link"),
        ({"at": "1s", "link": {**LINK, "down": True}}, "does not say for how long"),
        ({"at": "1s", "kill": "primary", "pause": "primary"}, "is given beside kill"),
        ({"kill": "primary"}, "does not say when"),
        ({"at": 5, "kill": "primary"}, "5 has no unit"),
        ({"at": "1s", "until": "5s", "kill": "primary"}, "has no meaning without every"),
        ({"every": "10s", "until": "5s", "kill": "primary"}, "is before the first one"),
        ({"every": "1s", "for": "1s", "pause": "primary"}, "write a longer every"),
        ({"at": "1s", "kill": "consumers", "data": "lost"}, "consumers has none; remove it"),
        ({"at": "1s", "kill": "consumer 1"}, "does not say which, or of which group; write consumer 1 of group-1"),
        ({"at": "1s", "kill": "consumer 0 of g"}, "numbers begin at 1"),
        ({"at": "1s", "kill": "consumer 1 of g", "data": "lost"}, "has none; remove it"),
        ({"at": "1s", "for": "1s", "pause": "consumer 2 of g"}, "shares its process; write pause: consumers of g"),
        ({"at": "1s", "for": "2s", "kill": "primary"}, "kill does not last; write restartAfter"),
        ({"at": "1s", "kill": "primary", "data": "half"}, "write kept or lost"),
        ({"at": "1s", "kill": "primary 0"}, "numbers begin at 1; write primary 1"),
        ({"at": "1s", "kill": "primary of p1"}, "names no partition; write primary of 0, for the first one"),
        ({"at": "1s", "kill": "primary 1 of 0"}, "names no partition"),
        ({"at": "1s", "kill": "replica of 0"}, "only consumers are those of a group; write replica"),
        ({"at": "1s", "kill": "sentinel"}, "does not say which; write sentinel 1"),
        ({"at": "1s", "pause": "primary"}, "does not say for how long; add for: 3s"),
        ({"at": "1s", "for": "21s", "pause": "clients"}, "21s is too long; write 20s or less"),
        ({"at": "1s", "failover": True}, "write failover: ordered"),
        ({"at": "1s", "failover": "ordered", "on": "replica"}, "on: 'replica' is no primary"),
        ({"at": "1s", "for": "1s", "clientPause": "read"}, "write clientPause: write, or all"),
        ({"at": "1s", "for": "1s", "maxmemory": "lots"}, "or reached, for what the server has then"),
        ({"at": "1s", "bgsave": "sentinel 1"}, "holds no data; write bgsave: primary"),
        ({"at": "1s", "for": "1s", "disk": "slow"}, "holds no settings; write it as disk: {fsyncDelay: 500ms}"),
        ({"at": "1s", "for": "1s", "disk": {}}, "nothing can't be what becomes of a disk; write one of fsyncDelay"),
        ({"at": "1s", "for": "1s", "disk": {"fsyncDelay": 5}}, "fsyncDelay: 5 has no unit"),
        ({"at": "1s", "for": "1s", "disk": {"fsyncDelays": "5s"}}, "did you mean fsyncDelay?"),
        ({"at": "1s", "for": "1s", "disk": {"fsyncError": "EPERM"}}, "'EPERM' is none; write one of EIO"),
        ({"at": "1s", "for": "1s", "disk": {"full": 5}}, "write full: true"),
        ({"at": "1s", "for": "1s", "disk": {"full": True, "fsyncDelay": "1s"}}, "full, fsyncDelay can't be"),
        ({"at": "1s", "for": "1s", "disk": {"full": True}, "on": "sentinel 1"}, "is no primary or replica or node"),
        ({"at": "1s", "disk": {"full": True}}, "does not say for how long"),
        ({"at": "1s", "powerLoss": "sentinel 1"}, "has nothing on a disk; write powerLoss: primary, or kill: sent"),
        ({"at": "1s", "powerLoss": "primary", "restartAfter": "2"}, "restartAfter: "),
        ({"at": "1s", "powerLoss": "primary", "for": "2s"}, "powerLoss does not last; write restartAfter"),
        ({"at": "1s", "clock": "5s"}, "is no step; write it as clock: {step: 5s}, or {step: -5s}"),
        ({"at": "1s", "clock": {"step": 5}}, "step: 5 has no unit"),
        ({"at": "1s", "clock": {"step": "-10ms"}}, "is too short; write 200ms to 8760h"),
        ({"at": "1s", "clock": {"step": "9000h"}}, "is too long; write 200ms to 8760h"),
        ({"at": "1s", "clock": {"step": "5s"}, "on": "sentinel 1"}, "is no primary or replica or node"),
        ({"at": "1s", "migrateSlots": "replica 1"}, "has no slots; write primary 1, or primary of 0"),
        ({"at": "1s", "migrateSlots": "primary 1", "to": "primary 1"}, "has them already; name another primary"),
        ({"at": "1s", "migrateSlots": "primary", "to": "nobody"}, "to: 'nobody' is nobody a fault can hit"),
        ({"at": "1s", "migrateSlots": "primary", "atomic": "yes"}, "neither true nor false; write one of them"),
        ({"at": "1s", "for": "1s", "migrateSlots": "primary"}, "migrateSlots does not last; remove it"),
        ({"at": "1s", "hook": ""}, "is no command"),
        ({"at": "1s", "for": "1s", "hook": "true"}, "add heal: COMMAND"),
        ({"every": "5s", "kill": "primary"}, "begins while fault 1 does the same to the same"),
        ({"at": "55s", "for": "10s", "pause": "primary"}, "is healed after 65s, and the test ends after 1m"),
    ],
)
def test_an_entry_that_is_wrong_is_told_with_the_way_out(entry: object, word: str) -> None:
    """Whatever is wrong with it."""
    specs, problems = read_faults([entry], 60 * SECOND)

    assert [message for _, message in problems if word in message], problems
    assert all(";" in message for _, message in problems)
    assert specs == [] or "healed after" in word or "begins while" in word


def test_two_faults_that_do_the_same_to_the_same_at_a_time_are_refused() -> None:
    """The heal of the first would end the second."""
    entries = [{"at": "1s", "for": "5s", "pause": "primary"}, {"at": "3s", "for": "5s", "pause": "primary"}]

    assert "begins while fault 1 does the same" in read_faults(entries, 60 * SECOND)[1][0][1]
    entries[1]["pause"] = "replica"
    assert read_faults(entries, 60 * SECOND)[1] == []


def test_links_that_share_a_side_may_be_cut_at_a_time() -> None:
    """They are others; the same one told the other way round is the same."""
    entries = [{"at": "1s", **cut("node 1", "node 2"), "for": "5s"}, {"at": "3s", **cut("node 3", "node 2")}]

    assert read_faults(entries, 60 * SECOND)[1] == []
    entries[1] |= cut("node 2", "node 1")
    assert "begins while fault 1 does the same" in read_faults(entries, 60 * SECOND)[1][0][1]


def test_where_servers_have_no_addresses_of_their_own_links_between_them_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And those of clients are not."""
    monkeypatch.setattr(shape_link, "lacks_own_addresses", lambda: "there is but 127.0.0.1; use Linux")
    specs, _ = read_faults([{"at": "1s", **cut("node 1", "node 2")}, {"at": "5s", **cut("clients", "primary")}])

    (said,) = unsupported(specs, CLUSTER)

    assert "there is but 127.0.0.1" in said
    assert [spec.make().equipment.own_address for spec in specs] == [True, False]


@pytest.mark.parametrize(
    ("between", "site", "endangered"),
    [
        (("primary", "servers"), CLUSTER, "failover"),
        (("primary", "sentinel 1"), SENTINEL, "failover"),
        (("primary", "replica"), Site(ServerPlan(topology="replicated")), "nothing"),
        (("clients", "primary"), CLUSTER, "nothing"),
        (("clients", "primary"), Site(None, users_server="one"), "nothing"),
    ],
)
def test_what_a_cut_endangers_depends_on_whether_somebody_takes_over(
    between: tuple[str, ...], site: Site, endangered: str
) -> None:
    """Nobody does because clients can't reach a primary."""
    (spec,), _ = read_faults([{"at": "1s", **cut(*between)}])

    assert spec.make().endangers(site) == endangered


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("expect: [outage < 5s]\n", "expect: is of what faults do, and there are none"),
        ("thresholds: [outage < 5s]\n", "thresholds: outage is what faults do, and there are none"),
        (FAULTS + "expect: [outage < 5]\n", "5 has no unit"),
        (FAULTS + "expect: [outages < 5s]\n", "did you mean outage?"),
        (FAULTS + "expect: ['deliveryOutage[group-9] < 5s']\n", "there is no group 'group-9'"),
        ("faults: [{at: 1s, for: 1s, pause: consumers of group-7}]\n", "there is no group 'group-7'"),
        ("faults: kill\n", "must be a list of faults, not 'kill'"),
        ("faults: [{at: 1s, kill: consumer 1 of group-7}]\n", "there is no group 'group-7'"),
        ("faults: [{at: 1s, kill: consumer 2 of group-1}]\n", "there is no consumer 2 of group-1; write 1 to 1"),
        ("faults: [{at: 1s, failover: ordered, on: primary of 1}]\n", "there is no partition 1; write 0 to 0"),
        (FAULTS + "consumerBacklogSizeGB: 1\n", "times are of a measured window"),
    ],
)
def test_what_does_not_agree_with_the_rest_of_the_workload_is_refused(text: str, word: str) -> None:
    """Before anything starts."""
    said = faults_of(text)

    assert [each for each in said if word in each], said


@pytest.mark.parametrize(
    ("entry", "site", "word"),
    [
        ({"kill": "primary"}, STANDALONE, None),
        ({"kill": "replica"}, STANDALONE, "there is no replica: a setup of topology standalone has no replica"),
        ({"kill": "replica 2"}, SENTINEL, "has 1 of them"),
        ({"kill": "sentinel 3"}, SENTINEL, None),
        ({"kill": "primary 3"}, CLUSTER, None),
        ({"kill": "primary of 3"}, CLUSTER, None),
        ({"failover": "ordered"}, STANDALONE, "clients do not follow a failover"),
        ({"failover": "ordered"}, SENTINEL, None),
        ({"failover": "ordered"}, CLUSTER, "there is no replica that could take over"),
        ({"kill": "primary"}, YOURS, "a server of yours is not broken by a run"),
        ({"kill": "primary"}, Site(None, has_server=False), "a driver without a server"),
        ({"pause": "consumers", "for": "1s"}, YOURS, None),
        ({"pause": "consumers", "for": "1s"}, Site(None, can_pause_workers=False), "use Linux"),
        ({"kill": "producers"}, YOURS, None),
        ({"kill": "clients"}, Site(None, can_kill_workers=False), "of this machine can be killed"),
        ({"kill": "consumer 1 of group-1"}, YOURS, None),
        ({"kill": "consumer 1 of group-1"}, Site(None, can_kill_consumers=False), "write pause: consumers"),
        ({"link": {**LINK, "down": True}, "for": "1s"}, STANDALONE, None),
        ({"link": {**LINK, "down": True}, "for": "1s"}, SENTINEL, None),
        ({"link": {**LINK, "down": True}, "for": "1s"}, CLUSTER, None),
        ({"link": {"between": ["clients", "primary of 2"], "down": True}, "for": "1s"}, CLUSTER, None),
        ({"link": {"between": ["clients", "primary 4"], "down": True}, "for": "1s"}, CLUSTER, "has 3 of them"),
        (cut("clients", "servers"), CLUSTER, None),
        (cut("clients", "node 4"), CLUSTER, "has 3 of them"),
        (cut("node 1", "node 2"), CLUSTER, None),
        (cut("node 2", "node 4"), CLUSTER, "has 3 of them"),
        (cut("primary", "replica"), CLUSTER, "has no replica"),
        (cut("primary", "replica"), SENTINEL, None),
        (cut("primary", "sentinel 3"), SENTINEL, None),
        (cut("primary", "sentinel 4"), SENTINEL, "has 3 of them"),
        (cut("primary", "servers"), STANDALONE, "there is one server, and nothing between"),
        (cut("clients", "primary"), YOURS, "a server of yours is not broken by a run"),
        (cut("clients", "primary"), Site(None, users_server="one"), None),
        (cut("clients", "primary of 0"), Site(None, users_server="one"), None),
        (cut("clients", "node 1"), Site(None, users_server="one"), "a server of yours is not broken by a run"),
        (cut("primary", "replica"), Site(None, users_server="one"), "a server of yours is not broken by a run"),
        (cut("clients", "primary"), Site(None, users_server="several"), "past a link to those of the URL"),
        (cut("clients", "primary"), Site(None, users_server="unix"), "a unix socket have no link"),
        (cut("clients", "primary"), Site(None, users_server="one", on_hosts=True), "on other hosts do not come by"),
        ({"link": {**LINK, "down": True}, "for": "1s"}, Site(ServerPlan(unix_socket=True)), "leave unixSocket out"),
        ({"link": {"between": ["primary", "replica 1"], "reset": True}, "for": "1s"}, STANDALONE, "no replica"),
        ({"disk": {"fsyncDelay": "1s"}, "for": "1s"}, WITH_AOF, None),
        ({"disk": {"fsyncDelay": "1s"}, "for": "1s"}, STANDALONE, "write nothing to a disk; write config: {append"),
        ({"disk": {"full": True}, "for": "1s"}, Site(ServerPlan(config={"save": "60 1"})), None),
        ({"disk": {"full": True}, "for": "1s"}, YOURS, "a server of yours is not broken by a run"),
        ({"powerLoss": "servers"}, WITH_AOF, None),
        ({"powerLoss": "replica"}, WITH_AOF, "has no replica"),
        ({"powerLoss": "primary"}, YOURS, "a server of yours is not broken by a run"),
        ({"clock": {"step": "-1s"}}, STANDALONE, None),
        ({"clock": {"step": "1s"}, "on": "replica"}, STANDALONE, "there is no replica"),
        ({"clock": {"step": "1s"}}, YOURS, "a server of yours is not broken by a run"),
        ({"migrateSlots": "primary of 0", "to": "primary 2", "atomic": True}, CLUSTER, None),
        ({"migrateSlots": "primary", "to": "primary 9"}, CLUSTER, "has 3 of them"),
        ({"migrateSlots": "primary"}, SENTINEL, "has no slots; use topology: cluster"),
        ({"migrateSlots": "primary"}, YOURS, "a server of yours is not broken by a run"),
        ({"hook": "/bin/true"}, YOURS, None),
        ({"hook": "./is-not-there"}, YOURS, "there is no program './is-not-there'"),
    ],
)
def test_what_a_setup_lacks_is_refused(
    monkeypatch: pytest.MonkeyPatch, entry: dict[str, object], site: Site, word: str | None
) -> None:
    """By the planner, which `plan` and `run` share."""
    monkeypatch.setattr(break_disk, "lacks_fsync_gate", lambda: None)
    monkeypatch.setattr(step_clock, "lacks_own_clock", lambda _: None)
    monkeypatch.setattr(shape_link, "lacks_own_addresses", lambda: None)
    specs, problems = read_faults([{"at": "1s", **entry}], 60 * SECOND)
    assert problems == []

    found = unsupported(specs, site)

    assert bool(found) == (word is not None)
    assert all(word and word in each and each.startswith("fault 1 (") for each in found)


@pytest.mark.parametrize(
    ("entry", "refused"),
    [
        ({"disk": {"fsyncDelay": "1s"}, "for": "1s"}, True),
        ({"disk": {"full": True}, "for": "1s"}, False),
        ({"powerLoss": "primary"}, True),
    ],
)
def test_what_needs_the_fsyncs_of_a_server_is_refused_where_they_can_not_be_had(
    monkeypatch: pytest.MonkeyPatch, entry: dict[str, object], refused: bool
) -> None:
    """With the reason, and the way out; a disk that is full needs none."""
    monkeypatch.setattr(break_disk, "lacks_fsync_gate", lambda: "only Linux can")
    specs, _ = read_faults([{"at": "1s", **entry}], 60 * SECOND)

    said = unsupported(specs, WITH_AOF)

    assert len(said) == refused
    assert all("by another process, and only Linux can; leave this fault out, or use" in each for each in said)
    assert Equipment.of(spec.make().equipment for spec in specs).fsync_gate is refused


def test_a_plan_has_the_faults_and_refuses_what_the_setup_lacks(tmp_path: Path) -> None:
    """With the names of workload and setup."""
    text = LOAD + "faults: [{at: 1s, kill: replica}]\n"

    with pytest.raises(InputError, match=r"w x embedded: fault 1 .kill: replica.: there is no replica"):
        requested(tmp_path, text, setups=["embedded"])


def test_faults_can_be_swept(tmp_path: Path) -> None:
    """A run for each list of them, under a name of its own."""
    lists = "[[{at: 1s, kill: primary}], [{at: 1s, for: 1s, pause: primary}, {at: 5s, bgsave: primary}]]"

    first, second = requested(tmp_path, LOAD, setups=["embedded"], sweeps=[f"workload.faults={lists}"])

    assert [str(each) for each in first.workload.fault_specs] == ["kill: primary"]
    assert [str(each) for each in second.workload.fault_specs] == ["pause: primary", "bgsave: primary"]
    assert first.workload.name != second.workload.name


@pytest.mark.parametrize(
    ("topology", "replicas", "endangered"),
    [
        ("standalone", None, "memory"),
        ("replicated", 1, "memory"),
        ("sentinel", 1, "failover"),
        ("cluster", 0, "memory"),
        ("cluster", 1, "failover"),
    ],
)
def test_what_a_crash_endangers_depends_on_who_takes_over(topology: str, replicas: int | None, endangered: str) -> None:
    """Where nobody does, what is on the disk of the primary comes back with it."""
    (spec,), _ = read_faults([{"at": "1s", "kill": "primary"}])
    plan = ServerPlan(topology=topology, replicas=replicas)  # type: ignore[arg-type]

    assert spec.make().endangers(Site(plan)) == endangered


@pytest.mark.parametrize(
    "text",
    [
        "primary",
        "primary of 12",
        "replica 2",
        "sentinel 1",
        "servers",
        "producers",
        "consumers of a b",
        "consumer 2 of c 1",
    ],
)
def test_a_target_is_written_as_it_is_read(text: str) -> None:
    """In results and messages."""
    assert str(Target.parse(text)) == text


@pytest.mark.parametrize(
    "entry",
    [
        {"kill": "node 2", "restartAfter": "2s", "data": "lost"},
        {"kill": "clients", "restartAfter": "2s"},
        {"failover": "ordered"},
        {"failover": "ordered", "on": "primary of 3"},
        {"failover": "ordered", "on": "primary 2"},
        {"for": "2s", "pause": "primary of 3"},
        {"for": "2s", "clientPause": "all", "on": "primary of 1"},
        {"for": "2s", "maxmemory": "reached", "on": "primary 3"},
        {"for": "2s", "link": {"between": ["clients", "primary of 2"], "latency": "20ms", "jitter": "5ms"}},
        {"for": "2s", "link": {"between": ["primary", "replica 2"], "swallow": True}},
        {"for": "2s", "link": {"between": ["clients", "node 2"], "down": True}},
        {"for": "2s", "link": {"between": ["primary of 1", "sentinel 2"], "bandwidth": 1024}},
        {"migrateSlots": "primary of 0", "to": "primary 2", "atomic": True},
        {"migrateSlots": "primary"},
        {"bgsave": "primary of 0"},
        {"bgrewriteaof": "replica 2"},
        {"for": "2s", "hook": "true", "heal": "true"},
    ],
)
def test_an_entry_is_written_as_it_is_read(entry: dict[str, object]) -> None:
    """In results, from which runs are done again: nothing that it says is left out."""
    (spec,), problems = read_faults([{"at": "1s", **entry}])

    assert problems == []
    assert spec.to_yaml() == {"at": "1s", **entry}


def test_every_shipped_fault_can_be_loaded() -> None:
    """Each says what it is in its own words."""
    types = FaultTypes.installed()

    assert {types.load(name).__name__ for name in types.names} >= {"KillTarget", "RunHook"}
    assert all(types.load(name).__doc__ for name in types.names)


class CutTheCable(Fault):
    """A fault of somebody else's."""

    OPTIONS = ("length",)

    def __init__(self, value: object, options: Mapping[str, object]) -> None:
        if value != "blue":
            raise ValueError(f"{value!r} is no cable; write blue")
        self._length = options.get("length", 1)

    def spec(self) -> Mapping[str, object]:
        """See `Fault.spec`."""
        return {"cable": "blue", "length": self._length}

    def endangers(self, site: Site) -> Endangers:
        """Nobody knows."""
        return "unknown"

    def missing(self, site: Site) -> str | None:
        """Nothing."""
        return None

    async def inject(self, system: FaultSystem) -> Sequence[str]:
        """Does nothing."""
        return ["cable"]


def test_a_package_can_register_faults_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Under the entry point `ombdriver.faults`; they are read, told and refused like those that ship."""
    registered = EntryPoint("cable", f"{__name__}:CutTheCable", api.ENTRY_POINT_GROUP)
    monkeypatch.setattr(EntryPoint, "load", lambda _: CutTheCable)
    monkeypatch.setattr(api, "entry_points", lambda group: [registered] if group == api.ENTRY_POINT_GROUP else [])

    (spec,), problems = read_faults([{"at": "1s", "cable": "blue", "length": 3}])

    assert problems == []
    assert str(spec) == "cable: blue, length: 3"
    assert spec.to_yaml() == {"at": "1s", "cable": "blue", "length": 3}
    assert "'red' is no cable" in read_faults([{"at": "1s", "cable": "red"}])[1][0][1]
    assert "hook, cable" in read_faults([{"at": "1s"}])[1][0][1]
