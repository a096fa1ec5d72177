"""Takes passwords out of URLs, of texts that contain URLs and of arguments, before anything is shown, logged or stored.

Knows how a URL carries a password, and which options of a server are one. Must stay free of other imports of this
package, and never raises: it is applied to text that a user mistyped. In doubt it hides more, not less.
"""

import re

HIDDEN = "***"
"""What stands where a password stood."""

SECRET_OPTIONS = ("requirepass", "masterauth", "primaryauth", "user", "tls-key-file-pass", "masteruser", "primaryuser")
"""Options of a server that hold a password, or may; a server takes them in any case."""

_ASSIGNMENT = re.compile(r"(?P<path>(?:--set=)?setup\.[^=]*)=.*", re.S)
_NAMES_SECRET = re.compile(rf"(?<![a-z-])(?:{'|'.join(SECRET_OPTIONS)})(?![a-z-])", re.I)
# The user part ends at the LAST '@': a password in which '@', '/' or '#' was left unescaped is hidden whole.
_USER_AND_PASSWORD = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*://)(?P<user>[^:/?#@\s]*):(?P<password>.*)@", re.I | re.S)
_USER_ALONE = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*://)(?P<user>[^:/?#@]+)@", re.I)
# A port that is no number: the '@' after a password was forgotten.
_NO_PORT = re.compile(
    r"(?P<start>[a-z][a-z0-9+.-]*://[^:/?#@\[\]]*:)"
    r"(?!\d+(?:,(?:[^:/?#@\[\],]+|\[[0-9a-f:.]+\])(?::\d+)?)+(?:[/?#]|$))"  # HOST:PORT,HOST:PORT, as of a cluster
    r"(?=[^/?#]*[^0-9/?#])[^/?#]*",
    re.I,
)
_QUERY = re.compile(r"(?P<key>[?&;](?:[a-z_]*password|[a-z_]*passwd|auth|token)=)[^&;#\s]*", re.I)
_URL_IN_TEXT = re.compile(r"[a-z][a-z0-9+.-]*://\S+", re.I)


def redact_url(url: str) -> str:
    """`url` with `***` in place of its password, wherever a URL may carry one.

    A user name without a password is hidden too: `redis://secret@host` is how people mistype `redis://:secret@host`.
    """
    shown = _without_login(url)
    return _NO_PORT.sub(rf"\g<start>{HIDDEN}", shown) if shown == url else shown


def redact_text(text: str) -> str:
    """`text` with the login of every URL in it hidden; a URL ends at the first white space.

    Unlike `redact_url` it leaves `redis://HOST:PORT` alone: our own messages say such things.
    """
    return _URL_IN_TEXT.sub(lambda found: _without_login(found[0]), text)


def redact_argument(argument: str) -> str:
    """An argument of the command line, taken as a whole: a password may hold spaces.

    Of `--set setup.…=VALUE` the whole value is hidden when an option of a server that holds a password is named.
    """
    found = _ASSIGNMENT.fullmatch(argument)
    if found and _NAMES_SECRET.search(argument):
        return f"{found['path']}={HIDDEN}"
    return redact_url(argument) if "://" in argument else argument


def _without_login(url: str) -> str:
    url, found = _USER_AND_PASSWORD.subn(rf"\g<scheme>\g<user>:{HIDDEN}@", url)
    if not found:
        url = _USER_ALONE.sub(rf"\g<scheme>{HIDDEN}@", url)
    return _QUERY.sub(rf"\g<key>{HIDDEN}", url)
