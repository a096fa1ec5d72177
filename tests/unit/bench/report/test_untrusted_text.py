"""What servers and files say in a run's own table shows as text, before any result was read from a file."""

import io
import re

import pytest
from sample_result import result

from ombdriver.bench.report import terminal
from ombdriver.bench.verdict.model import Caveat, Verdict

HOSTILE = "\x1b[2J\x9b31m\x07\r\u202e\u2028said"
SIGNS = {"\x1b", "\x9b", "\x07", "\r", "\u202e", "\u2028"}
OUR_STYLES = re.compile(r"\x1b\[[0-9;]*m")


@pytest.mark.parametrize("is_coloured", [False, True])
@pytest.mark.parametrize("brief", [False, True])
def test_no_sign_that_a_terminal_obeys_is_in_a_table(
    is_coloured: bool, brief: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor breaks a line, whether it is of an error, a reason or a name; our own colours stay."""
    for name, value in {"FORCE_COLOR": "1", "TERM": "xterm-256color"}.items() if is_coloured else ():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("NO_COLOR", raising=False)
    stream = io.StringIO()
    told = result(
        partial_reason=f"the server says {HOSTILE}",
        caveats=[Caveat("sendErrors", f"messages met {HOSTILE}")],
        verdict=Verdict("VALID"),
        workload=HOSTILE,
    )

    terminal.show(told, None, stream, 200, brief=brief)

    said = stream.getvalue()
    assert bool(OUR_STYLES.search(said)) == is_coloured
    assert not SIGNS & set(OUR_STYLES.sub("", said))
    assert "\\u202e\\u2028said" in said
