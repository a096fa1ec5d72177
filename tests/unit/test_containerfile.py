"""The Containerfile: what it copies is there, and its steps make the program that it starts."""

import re
from pathlib import Path

import pytest

from tests.container import Step, script, steps

TOP = Path(__file__).parents[2]
TEXT = (TOP / "Containerfile").read_text(encoding="utf-8")
IGNORED = (TOP / ".containerignore").read_text(encoding="utf-8").split()


def test_what_is_copied_exists_and_is_sent_to_the_builder() -> None:
    """Nothing else is: neither results nor environments."""
    contexts = [step.words.split() for step in steps(TEXT) if step.name == "COPY" and "--from" not in step.words]
    copied = [word for *sources, _ in contexts for word in sources]

    assert [path for path in copied if not (TOP / path).exists()] == []
    assert IGNORED[0] == "*"
    assert sorted(copied) == sorted(each[1:] for each in IGNORED if each.startswith("!"))


def test_extras_of_the_container_are_extras() -> None:
    """By the names of pyproject.toml."""
    (extras,) = re.findall(r"'\.\[(.*?)\]'", TEXT)

    assert set(extras.split(",")) <= set(re.findall(r"^(\w+) = \[", (TOP / "pyproject.toml").read_text(), re.MULTILINE))


def test_its_program_runs_as_nobody() -> None:
    """By number, so that an orchestrator can see that it is not root."""
    last = {step.name: step.words for step in steps(TEXT)}

    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", last["USER"])
    assert last["ENTRYPOINT"] == '["ombdriver"]'


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("RUN make it", "sh -ec 'cd / && make it'"),
        ("WORKDIR /src\nCOPY a b ./", "/r/root/src/./"),
        ("ENV PATH=/opt/bin:$PATH\nRUN it", "PATH=/opt/bin:/usr/local/bin"),
        ("USER 7:8\nRUN it", "chroot --userspec=7:8 /r/root"),
        ("RUN a \\\n  b", "a    b"),
    ],
)
def test_steps_are_carried_out_in_a_root_of_their_own(text: str, line: str) -> None:
    """As a builder would, with what came before in force."""
    assert line in script(f'{text}\nENTRYPOINT ["ombdriver"]', Path("/r"), Path("/usr/bin/python3"))


def test_comments_are_no_steps() -> None:
    """And a line that goes on is one."""
    assert list(steps("# a\nRUN b \\\n c\n")) == [Step("RUN", "b   c")]
