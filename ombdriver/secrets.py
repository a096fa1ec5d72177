"""Takes passwords out of URLs, of texts that contain URLs and of arguments, before anything is shown, logged or stored.

Knows how a URL carries a password, and which options of a server are one. Must stay free of other imports of this
package, and never raises: it is applied to text that a user mistyped. In doubt it hides more, not less.
"""

import re

HIDDEN = "***"
"""What stands where a password stood."""

ENCODED = (
    "in a user name or password write these signs percent-encoded: / as %2F, ? as %3F, # as %23, [ as %5B, ] as %5D, "
    "@ as %40, : as %3A, % as %25, a space as %20"
)
"""The way out where a URL can't be told apart."""

SECRET_OPTIONS = ("requirepass", "masterauth", "primaryauth", "user", "tls-key-file-pass", "masteruser", "primaryuser")
"""Options of a server that hold a password, or may; a server takes them in any case."""

_ASSIGNMENT = re.compile(r"(?P<path>(?:--set=)?setup\.[^=]*)=.*", re.S)
_NAMES_SECRET = re.compile(rf"(?<![a-z-])(?:{'|'.join(SECRET_OPTIONS)})(?![a-z-])", re.I)
# A path makes one slash of two.
_SCHEME = r"(?:[a-z][a-z0-9+.-]*://|(?:rediss?|valkeys?|unix)[a-z+-]*:/)"
# The user part ends at the LAST '@': a password in which '@', '/' or '#' was left unescaped is hidden whole.
_USER_AND_PASSWORD = re.compile(rf"(?P<scheme>{_SCHEME})(?P<user>[^:/?#@\s]*):(?P<password>.*)@", re.I | re.S)
_USER_ALONE = re.compile(rf"(?P<scheme>{_SCHEME})(?P<user>[^:/?#@]+)@", re.I)
# A port that is no number: the '@' after a password was forgotten.
_NO_PORT = re.compile(
    r"(?P<start>[a-z][a-z0-9+.-]*://[^:/?#@\[\]]*:)"
    r"(?!\d+(?:,(?:[^:/?#@\[\],]+|\[[0-9a-f:.]+\])(?::\d+)?)+(?:[/?#]|$))"  # HOST:PORT,HOST:PORT, as of a cluster
    r"(?=[^/?#]*[^0-9/?#])[^/?#]*",
    re.I,
)
# Behind a URL; and anywhere in the connection strings of other clients, HOST:PORT,password=…,ssl=True
_QUERY = re.compile(r"(?P<key>(?:^|[?&;,\s])(?:[a-z_]*password|[a-z_]*passwd|pwd|auth|token)=)[^&;#\s]*", re.I)
# Options behind the host that are no password. All others may be one that is mistyped.
_PLAIN = r"db|client_name|protocol|(?:sentinel_)?username|ssl_(?!password)[a-z_]+|socket_[a-z_]+|[a-z_]*timeout"
_MISTYPED = re.compile(rf"(?P<key>[?&](?!(?:{_PLAIN})=)[^=&#\s]*=)[^&#\s]*", re.I)
_LOGIN_OPTION = re.compile(r"[?&;](?:[a-z_]*password|[a-z_]*passwd|[a-z_]*username|auth|token)=[^&;@]*$", re.I)
# As our own messages show what to write; a login that anybody has is not called so.
_EXAMPLE = re.compile(rf"{_SCHEME}(?:USER:PASSWORD@|\[USER:PASSWORD@\]|\[\[USER\]:PASSWORD@\])HOST(?![A-Z])[^@]*")
_MARKS, _ENDS = "\"'`<(\u201c\u2018", "\"'`>);,\u201d\u2019"
_URL_IN_TEXT = re.compile(rf"{_SCHEME}\S+", re.I)


def ambiguous_login(url: str) -> str | None:
    """What makes it uncertain where `url` or its login ends, and what to write; None if it is certain.

    Whoever parses a URL asks this first: a password with `/`, `?` or `#` in it ends the host part early, so that the
    rest of the password would be taken for a database or an option, sent to the wrong host, and quoted in messages.
    The text quotes nothing of the URL.
    """
    _, separator, rest = url.partition("://")
    if not separator:
        return None
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    behind = rest[len(authority) :]
    userinfo = rest.rpartition("@")[0] if "@" in behind else authority.rpartition("@")[0]
    path, _, query = behind.partition("?")
    login_ends_late = "@" in path and not (authority == "" and url.lower().startswith("unix:"))
    for before in query.split("@")[:-1] if "@" in query else ():
        login_ends_late = login_ends_late or not _LOGIN_OPTION.search(f"?{before}")
    if around := _around(url):
        return f"has {around} before or behind it; write the URL without it"
    if re.search(r"[\s\x00-\x1f\x7f]", url):
        what = "holds white space or a control character"
    elif "#" in url:
        what = "holds a '#'"
    elif login_ends_late:
        what = "has an '@' behind its host"
    elif re.search(r"[\[\]]", userinfo):
        what = "holds a bracket in its login"
    else:
        return None
    return f"{what}; {ENCODED}"


def _around(url: str) -> str:
    """What stands around `url` and is none of it, as the quotation marks of an env file; or nothing."""
    if url != url.strip():
        return "white space"
    if url[:1] in _MARKS or (url[-1:] in _ENDS and "?" not in url):
        return "a quotation mark, a bracket or a comma"
    return ""


def redact_url(url: str) -> str:
    """`url` with `***` in place of its password, wherever a URL may carry one.

    A user name without a password is hidden too: `redis://secret@host` is how people mistype `redis://:secret@host`.
    """
    shown, found = _without_login(url)
    return shown if found else _NO_PORT.sub(rf"\g<start>{HIDDEN}", shown)


def redact_host(host: str) -> str:
    """What was given as a host, without the login that somebody may have written before it."""
    return redact_url(host if "://" in host else re.sub(".*@", f"{HIDDEN}@", host, flags=re.S))


def redact_text(text: str) -> str:
    """`text` with the login of every URL in it hidden; a URL ends at the first white space.

    Unlike `redact_url` it leaves `redis://HOST:PORT` and `redis://USER:PASSWORD@HOST:PORT` alone: our own messages say
    such things.
    """
    return _URL_IN_TEXT.sub(
        lambda found: found[0] if _EXAMPLE.fullmatch(found[0]) else _without_login(found[0])[0], text
    )


def redact_argument(argument: str) -> str:
    """An argument of the command line, taken as a whole: a password may hold spaces.

    Of `--set setup.…=VALUE` the whole value is hidden when an option of a server that holds a password is named.
    """
    found = _ASSIGNMENT.fullmatch(argument)
    if found and _NAMES_SECRET.search(argument):
        return f"{found['path']}={HIDDEN}"
    return redact_url(argument) if re.search(_SCHEME, argument, re.I) else argument


def _without_login(url: str) -> tuple[str, bool]:
    """`url` without its secrets, and whether a login was before its host."""
    url = _QUERY.sub(rf"\g<key>{HIDDEN}", url)
    url, found = _USER_AND_PASSWORD.subn(rf"\g<scheme>\g<user>:{HIDDEN}@", url)
    if not found:
        url, found = _USER_ALONE.subn(rf"\g<scheme>{HIDDEN}@", url)
    return _MISTYPED.sub(rf"\g<key>{HIDDEN}", url), found > 0
