"""A setup names a driver and a server, strictly, and never shows a password."""

from pathlib import Path

import pytest

from ombdriver.bench.spec.setup import Setup, setup_names
from ombdriver.errors import InputError


def test_the_shipped_setups_load_by_name() -> None:
    """Each bears the name of its file and says what it is, in a line that a list has room for."""
    assert {"embedded", "memory", "valkey-cluster-3", "redis-py-client"} <= set(setup_names())
    for name in setup_names():
        setup = Setup.load(name)
        assert setup.name == name
        assert 0 < len(setup.description) <= 70


def test_the_embedded_setup_starts_a_server_of_its_own() -> None:
    """It is the default: nothing of the user's is touched."""
    setup = Setup.load("embedded")

    assert setup.server is not None
    assert (setup.driver, setup.server.engine, setup.server.url) == ("redis-streams", "valkey", None)
    assert (setup.loopback, setup.is_users_server, setup.streams.retention) == (False, False, "auto")


def test_the_memory_setup_has_no_server() -> None:
    """The loopback lives in one process."""
    setup = Setup.load("memory")

    assert (setup.loopback, setup.is_users_server, setup.server) == (True, False, None)


def test_a_setup_loads_from_a_file(tmp_path: Path) -> None:
    """A path is taken as well as a name; a driver of someone else's needs no server of ours."""
    path = tmp_path / "mine.yaml"
    path.write_text("name: mine\ndriver: their-driver\nstreams:\n  retention: 5000\n")

    setup = Setup.load(str(path))

    assert (setup.name, setup.driver, setup.streams.retention) == ("mine", "their-driver", 5000)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("embeded", "--setup: there is no setup 'embeded'; did you mean embedded?"),
        ("cloud", f"--setup: there is no setup 'cloud'; there are: {', '.join(setup_names())}"),
        ("nowhere/x.yaml", "nowhere/x.yaml: there is no such file; check the path"),
    ],
)
def test_a_setup_that_is_not_there_is_told_with_those_that_are(name: str, message: str) -> None:
    """A misspelt name is answered with the nearest."""
    with pytest.raises(InputError) as caught:
        Setup.load(name)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        ("driver: memory\n", ["s.yaml: name: is missing; add a line name: ..."]),
        (
            "name: a/b\ndriver: memory\n",
            ["s.yaml:1: name: 'a/b' can't stand in a file's name; write letters, digits, dots and dashes"],
        ),
        (
            "name: x\ndriver: redis-streams\n",
            ["s.yaml: server: is missing; add it, with engine: valkey below it"],
        ),
        (
            "name: x\ndriver: memory\nserver: {engine: valkey}\n",
            ["s.yaml:3: server: the memory driver has no server; remove this part, or write driver: redis-streams"],
        ),
        (
            "name: x\ndriver: redis-streams\nserver: {}\n",
            ["s.yaml:3: server: needs one of engine and url; write engine: valkey, or url: redis://HOST:PORT"],
        ),
        (
            "name: x\ndrivr: memory\ndriver: memory\nstreams:\n  retension: auto\n",
            [
                "s.yaml:2: drivr: unknown key, and driver is given in line 3; remove this one",
                "s.yaml:5: streams.retension: unknown key; did you mean retention?",
            ],
        ),
        (
            "name: x\ndriver: redis-streams\nserver: {engine: valkey}\nstreams:\n  block_ms: 5\n",
            ["s.yaml:5: streams.block_ms: unknown key; did you mean blockMs?"],
        ),
        (
            "name: x\ndriver: redis-streams\nserver: {engine: 5}\nstreams: {read: plain, ack: each, waitReplicas: x}\n",
            [
                "s.yaml:3: server.engine: must be text, not 5; put it in quotes",
                "s.yaml:4: streams.waitReplicas: must be a whole number, not 'x'; write digits only",
                "s.yaml:4: streams.ack: plain reads have nothing to acknowledge; "
                "remove this line, or write read: group",
            ],
        ),
        (
            "name: x\ndriver: memory\nstreams:\n  retention: 10\n",
            [
                "s.yaml:4: streams.retention: 10 is not a retention; write auto, none, acknowledged, "
                "a number of entries from 1000, or maxlen or maxage below it"
            ],
        ),
        (
            "name: x\ndriver: redis-streams\nserver:\n  url: http://a:hunter2@h\n",
            [
                "s.yaml:4: server.url: 'http://a:***@h' does not begin with redis://, rediss:// or unix://; "
                "write redis://HOST:PORT/DB, rediss://... for TLS, or unix:///PATH"
            ],
        ),
    ],
)
def test_faults_of_a_setup_are_told_with_their_lines(text: str, faults: list[str]) -> None:
    """As for a workload: all at once, each with its place and the way out."""
    with pytest.raises(InputError) as caught:
        Setup.parse(text, "s.yaml")
    assert list(caught.value.messages) == faults


@pytest.mark.parametrize(
    "url",
    [
        "redis://127.0.0.1:6379",
        "redis://[::1]:6379/3",
        "rediss://ann:hunter2@db.example:6380/0",
        "unix:///run/redis.sock?db=1",
        "redis://:hunter2@host",
        "redis://host?db=1&client_name=me",
        "rediss://host?ssl_ca_certs=/etc/ca.pem",
    ],
)
def test_a_users_server_takes_the_place_of_the_setups(url: str) -> None:
    """The driver and its options stay, the server changes, and the setup's name says so."""
    setup = Setup.load("embedded").with_url(url)

    assert setup.server is not None
    assert (setup.name, setup.driver, setup.server.url, setup.server.engine) == ("url", "redis-streams", url, None)
    assert setup.is_users_server


@pytest.mark.parametrize(
    "url",
    [
        "http://ann:hunter2@host",
        "host:6379",
        "redis://",
        "redis://ann:hunter2@",
        "redis://host:99999",
        "redis://ann:hunter2@host/zero",
        "redis://ann:hunter2",
        "redis://[::1",
        "unix://",
        "redis://host?db=one",
        "",
    ],
)
def test_a_url_that_names_no_server_is_refused_without_its_password(url: str) -> None:
    """The message names the option and shows how a URL looks; what may be a password is not in it."""
    with pytest.raises(InputError, match=r"^--url: .*; write redis://HOST:PORT/DB") as caught:
        Setup.load("embedded").with_url(url)
    assert "hun" not in str(caught.value)


@pytest.mark.parametrize(
    "password", ["hun/ter2", "1/hunter2", "hun?ter2", "1#hunter2", "hun[ter2", "]hunter2", "hun ter2"]
)
@pytest.mark.parametrize("scheme", ["redis", "rediss", "unix"])
def test_a_password_with_a_sign_that_would_end_it_is_refused_whole(scheme: str, password: str) -> None:
    """Nothing of it is taken for a database or a host, and the message says how such signs are written."""
    with pytest.raises(InputError, match=r"/ as %2F, \? as %3F, # as %23") as caught:
        Setup.load("embedded").with_url(f"{scheme}://ann:{password}@host/0")
    assert "hun" not in str(caught.value)
    assert "ter2" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["redis://host:1/0?foo=bar", "redis://host?foo", "redis://host?db=1&foo=", "unix:///s?foo=1"]
)
def test_an_option_that_there_is_not_is_named(url: str) -> None:
    """With those that there are; options of TLS need rediss://."""
    with pytest.raises(InputError, match=r"^--url: .* has the option 'foo' that there is not; there are: .*db, "):
        Setup.load("embedded").with_url(url)
    with pytest.raises(InputError, match="'ssl_ca_certs'"):
        Setup.load("embedded").with_url("redis://host?ssl_ca_certs=x")


@pytest.mark.parametrize(
    ("url", "way_out"),
    [
        ("redis://host?socket_connect_timeout=soon", "socket_connect_timeout='soon'; write a number of seconds"),
        ("rediss://host?ssl_check_hostname=maybe", "ssl_check_hostname='maybe'; write true or false"),
        ("rediss://host?ssl_cert_reqs=some", "ssl_cert_reqs='some'; write none, optional or required"),
        ("rediss://host?ssl_min_version=TLSv1.2", "ssl_min_version='TLSv1.2'; write 771 for TLS 1.2, or 772"),
    ],
)
def test_a_value_that_an_option_can_not_have_is_told_with_those_that_it_can(url: str, way_out: str) -> None:
    """Before anything is started, not by a worker."""
    with pytest.raises(InputError) as caught:
        Setup.load("embedded").with_url(url)
    assert way_out in str(caught.value)


def test_a_password_with_a_question_mark_is_not_taken_for_an_option() -> None:
    """It is not repeated, be it well formed by chance."""
    with pytest.raises(InputError, match="--url") as caught:
        Setup.load("embedded").with_url("redis://ann:12?hunter=2@host")
    assert "hunter" not in str(caught.value)


def test_the_memory_setup_takes_no_url() -> None:
    """A server would stand beside the run, unused."""
    with pytest.raises(InputError, match="--url: the setup memory has no server; leave --url out"):
        Setup.load("memory").with_url("redis://host")


def test_no_password_is_shown() -> None:
    """Neither the resolved setup nor its repr holds it."""
    setup = Setup.load("embedded").with_url("redis://ann:hunter2@host:1/2")

    assert setup.spec()["server"] == {"url": "redis://ann:***@host:1/2"}
    assert "hunter2" not in f"{setup!r} {setup} {setup.spec()}"


CLIENT = "name: mine\ndriver: redis-streams\nserver:\n  engine: valkey\nclient:\n"


def test_batches_are_said_with_their_interval() -> None:
    """And read back from a result as they were."""
    setup = Setup.parse(CLIENT + "  pacing: batched\n  batchInterval: 2.5ms\n", "mine.yaml")

    assert (setup.client.pacing, setup.client.batch_ns) == ("batched", 2_500_000)
    assert setup.spec()["client"] == {"pacing": "batched", "batchInterval": "2.5ms"}
    assert Setup.load("embedded").client.batch_ns == 0


@pytest.mark.parametrize(
    ("client", "spec", "concurrency"),
    [
        ("", None, 0),
        ("  consumer: runner\n", {"consumer": "runner"}, 32),
        ("  consumer: runner\n  concurrency: 8\n", {"consumer": "runner", "concurrency": 8}, 8),
    ],
)
def test_who_consumes_is_part_of_what_a_setup_is(client: str, spec: object, concurrency: int) -> None:
    """So results of a Runner are not compared with others as if they were of one setup; what is usual is left out."""
    setup = Setup.parse(CLIENT + "  pacing: adaptive\n" + client, "mine.yaml")

    assert setup.client.runner_concurrency == concurrency
    assert setup.spec().get("client") == spec
    assert setup.requirements(1).runner is bool(concurrency)


@pytest.mark.parametrize(
    ("client", "message"),
    [
        ("  pacing: batched\n", "client.batchInterval: is missing with pacing: batched; add it, as 5ms"),
        (
            "  batchInterval: 5ms\n",
            "client.batchInterval: means nothing without pacing: batched; write that",
        ),
        ("  pacing: batched\n  batchInterval: 101ms\n", "'101ms' is out of range; write 0.1ms to 100ms"),
        ("  pacing: batched\n  batchInterval: 0.05ms\n", "'0.05ms' is out of range; write 0.1ms to 100ms"),
        ("  pacing: batched\n  batchInterval: 5\n", "batchInterval: "),
        ("  pacing: spinning\n", "spin"),
    ],
)
def test_a_pacing_that_cannot_be_is_refused(client: str, message: str) -> None:
    """With the way out."""
    with pytest.raises(InputError) as caught:
        Setup.parse(CLIENT + client, "mine.yaml")
    assert message in str(caught.value)
