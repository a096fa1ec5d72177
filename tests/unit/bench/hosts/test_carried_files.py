"""Files that a URL names, carried from one host to another: the same contents, at a path of the process there."""

import os
import stat
from pathlib import Path
from urllib.parse import parse_qsl, quote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ombdriver.bench.hosts.carried_files import PlacedFiles, read_files
from ombdriver.bench.servers.url import files_of, with_files
from ombdriver.errors import RunError

TLS = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
VALUES = st.text(min_size=1).filter(lambda text: "\0" not in text and text.isprintable())


@given(
    st.dictionaries(st.sampled_from([*TLS, "ssl_check_hostname", "db", "sentinel_password"]), VALUES),
    st.dictionaries(st.sampled_from(TLS), VALUES),
)
def test_files_alone_have_other_paths_in_a_url(options: dict[str, str], paths: dict[str, str]) -> None:
    """In the order and in the number of before; a login stays."""
    query = "&".join(f"{name}={quote(value, safe='')}" for name, value in options.items())
    url = "rediss+cluster://ann:p%40ss@10.0.0.1:1,10.0.0.2:2" + (f"?{query}" if query else "")

    changed = with_files(url, paths)

    assert urlsplit(changed)[:3] == urlsplit(url)[:3]
    assert parse_qsl(urlsplit(changed).query) == [(name, paths.get(name, value)) for name, value in options.items()]


@given(st.dictionaries(st.sampled_from(TLS), st.binary(max_size=3000)))
def test_what_was_read_here_is_read_there(contents: dict[str, bytes]) -> None:
    """Any number of times, by whoever opens the path, until it is closed; and nobody else may."""
    placed = PlacedFiles(contents)
    url = with_files("rediss://h?" + "&".join(f"{name}=/here/{name}" for name in contents), placed.paths)

    assert files_of(url) == placed.paths
    assert read_files(url) == read_files(url) == contents
    assert not any(stat.S_IMODE(os.stat(path).st_mode) & 0o077 for path in placed.paths.values())
    placed.close()
    placed.close()
    if contents:
        with pytest.raises(RunError, match=r"^ssl_\w+: .* can't be read"):
            read_files(url)


def test_what_is_no_url_names_no_files(tmp_path: Path) -> None:
    """A driver may take none, or one without options; a file that is not there is told with the option."""
    assert read_files(None) == read_files("redis://h") == {}
    with pytest.raises(RunError, match=r"^ssl_keyfile: .*/none can't be read"):
        read_files(f"rediss://h?ssl_keyfile={tmp_path}/none")
