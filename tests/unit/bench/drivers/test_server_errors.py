"""What the server's refusals become: an error of ours, with the server's own words, that ends with the way out."""

import pytest

from ombdriver.bench.drivers.redis_streams.errors import (
    _ADVICE,
    Endpoint,
    map_errors,
    way_out,
    with_way_out,
    words_of,
)
from ombdriver.errors import ServerError
from ombdriver.messaging.errors import (
    AuthenticationError,
    NoPermissionError,
    NotSentError,
    OutcomeUnknownError,
    RedisError,
)

FILE = Endpoint("redis://h", "server.url in s.yaml:3", "the environment variable PW (server.passwordEnv in s.yaml:4)")
OMB = Endpoint("redis://h", "redisHost in d.yaml:3", "redisPass in d.yaml:5")


@pytest.mark.parametrize(
    ("server", "text", "end"),
    [
        (
            "rediss://h",
            "[SSL: CERTIFICATE_VERIFY_FAILED] unable to get local issuer (_ssl.c:1).",
            "; name the authority",
        ),
        (
            "rediss://h",
            "certificate verify failed: self-signed certificate (_ssl.c:1)",
            "signed by itself, so name the",
        ),
        ("rediss://h", "self-signed certificate in certificate chain: certificate verify failed", "name the authority"),
        ("rediss://h", "certificate verify failed: certificate has expired (_ssl.c:1)", "renew the certificate"),
        ("rediss://h", "certificate verify failed: certificate is not yet valid (_ssl.c:1)", "see the clocks"),
        (
            "rediss://h",
            "Hostname mismatch, certificate is not valid for 'h'",
            "give up that check by ?ssl_check_hostname",
        ),
        ("rediss://h", "IP address mismatch, certificate is not valid for '::1'", "a name that is in the certificate"),
        ("rediss://h", "[SSL: TLSV13_ALERT_CERTIFICATE_REQUIRED] x", "for a certificate of ours: ?ssl_certfile=FILE"),
        ("rediss://h", "Timeout connecting to server", "server; is the server up, and the URL right? if the port has"),
        ("rediss://h", "[SSL: WRONG_VERSION_NUMBER] wrong version number", "number; if the port has no TLS, write"),
        ("redis://h", "Error while reading from h:1 : (104, 'reset')", "is one for TLS, write rediss://"),
        ("redis://h", "Connection closed by server.", "by server; is the server up, and the URL right? if the port is"),
        ("redis://h", "Timeout connecting to server", "server; is the server up, and the URL right?"),
        (
            "redis://h",
            "Protocol error: invalid bulk length",
            "length; a message is larger than the server takes: raise its proto-max-bulk-len, or lower messageSize",
        ),
        ("redis://h/99", "DB index is out of range", "range; write a database that the server has"),
        ("redis://h", "Hash slot not served", "served; assign every slot of the cluster"),
        (
            "redis+cluster://h",
            "This instance has cluster support disabled",
            "disabled; the server stands alone: write redis://",
        ),
        ("rediss://h", "Error No cipher can be selected. connecting to h:1", "h:1; correct ssl_ciphers"),
        (
            "redis://h",
            "You can't write against a read only replica.",
            "give the address of its primary: correct the URL",
        ),
        ("redis://h", "max number of clients reached", "reached; raise maxclients on the server"),
        ("redis://h", "DENIED Redis is running in protected mode", "mode; the server takes no connections from other"),
        ("redis://h", "MOVED 3999 ?:6381", "write redis+cluster://HOST:PORT"),
        ("redis://h", "h:1: it speaks HTTP (HTTP/1.1 400 Bad Request)", "give the port of a Redis server: correct the"),
        ("redis://h", "h:1: it speaks TLS", "TLS; write rediss:// in the URL"),
        ("rediss://h", "h:1: it answers without TLS (+PONG)", "; write redis:// in the URL"),
        ("redis://h", "h:1: it takes connections and says nothing", "is the server up, and the URL right?"),
        ("redis://h", "MISCONF Redis is configured to save RDB snapshots", "see its log"),
        ("redis://h", "unknown command 'XADD', with args beginning with:", "does not have that command"),
        (
            "redis+cluster://h",
            "10.0.0.5:1, a server of the cluster, as h:1 tells: Error 111 connecting to 10.0.0.5:1",
            "cluster-announce-ip",
        ),
        (
            "redis+sentinel://h/m",
            "the master 10.0.0.5:1, as the Sentinels tell: Timeout connecting to server",
            "replica-announce-ip",
        ),
        (
            "redis+sentinel://h/m",
            "No master found for 'm' : <Redis(...)> - AuthenticationError('Authentication required.')",
            "for 'm'; give the login of the Sentinels: sentinelUsername",
        ),
    ],
)
def test_an_error_of_the_server_ends_with_the_way_out(server: str, text: str, end: str) -> None:
    """By its text, and by how the URL begins; its own words come first."""
    with pytest.raises(ServerError) as raised, map_errors(Endpoint(server)):
        raise RedisError(text)

    assert str(raised.value).startswith(f"{server}: {text.partition(' : <')[0].rstrip('.')}; ")
    assert end in str(raised.value)


def test_an_advice_is_given_once() -> None:
    """What the library says is left out where there is better; else it stays."""
    with pytest.raises(ServerError) as raised, map_errors(Endpoint("rediss://h")):
        raise NotSentError("SSL trouble; is it up?") from OSError("SSL trouble")
    assert str(raised.value) == "rediss://h: SSL trouble; if the port has no TLS, write redis:// in the URL"

    with pytest.raises(ServerError, match=r"^redis://h: odd; is it up\?$"), map_errors(Endpoint("redis://h")):
        raise NotSentError("odd; is it up?") from OSError("odd")


@pytest.mark.parametrize(
    ("error", "by_url", "by_file", "by_omb"),
    [
        (
            OutcomeUnknownError("the connection was lost after the command was sent: [Errno 104] Connection reset"),
            "see what closes connections there: maxmemory-clients, client-output-buffer-limit, timeout, or what stands"
            " before the server; is the server up, and the URL right?",
            "before the server; is the server up, and server.url in s.yaml:3 right?",
            "before the server; is the server up, and redisHost in d.yaml:3 right?",
        ),
        (
            NotSentError("Error 111 connecting to h:1"),
            "is the server up, and the URL right?",
            "is the server up, and server.url in s.yaml:3 right?",
            "is the server up, and redisHost in d.yaml:3 right?",
        ),
        (
            AuthenticationError("invalid username-password pair or user is disabled.", status_code="WRONGPASS"),
            "check user and password in the URL; a setup file has them as username and passwordEnv or passwordFile",
            "check the environment variable PW (server.passwordEnv in s.yaml:4)",
            "check redisPass in d.yaml:5",
        ),
        (
            AuthenticationError("Authentication required.", status_code="NOAUTH"),
            "write redis://USER:PASSWORD@HOST:PORT, or a setup file with username and passwordEnv or passwordFile",
            "name it by passwordEnv or passwordFile beside server.url in s.yaml:3",
            "add redisPass, and redisUser if there is one, beside redisHost in d.yaml:3",
        ),
        (
            RedisError("DB index is out of range"),
            "write a database that the server has, as /0, in the URL",
            "write a database that the server has, as /0, in server.url in s.yaml:3",
            "write a database that the server has, as /0, in redisHost in d.yaml:3",
        ),
        (
            RedisError("This instance has cluster support disabled"),
            "the server stands alone: write redis:// in the URL",
            "remove cluster: true beside server.url in s.yaml:3, or +cluster in it",
            "remove cluster: true beside redisHost in d.yaml:3, or +cluster in it",
        ),
        (
            NoPermissionError("User ann has no permissions to run the 'xadd' command", status_code="NOPERM"),
            "let that user do it (ACL SETUSER)",
            "let that user do it (ACL SETUSER)",
            "let that user do it (ACL SETUSER)",
        ),
    ],
)
def test_what_gave_the_address_or_the_login_is_named(error: Exception, by_url: str, by_file: str, by_omb: str) -> None:
    """The URL only where it came from the URL; else file and line, or the variable."""
    for endpoint, expected in ((Endpoint("redis://h"), by_url), (FILE, by_file), (OMB, by_omb)):
        said = with_way_out(error, endpoint)

        assert expected in said
        assert ("the URL" in said) is ("the URL" in expected)


def test_the_code_of_a_refusal_is_told() -> None:
    """As the server writes it, so that it can be looked up; redis-py takes it off."""
    assert words_of(NoPermissionError("No permissions to access a key", status_code="NOPERM")) == (
        "NOPERM No permissions to access a key"
    )
    assert words_of(RedisError("MISCONF x")) == "MISCONF x"


def test_long_words_are_cut_at_the_end_of_a_sentence() -> None:
    """What DENIED says fills a screen."""
    said = with_way_out(RedisError("DENIED Redis is running in protected mode. " + "More. " * 100), FILE)

    assert said.startswith("DENIED Redis is running in protected mode; the server takes no connections")


def test_a_server_that_the_run_started_has_no_url_to_correct() -> None:
    """Its log says more."""
    said = with_way_out(NotSentError("Error 111 connecting to 127.0.0.1:1"), Endpoint("redis://127.0.0.1:1", "", ""))

    assert said.endswith("see the log of the server")


@pytest.mark.parametrize("row", _ADVICE, ids=lambda row: row.words[:40])
@pytest.mark.parametrize("endpoint", [Endpoint("redis://h"), FILE, OMB, Endpoint("rediss://h", "", "")])
def test_every_advice_can_be_said_of_every_server(row: object, endpoint: Endpoint) -> None:
    """No place in braces is left open, nothing is said twice, and no sentence begins with an empty word."""
    text = row.advice.format(**endpoint.wording())  # type: ignore[attr-defined]

    assert "{" not in text.replace("{caFile: FILE}", "").replace("{certFile: FILE, keyFile: FILE}", "").replace(
        "{checkHostname: false}", ""
    )
    assert "  " not in text
    assert not text.startswith((" ", ";"))
    assert not text.endswith((".", ";", " "))


def test_of_words_that_nobody_knows_nothing_is_said() -> None:
    """No advice is better than a wrong one."""
    assert way_out("ERR flux capacitor not charged", FILE) is None
    assert with_way_out(RedisError("flux."), FILE) == "flux"
