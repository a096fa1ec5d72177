"""What a server says in place of an answer, as an error of ours: its own words, where it is, and the way out. Pure.

The one place of the harness where that is decided, by a table from parts of the words to advice. Knows what gave the
address and the login, so that it names a file and its line, a variable or an option, and "the URL" only where there is
one. Connects to nothing: what a port is that is no Redis server's, `diagnosis` finds out.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from ombdriver.bench.limits import limit_reached
from ombdriver.bench.servers.url import THE_URL
from ombdriver.errors import ServerError
from ombdriver.messaging.errors import AuthenticationError, NotSentError, RedisError

LONGEST_WORDS = 240
"""Characters of a server's own words that are told; of longer ones their first sentence."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A server, as messages name it.

    Attributes:
        url: without its password.
        address_from: what gives the address, as `server.url in s.yaml:3`; empty for a server that the run started.
        login_from: what gives user and password; empty without a login.
    """

    url: str
    address_from: str = THE_URL
    login_from: str = THE_URL

    def __str__(self) -> str:
        return self.url

    @property
    def has_tls(self) -> bool:
        """Whether TLS is spoken to it."""
        return self.url.startswith("rediss")

    def wording(self) -> dict[str, str]:
        """What stands in the braces of an advice."""
        in_url = self.address_from == THE_URL
        address = self.address_from or "the setup"
        up = f"is the server up, and {address} right?" if self.address_from else "see the log of the server"
        return {
            "address": address,
            "up": up,
            "login": (
                "user and password in the URL; a setup file has them as username and passwordEnv or passwordFile"
                if self.login_from == THE_URL
                else self.login_from or "user and password"
            ),
            "give": (
                "write redis://USER:PASSWORD@HOST:PORT, or a setup file with username and passwordEnv or passwordFile"
                if in_url
                else f"name it by passwordEnv or passwordFile beside {address}"
                if "redisHost" not in address
                else f"add redisPass, and redisUser if there is one, beside {address}"
            ),
            "ca": "?ssl_ca_certs=FILE" if in_url else f"tls: {{caFile: FILE}} beside {address}",
            "cert": (
                "?ssl_certfile=FILE&ssl_keyfile=FILE"
                if in_url
                else f"tls: {{certFile: FILE, keyFile: FILE}} beside {address}"
            ),
            "alone": (
                "write redis:// in the URL" if in_url else f"remove cluster: true beside {address}, or +cluster in it"
            ),
            "no_names": "?ssl_check_hostname=false" if in_url else f"tls: {{checkHostname: false}} beside {address}",
        }


@dataclass(frozen=True, slots=True)
class _Row:
    """An advice.

    Attributes:
        words: a part of what the server, or the client, said; a regular expression, in any case of letters.
        advice: what to do about it; see `Endpoint.wording` for what stands in braces.
        tls: whether it is for TLS alone, or for its absence; None for both.
    """

    words: str
    advice: str
    tls: bool | None = None


_PEM_FILES = "name PEM files: the authority's certificate (ssl_ca_certs), our own (ssl_certfile), its key (ssl_keyfile)"
_UNREACHED = r"(Error \S+ connecting|Timeout connecting|no answer to the handshake|did not answer)"
_NOT_REDIS = "give the port of a Redis server: correct {address}"
_ADVICE: Sequence[_Row] = (
    # -- what listens there, as `diagnosis` tells it
    _Row("it speaks TLS", "write rediss:// in {address}", tls=False),
    _Row("it answers without TLS", "write redis:// in {address}", tls=True),
    _Row("it speaks|it closes every connection", _NOT_REDIS),
    _Row("it takes connections and says nothing", "see what listens there, or stands before it; {up}"),
    # -- certificates
    _Row(
        "(Hostname|IP address) mismatch",
        "connect by a name that is in the certificate: correct {address}; or give up that check by {no_names}, while"
        " the authority is still checked",
    ),
    _Row("certificate has expired", "renew the certificate of the server; if it is new, the clock here is wrong"),
    _Row("certificate is not yet valid", "see the clocks of this machine and of the one that made the certificate"),
    _Row("self[- ]signed certificate(?! in)", "it is signed by itself, so name the certificate as its authority: {ca}"),
    _Row("certificate verify failed|CERTIFICATE_VERIFY_FAILED", "name the authority that signed the certificate: {ca}"),
    _Row("certificate.required", "the server asks for a certificate of ours: {cert}"),
    _Row("alert.(unknown.ca|bad.certificate)", "the server does not trust our certificate: {cert}"),
    _Row("X509|PEM", _PEM_FILES, tls=True),
    _Row("KEY_VALUES_MISMATCH", "name the key that belongs to the certificate (ssl_keyfile)", tls=True),
    _Row("No cipher can be selected", "correct ssl_ciphers", tls=True),
    _Row("cadata", "give PEM text as ssl_ca_data, or a file as ssl_ca_certs", tls=True),
    # -- addresses that servers tell
    _Row(
        f"a server of the cluster, as .* tells.*{_UNREACHED}",
        "the cluster tells an address that can't be reached from here, as that of a container: set"
        " cluster-announce-ip (and cluster-announce-port) on each of its servers to one that can, use the host's"
        " network for them, or run where that address can be reached",
    ),
    _Row(
        f"the master .* as the Sentinels tell.*{_UNREACHED}",
        "the Sentinels tell an address that can't be reached from here, as that of a container: set replica-announce-ip"
        " on the servers and sentinel announce-ip on the Sentinels to one that can, use the host's network for them, or"
        " run where that address can be reached",
    ),
    # -- connecting
    _Row(
        "protected mode",
        "the server takes no connections from other machines while it has no password: set one there (requirepass) and"
        " {give}, or run on its own machine",
    ),
    _Row(
        "max number of clients",
        "raise maxclients on the server, see who else is connected (CLIENT LIST), or use fewer connections: fewer"
        " consumers, or client.connections",
    ),
    _Row(
        "Name or service not known|name resolution|getaddrinfo|No address associated", "correct the host in {address}"
    ),
    _Row("Timeout connecting", "{up} if the port has no TLS, write redis://", tls=True),
    _Row("SSL", "if the port has no TLS, write redis:// in {address}", tls=True),
    _Row(
        "Error while reading|Connection closed by server", "{up} if the port is one for TLS, write rediss://", tls=False
    ),
    _Row(
        "No master found.*(AuthenticationError|NOAUTH|WRONGPASS)",
        "give the login of the Sentinels: sentinelUsername, and sentinelPasswordEnv or sentinelPasswordFile, in a setup"
        " file, or ?sentinel_username=USER&sentinel_password=PASSWORD in a URL",
    ),
    _Row("No master found", "are the Sentinels up, and is that what they call the master?"),
    _Row(
        "connection was lost after the command was sent",
        "see what closes connections there: maxmemory-clients, client-output-buffer-limit, timeout, or what stands"
        " before the server; {up}",
    ),
    _Row(f"{_UNREACHED}|Connection refused|connection was lost", "{up}"),
    # -- logging in
    _Row("Authentication required", "the server asks for a password: {give}"),
    _Row(
        "without any password configured|no password is set", "the server has no password, so give it none: see {login}"
    ),
    _Row("invalid username-password pair|invalid password|WRONGPASS", "check {login}"),
    _Row(
        "no permissions",
        "let that user do it (ACL SETUSER); docs/how-to/your-server.md lists what a run needs",
    ),
    _Row("DB index is out of range", "write a database that the server has, as /0, in {address}"),
    # -- the server is another one than was thought
    _Row("Hash slot not served", "assign every slot of the cluster (redis-cli --cluster check HOST:PORT)"),
    _Row("cluster is down", "look at it with redis-cli --cluster check HOST:PORT"),
    _Row("cluster support disabled", "the server stands alone: {alone}"),
    _Row("unknown command .?CLUSTER", "this is a Sentinel: write redis+sentinel://HOST:PORT/MASTER, or master: NAME"),
    _Row("unknown command .?SENTINEL", "this is no Sentinel: give the addresses of Sentinels, or write redis://"),
    _Row(
        "MOVED|CROSSSLOT",
        "the server is part of a cluster: write redis+cluster://HOST:PORT, or cluster: true in the setup",
    ),
    _Row("read only replica", "give the address of its primary: correct {address}"),
    _Row("unknown (sub)?command", "the server, or who provides it, does not have that command: use another one"),
    # -- the state of the server
    _Row(
        "command not allowed when used memory",
        "the server is full: raise its maxmemory, set a smaller retention, or lower the rate or the duration",
    ),
    _Row(
        "invalid (multi)?bulk length",
        "a message is larger than the server takes: raise its proto-max-bulk-len, or lower messageSize",
    ),
    _Row("MISCONF", "the server can't save to its disk: see its log, or set stop-writes-on-bgsave-error no there"),
    _Row("NOREPLICAS", "connect its replicas, or lower min-replicas-to-write there"),
    _Row("BUSY .*script", "a script holds the server up: wait for its end, or end it there by SCRIPT KILL"),
    _Row("loading the dataset", "wait until the server has loaded its data"),
    _Row("MASTERDOWN|MASTER is down", "see why the replica has lost its primary, or correct {address}"),
    _Row("WRONGTYPE", "another program has put something else there: give the run a server or a database of its own"),
)
"""What to do about an error; the first row that fits counts."""


@contextmanager
def map_errors(endpoint: Endpoint) -> Iterator[None]:
    """Errors of the library and of the server at `endpoint` become ours.

    Raises:
        ServerError: if the server can't be reached, refuses the login or a command.
    """
    try:
        yield
    except RedisError as error:
        raise ServerError(f"{endpoint}: {with_way_out(error, endpoint)}") from error


def with_way_out(error: BaseException, endpoint: Endpoint) -> str:
    """What the server said, or what became of the connection, with what to do about it as far as that is known."""
    if (limit := limit_reached(error)) is not None:
        return limit
    # The library's own advice gives way to one that knows more.
    cause = error.__cause__ if isinstance(error, NotSentError) else None
    said = words_of(cause or error)
    advice = way_out(said, endpoint)
    return _short(words_of(error)) if advice is None else f"{_short(said)}; {advice}"


def words_of(error: BaseException) -> str:
    """What the server said, with the code that redis-py takes off, so that it can be looked up."""
    text, code = str(error), getattr(error, "status_code", None)
    return f"{code} {text}" if code not in (None, "ERR") and not text.startswith(str(code)) else text


def way_out(words: str, endpoint: Endpoint) -> str | None:
    """What to do about these words of a server; None where nothing is known."""
    for row in _ADVICE:
        if row.tls in (None, endpoint.has_tls) and re.search(row.words, words, re.I | re.S):
            return row.advice.format(**endpoint.wording())
    return None


def is_name_mismatch(words: str) -> bool:
    """Whether a certificate was refused for the names in it."""
    return re.search("(Hostname|IP address) mismatch", words) is not None


def is_unclear(error: BaseException) -> bool:
    """Whether a failed first connection may be due to a port that is no Redis server's, or speaks otherwise."""
    cause = error.__cause__ if isinstance(error, NotSentError) and error.__cause__ else error
    return not isinstance(cause, AuthenticationError) and getattr(cause, "status_code", None) is None


def _short(words: str) -> str:
    """`words` without what only Python says, on one line, and not too long."""
    words = " ".join(words.partition(" : <")[0].split())  # redis-py tells of its Sentinels as Python shows them
    if len(words) > LONGEST_WORDS:
        first = words.partition(". ")[0]
        words = first if len(first) <= LONGEST_WORDS else words[:LONGEST_WORDS] + "..."
    return words.rstrip(".")
