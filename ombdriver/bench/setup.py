"""Setup: which driver a run uses, on which server, with which stream options. Strict and frozen.

Knows no workload and starts nothing. A password stands in a server's URL only: never in `spec`, `repr` or a
message.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import parse_qsl, urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from ombdriver.bench.assignments import Assignment, assigned
from ombdriver.bench.faults import FieldNames, faults_of, sentences
from ombdriver.bench.retention_plan import LEAST_ENTRIES, Retention
from ombdriver.bench.text import nearest, shown
from ombdriver.bench.yamlfile import parse_document, read_text
from ombdriver.errors import InputError
from ombdriver.secrets import HIDDEN, redact_url

FOLDER = Path(__file__).parent / "setups"
"""Where the setups that come with the package lie."""

LOOPBACK_DRIVER = "memory"
URL_SETUP = "url"
"""What a setup is called once a server of the user's stands in it."""

_URL_OPTIONS = {"db", "username", "password", "client_name", "socket_connect_timeout", "socket_keepalive"}
_TLS_OPTIONS = {f"ssl_{name}" for name in ("ca_certs", "ca_path", "ca_data", "certfile", "keyfile", "password")} | {
    f"ssl_{name}" for name in ("cert_reqs", "check_hostname", "min_version", "ciphers")
}
"""What may stand behind the `?` of a URL, the second only with rediss://; the names are those of redis-py."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_STRICT = ConfigDict(strict=True, frozen=True, extra="forbid", hide_input_in_errors=True)


def check_url(url: str) -> str:
    """`url` as it is, if it can name a Redis server.

    Raises:
        ValueError: if its scheme is not redis, rediss or unix, or a part is missing, malformed or unknown.
    """
    told = redact_url(url) if "://" in url else re.sub(r".*@", f"{HIDDEN}@", url, flags=re.S)
    example = "write redis://HOST:PORT/DB, rediss://... for TLS, or unix:///PATH"
    try:
        parts = urlsplit(url)
        host, _port = parts.hostname, parts.port
    except ValueError:
        # The error's own words may quote what should have been a password.
        raise ValueError(f"{shown(told)} is not a URL; {example}") from None
    if parts.scheme not in ("redis", "rediss", "unix"):
        raise ValueError(f"{shown(told)} does not begin with redis://, rediss:// or unix://; {example}")
    known = _URL_OPTIONS | _TLS_OPTIONS if parts.scheme == "rediss" else _URL_OPTIONS
    for option, value in parse_qsl(parts.query, keep_blank_values=True):
        if option not in known:
            # After a `?` in a password, what looks like an option is a part of it.
            name = "an option" if "@" in parts.query else f"the option {shown(option)}"
            raise ValueError(f"{shown(told)} has {name} that there is not; there are: {', '.join(sorted(known))}")
        if option == "db" and not value.isdecimal():
            raise ValueError(f"{shown(told)} names database {shown(value)}, which is no number; {example}")
    if parts.scheme == "unix":
        if not parts.path.strip("/"):
            raise ValueError(f"{shown(told)} names no socket; {example}")
        return url
    if not host:
        raise ValueError(f"{shown(told)} names no host; {example}")
    database = parts.path.strip("/")
    if database and not database.isdecimal():
        raise ValueError(f"{shown(told)} names database {shown(database)}, which is no number; {example}")
    return url


class Server(BaseModel):
    """Where the driver connects to: a server that is started for the run, or one that runs already."""

    model_config = _STRICT

    engine: Literal["valkey"] | None = None
    url: Annotated[str, AfterValidator(check_url)] | None = Field(None, repr=False)

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if (self.engine is None) == (self.url is None):
            raise ValueError("needs one of engine and url; write engine: valkey, or url: redis://HOST:PORT")
        return self


class Streams(BaseModel):
    """Options of the streams themselves."""

    model_config = _STRICT

    retention: Retention = "auto"

    @field_validator("retention", mode="before")
    @classmethod
    def _known(cls, retention: object) -> object:
        number = isinstance(retention, int) and not isinstance(retention, bool)
        if retention in ("auto", "none") or (number and LEAST_ENTRIES <= retention <= 10**9):  # type: ignore[operator]
            return retention
        numbers = f"a number of entries from {LEAST_ENTRIES}"
        raise ValueError(f"{shown(retention)} is not a retention; write auto, none, or {numbers}")


class Setup(BaseModel):
    """A setup as validated. `load` finds it by name or path; `with_url` puts a server of the user's in it."""

    model_config = _STRICT

    name: str = Field(min_length=1, max_length=60)
    description: str = ""
    driver: str = Field(min_length=1)
    server: Server | None = Field(None, validate_default=True)
    streams: Streams = Streams()

    @field_validator("name")
    @classmethod
    def _short_name(cls, name: str) -> str:
        if not _NAME.fullmatch(name):
            raise ValueError(f"{shown(name)} can't stand in a file's name; write letters, digits, dots and dashes")
        return name

    @field_validator("server")
    @classmethod
    def _server_where_due(cls, server: Server | None, info: ValidationInfo) -> Server | None:
        if server is not None and info.data.get("driver") == LOOPBACK_DRIVER:
            raise ValueError("the memory driver has no server; remove this part, or write driver: redis-streams")
        if server is None and info.data.get("driver") == "redis-streams":
            raise ValueError("is missing; add it, with engine: valkey below it")
        return server

    @classmethod
    def load(cls, name_or_path: str, given: Sequence[Assignment] = ()) -> Self:
        """The setup called so among those that come with the package, or in that file, with what the command
        line puts into it.

        Raises:
            InputError: if there is none, or its file has faults; one sentence for each of them.
        """
        shipped = FOLDER / f"{name_or_path}.yaml"
        if name_or_path in setup_names():
            path = shipped
        elif (path := Path(name_or_path)).suffix not in (".yaml", ".yml"):
            near = nearest(name_or_path, setup_names())
            hint = f"did you mean {near}?" if near else f"there are: {', '.join(setup_names())}"
            raise InputError(f"--setup: there is no setup {name_or_path!r}; {hint}")
        return cls.parse(read_text(path), str(path), given)

    @classmethod
    def parse(cls, text: str, source: str, given: Sequence[Assignment] = ()) -> Self:
        """The setup of a file's text; `source` is what messages call the file.

        Raises:
            InputError: if it has faults; one sentence for each of them.
        """
        document = assigned(parse_document(text, source), given, "setup")
        faults = list(document.faults)
        try:
            setup = cls.model_validate(document.data)
        except ValidationError as error:
            faults += faults_of(error, document.lines, _FILE_NAMES)
        if faults:
            raise InputError(sentences(source, faults))
        return setup

    def with_url(self, url: str) -> Self:
        """This setup with the server at `url` in place of its own, and called `url`.

        Raises:
            InputError: if `url` names no Redis server, or this setup's driver has none.
        """
        if self.loopback:
            raise InputError(f"--url: the setup {self.name} has no server; leave --url out, or choose another --setup")
        try:
            server = Server(url=check_url(url))
        except ValueError as error:
            raise InputError(f"--url: {error}") from None
        return self.model_copy(update={"name": URL_SETUP, "description": "a server of the user's", "server": server})

    @property
    def loopback(self) -> bool:
        """Whether the driver lives within one process, which then holds producers and consumers."""
        return self.driver == LOOPBACK_DRIVER

    @property
    def is_users_server(self) -> bool:
        """Whether the server is the user's own, to be treated with care."""
        return self.server is not None and self.server.url is not None

    def spec(self) -> dict[str, Any]:
        """The setup as resolved, ready for JSON; without a password."""
        data = self.model_dump(exclude_none=True)
        if self.server is not None and self.server.url is not None:
            data["server"]["url"] = redact_url(self.server.url)
        return data


def setup_names() -> list[str]:
    """The names of the setups that come with the package, sorted."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


_FILE_NAMES = FieldNames.of(Setup, server=Server, streams=Streams)
