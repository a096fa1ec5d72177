"""Console blocks of the documentation whose commands start nothing are what these commands print."""

import re
from pathlib import Path

import pytest

from ombdriver.cli import main

DOCS = Path(__file__).parents[3] / "docs"
STARTS_NOTHING = re.compile(r"(plan|workloads|setups|schema|completion) .*|run bad\.yaml")
"""Commands that print the same wherever and whenever they are run."""
BLOCKS = [
    (page, command, output)
    for page in sorted(DOCS.rglob("*.md"))
    for block in re.findall(r"^```console\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    for command, output in re.findall(r"^\$ ombdriver (.*)\n((?:(?!\$ ).*\n)*)", block, re.MULTILINE)
    if STARTS_NOTHING.fullmatch(command)
]


@pytest.mark.parametrize(("page", "command", "output"), BLOCKS, ids=[command for _, command, _ in BLOCKS])
def test_a_block_is_what_its_command_prints(
    page: Path,
    command: str,
    output: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """In a folder with the files that its page shows."""
    monkeypatch.chdir(tmp_path)
    for name, text in re.findall(
        r"^```yaml\nname: (\w+)\n(.*?)^```", page.read_text("utf-8"), re.DOTALL | re.MULTILINE
    ):
        Path(f"{name}.yaml").write_text(f"name: {name}\n{text}", encoding="utf-8")
    with pytest.raises(SystemExit):
        main(command.split())
    told = capsys.readouterr()

    assert (told.out + told.err).rstrip("\n") == output.rstrip("\n")


def test_there_are_blocks() -> None:
    """The pages have not been emptied."""
    assert {command for _, command, _ in BLOCKS} >= {"plan 1kb-3groups", "workloads show 1kb-3groups", "run bad.yaml"}
