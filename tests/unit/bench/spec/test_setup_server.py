"""Where a setup connects to: what may stand together, how URLs become one, and where a password comes from."""

import os
import threading
from pathlib import Path

import pytest

from ombdriver.bench.servers import secret_file
from ombdriver.bench.spec.credentials import connect_url, started_url
from ombdriver.bench.spec.overrides import parse
from ombdriver.bench.spec.setup import Setup
from ombdriver.bench.spec.setup_server import Server
from ombdriver.errors import InputError


def setup_of(server: str) -> Setup:
    """A setup with that part `server`."""
    return Setup.parse(f"name: x\ndriver: redis-streams\nserver: {server}\n", "s.yaml")


def server_of(server: str) -> Server:
    """The part `server` of such a setup."""
    found = setup_of(server).server
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("server", "fault"),
    [
        (
            "{engine: valkey, topology: ring}",
            "'ring' is not one of 'standalone', 'replicated', 'sentinel' or 'cluster'",
        ),
        ("{engine: valkey, topology: cluster, primaries: 2}", "2 is too small; write 3 or more"),
        ("{engine: valkey, primaries: 3}", "primaries are those of a cluster; write topology: cluster"),
        ("{engine: valkey, replicas: 1}", "a standalone server has none; write topology: replicated"),
        ("{engine: valkey, topology: sentinel, replicas: 0}", "0 is too small for topology: sentinel"),
        ("{engine: valkey, url: 'redis://h'}", "needs one of engine and url"),
        ("{engine: valkey, username: ann}", "username: not for a server that is started (engine); remove it"),
        ("{url: 'redis://h', topology: cluster}", "topology: not for a server that runs already (url); remove it"),
        ("{url: 'redis://h', config: {save: ''}}", "config: not for a server that runs already (url); remove it"),
        ("{url: ['redis://a', 'redis://b']}", "write cluster: true, or master: NAME"),
        ("{url: 'redis://a', cluster: true, master: m}", "cluster and master exclude each other"),
        ("{url: 'redis+cluster://a', cluster: true}", "write plain URLs"),
        ("{url: 'redis://h', tls: {caFile: ca.pem}}", "tls needs URLs with rediss://"),
        ("{url: 'redis://h', tls: true}", "tls is true for servers that are started"),
        ("{url: 'redis://h', passwordEnv: A, passwordFile: b}", "exclude each other"),
        ("{url: 'redis://h', sentinelPasswordEnv: A}", "needs master"),
        ("{url: 'redis://ann:hunter2@h'}", "holds a login; write username and passwordEnv or passwordFile"),
        ("{url: 'unix:///run/x.sock', cluster: true}", "write plain URLs: redis://HOST:PORT or rediss://HOST:PORT"),
        ("{url: ['redis://a', 'rediss://b'], cluster: true}", "the URLs have different schemes"),
        ("{url: ['redis://a/1', 'redis://b/2'], master: m}", "the URLs differ in database or options"),
        ("{url: ['rediss://a', 'rediss://b?ssl_ca_certs=x'], master: m}", "the URLs differ in database or options"),
        ("{url: 'redis://h/3', cluster: true}", "'redis://h/3' names a database, and a cluster has number 0 alone"),
        ("{url: 3}", "must be a URL or a list of them, not 3"),
        ("{engine: valkey, unixSocket: true, topology: cluster}", "unixSocket is for one server without TLS"),
        ("{engine: valkey, config: [1]}", "must hold options of the server, not [1]"),
        ("{engine: valkey, config: {save: {a: b}}}", "save is {a: 'b'}; give it one value, or a list of them"),
    ],
)
def test_what_can_not_stand_together_is_refused(server: str, fault: str) -> None:
    """With the way out, and without a password."""
    with pytest.raises(InputError) as caught:
        setup_of(server)
    assert fault in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_options_of_a_server_are_text_as_its_file_has_them() -> None:
    """YAML reads yes as true and 4 as a number; a list is an option that is written several times."""
    config = server_of("{engine: redis, config: {appendonly: yes, io-threads: 4, save: '', user: [a, b]}}").config

    assert config == {"appendonly": "yes", "io-threads": "4", "save": "", "user": ["a", "b"]}


@pytest.mark.parametrize(
    ("server", "url", "in_cluster"),
    [
        ("{url: 'redis://h:1/2'}", "redis://h:1/2", False),
        ("{url: ['redis://a:1', 'redis://b:2'], cluster: true}", "redis+cluster://a:1,b:2", True),
        ("{url: 'redis+cluster://a:1,b:2'}", "redis+cluster://a:1,b:2", True),
        ("{url: ['rediss://a:1/3', 'rediss://b'], master: m}", "rediss+sentinel://a:1,b/m/3", False),
        ("{url: 'unix:///run/x.sock'}", "unix:///run/x.sock", False),
    ],
)
def test_several_urls_become_one(server: str, url: str, in_cluster: bool) -> None:
    """Seeds of a cluster, or Sentinels with their master."""
    found = server_of(server)

    assert (connect_url(found, {}), found.in_cluster) == (url, in_cluster)


def test_a_password_comes_from_the_environment_or_a_file(tmp_path: Path) -> None:
    """Signs that mean something in a URL are escaped; the setup itself never holds it."""
    (tmp_path / "secret").write_text("p@ss/word\n")
    by_file = server_of(f"{{url: 'redis://h:1', username: ann, passwordFile: {tmp_path / 'secret'}}}")
    by_env = server_of("{url: ['redis://a', 'redis://b'], master: m, passwordEnv: PW, sentinelPasswordEnv: SPW}")

    assert connect_url(by_file, {}) == "redis://ann:p%40ss%2Fword@h:1"
    assert connect_url(by_env, {"PW": "x y", "SPW": "s&p"}) == ("redis+sentinel://:x%20y@a,b/m?sentinel_password=s%26p")
    assert "p@ss" not in f"{by_file!r}{by_file.spec()}"


@pytest.mark.parametrize(
    ("config", "url"),
    [
        ({}, "redis://h:1"),
        ({"requirepass": ""}, "redis://h:1"),
        ({"RequirePass": '"a b"'}, "redis://:a%20b@h:1"),
        ({"user": ["bob off", "default on >hunter2 ~* &* +@all"]}, "redis://:hunter2@h:1"),
        (
            {"user": ["default off", "ann on >pw ~* +@all"], "masteruser": "ann", "masterauth": "pw"},
            "redis://ann:pw@h:1",
        ),
    ],
)
def test_servers_that_are_started_are_logged_in_to_as_their_options_say(
    config: dict[str, str | list[str]], url: str
) -> None:
    """By the password of the default user, wherever it is set, else as whom replicas log in."""
    assert started_url("redis://h:1", config) == url


@pytest.mark.parametrize("name", ["requirepass", "RequirePass", "USER", "masterauth"])
def test_an_option_that_holds_a_password_is_not_in_the_spec(name: str) -> None:
    """In whatever case it is written, as the server takes it in any."""
    server = server_of(f"{{engine: valkey, config: {{{name}: default on >hunter2, save: ''}}}}")

    assert server.spec()["config"] == {name: "***", "save": ""}


def test_tls_files_of_a_url_become_options(tmp_path: Path) -> None:
    """As redis-py names them."""
    for name in ("ca.pem", "me.pem"):
        (tmp_path / name).touch()
    server = server_of(
        f"{{url: 'rediss://h', tls: {{caFile: {tmp_path}/ca.pem, certFile: {tmp_path}/me.pem, checkHostname: false}}}}"
    )

    url = connect_url(server, {})

    assert url.startswith("rediss://h?ssl_ca_certs=")
    assert url.endswith("&ssl_check_hostname=false")


@pytest.mark.parametrize(
    ("server", "fault"),
    [
        ("{url: 'redis://h', passwordEnv: NOT_THERE}", "the environment variable NOT_THERE is not set"),
        ("{url: 'redis://h', passwordFile: /nowhere}", "/nowhere can't be read (No such file or directory)"),
        ("{url: 'rediss://h', tls: {caFile: /nowhere}}", "server.tls.caFile: there is no file /nowhere"),
    ],
)
def test_what_is_missing_to_connect_is_named(server: str, fault: str) -> None:
    """Before anything starts."""
    with pytest.raises(InputError) as caught:
        connect_url(server_of(server), {})
    assert fault in str(caught.value)


@pytest.mark.parametrize(
    "url",
    ["redis+cluster://", "redis+sentinel://a,b", "redis://a,b", "redis+cluster://a/3", "redis+ring://a"],
)
def test_a_url_of_several_servers_is_checked(url: str) -> None:
    """Sentinels need their master's name, a cluster has one database, one server has one host."""
    with pytest.raises(InputError, match="--url"):
        Setup.load("embedded").with_url(url)


def test_a_setup_says_again_what_it_was_read_from() -> None:
    """So a stored result can be run again; passwords in the server's options are hidden."""
    text = (
        "{name: x, driver: redis-streams, server: {engine: valkey, topology: cluster, primaries: 4, replicas: 1,"
        " config: {requirepass: hunter2, maxmemory: 1gb}}, client: {connections: 2},"
        " streams: {retention: {maxage: 30s}, ack: each, assignment: exclusive, readCount: 7}}"
    )
    spec = Setup.parse(text, "x").spec()

    assert "hunter2" not in str(spec)
    assert Setup.parse(str(spec).replace("'", '"'), "again").spec() == spec


@pytest.mark.parametrize(
    ("part", "fault"),
    [
        ("streams: {read: plain, ack: batch}", "plain reads have nothing to acknowledge"),
        ("streams: {read: plain, assignment: exclusive}", "with plain reads every consumer sees all"),
        ("streams: {read: plain, retention: acknowledged}", "retention: acknowledged asks groups"),
        ("streams: {retention: {maxlen: 5000, maxage: 20s}}", "needs one of maxlen and maxage"),
        ("streams: {retention: {maxage: 1s}}", "'1s' is too short"),
        ("streams: {retention: {maxln: 5000}}", "unknown key maxln; known: maxlen, maxage, exact, acknowledged"),
        ("streams: {retention: {maxlen: 5000, exact: 1}}", "must be true or false"),
        ("streams: {waitReplicas: 1}\nclient: {pipelining: redis-py}", "waitReplicas needs client.pipelining: channel"),
        ("streams: {waitReplicas: 1}", "waitReplicas is 1, and each primary that is started has 0 replicas; lower it"),
        ("streams: {waitReplicas: 1}\nclient: {connections: 2}", "waitReplicas gives each producer connections of its"),
        ("streams: {waitTimeoutMs: 50}", "streams.waitTimeoutMs: means nothing without waitReplicas or waitAof"),
        ("streams: {read: plain, reclaimAfterMs: 500}", "nothing is pending with plain reads or ack: none"),
        ("streams: {assignment: exclusive, reclaimAfterMs: 500}", "nobody else reads a partition"),
        ("streams: {reclaimAfterMs: 500}\nclient: {pipelining: redis-py}", "reclaimAfterMs needs client.pipelining"),
        ("client: {concurrency: 8}", "client.concurrency: means nothing without consumer: runner; write that"),
        ("client: {consumer: runer}", "client.consumer"),
        ("client: {consumer: runner, concurrency: 0}", "client.concurrency"),
        (
            "client: {consumer: runner, pipelining: redis-py}",
            "pipelining: redis-py goes without it; write pipelining: ch",
        ),
        ("streams: {read: plain}\nclient: {consumer: runner}", "read is not for client.consumer: runner, which reads"),
        ("streams: {ack: none}\nclient: {consumer: runner}", "ack is not for client.consumer: runner, which ack"),
        ("streams: {ack: each}\nclient: {consumer: runner}", "remove ack, or consumer: runner"),
        (
            "streams: {readCount: 9}\nclient: {consumer: runner}",
            "readCount is not for client.consumer: runner, which a",
        ),
        (
            "streams: {assignment: exclusive}\nclient: {consumer: runner}",
            "which reads all partitions of a topic; remove",
        ),
        ("streams: {waitAof: all}", "streams.waitAof: all does not say how many replicas; add waitReplicas: 1"),
        ("streams: {waitAof: disk}", "streams.waitAof"),
        ("streams: {waitAof: primary}", "the servers that are started sync none; add appendonly: yes"),
        ("streams: {waitAof: primary}\nclient: {pipelining: redis-py}", "waitAof needs client.pipelining: channel"),
        ("streams: {waitAof: primary}\nclient: {connections: 2}", "waitAof gives each producer connections of its own"),
    ],
)
def test_faults_of_streams_and_client_are_told(part: str, fault: str) -> None:
    """What means nothing together is no setup."""
    with pytest.raises(InputError) as caught:
        Setup.parse(f"name: x\ndriver: redis-streams\nserver: {{engine: valkey}}\n{part}\n", "s.yaml")
    assert fault in str(caught.value)


@pytest.mark.parametrize(
    "server",
    ["{engine: valkey, topology: cluster}", "{engine: valkey, topology: sentinel}", "{url: 'redis://h', master: m}"],
)
def test_redis_py_is_for_one_server(server: str) -> None:
    """Told with the file, not by a worker; and a URL on the command line is held against it too."""
    text = f"name: x\ndriver: redis-streams\nserver: {server}\nclient: {{pipelining: redis-py}}\n"
    with pytest.raises(InputError, match=r"s\.yaml:4: client: pipelining: redis-py is for one server; write channel"):
        Setup.parse(text, "s.yaml")

    with pytest.raises(InputError, match=r"^--url: pipelining: redis-py is for one server; write channel"):
        Setup.load("redis-py-client").with_url("redis+sentinel://h/m")


def test_redis_py_is_asked_for_in_one_way() -> None:
    """As a driver's name it would be read without the number of its connections; another driver would be left out."""
    with pytest.raises(InputError, match="driver: write driver: redis-streams, and below client pipelining: redis-py"):
        Setup.parse("{name: x, driver: redis-py, server: {engine: valkey}}", "s")
    with pytest.raises(InputError, match="pipelining: redis-py takes the place of driver: redis-streams"):
        Setup.parse("{name: x, driver: theirs, client: {pipelining: redis-py}}", "s")


def test_the_memory_driver_takes_no_options_of_streams() -> None:
    """They would be read and mean nothing."""
    with pytest.raises(InputError, match="the memory driver has no streams, so ack means nothing"):
        Setup.parse("name: x\ndriver: memory\nstreams: {ack: each}\n", "s.yaml")


def test_a_password_may_come_through_a_pipe(tmp_path: Path) -> None:
    """From a program that is asked for it; all that it writes counts, and without a writer nobody waits for ever."""
    pipe = tmp_path / "secret"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_text, args=("hunter2\n",))
    writer.start()
    server = server_of(f"{{url: 'redis://h:1', username: ann, passwordFile: {pipe}}}")

    assert connect_url(server) == "redis://ann:hunter2@h:1"
    writer.join()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(secret_file, "PIPE_S", 0.05)
        with pytest.raises(InputError, match="a pipe into which nobody writes"):
            connect_url(server)


@pytest.mark.parametrize(
    ("written", "text"),
    [("0123", "0123"), ("1e9", "1e9"), ("0x10", "0x10"), ("1.10", "1.10"), ("-1", "-1"), ("true", "yes"), ("a", "a")],
)
def test_numbers_among_options_reach_a_server_as_they_are_written(written: str, text: str) -> None:
    """Also in a list, and by `--set`, where what the file has gives way."""
    given = [parse(f"setup.server.config.hz={written}")]
    config = f"{{a: {written}, b: [x, {written}], hz: 7}}"
    document = f"{{name: s, driver: redis-streams, server: {{engine: valkey, config: {config}}}}}"
    server = Setup.parse(document, "s", given).server

    assert server is not None
    assert server.config == {"a": text, "b": ["x", text], "hz": text}
