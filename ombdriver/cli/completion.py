"""The verb `completion`: what a shell needs to complete commands. Part of `cli`; knows no server and no loop."""

import os
from pathlib import Path

import click
from click.shell_completion import get_completion_class

from ombdriver.errors import InputError

SHELLS = ("bash", "zsh", "fish")
_VARIABLE = "_OMBDRIVER_COMPLETE"
"""By which click's script asks the command for completions; it marks a file as ours, too."""
_ZSH = "add these lines to ~/.zshrc, if they are not there: fpath+=({folder}); autoload -Uz compinit && compinit"


@click.command()
@click.argument("shell", type=click.Choice(SHELLS), required=False)
@click.option("--install", is_flag=True, help="Write the script where the shell looks for it, in place of printing it.")
@click.pass_context
def completion(context: click.Context, shell: str | None, install: bool) -> None:
    """Print the script by which bash, zsh or fish completes commands; that of $SHELL when none is named."""
    shell = shell or Path(os.environ.get("SHELL", "")).name
    complete = get_completion_class(shell) if shell in SHELLS else None
    if complete is None:
        raise InputError(f"$SHELL names no shell that is known; name one: ombdriver completion {'|'.join(SHELLS)}")
    script = complete(context.find_root().command, {}, "ombdriver", _VARIABLE).source()
    if not install:
        click.echo(script, nl=False)
        return
    path = place_of(shell)
    _write(path, script)
    click.echo(path)
    hint = _ZSH.format(folder=path.parent) if shell == "zsh" else "it is read by the next shell that you start"
    click.echo(f"ombdriver: {hint}", err=True)


def place_of(shell: str) -> Path:
    """The file in which a shell looks for the completions of `ombdriver`, of this user alone."""
    home = Path.home()
    if shell == "fish":
        return Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config") / "fish" / "completions" / "ombdriver.fish"
    if shell == "zsh":
        return home / ".zfunc" / "_ombdriver"
    data = Path(os.environ.get("XDG_DATA_HOME") or home / ".local" / "share")
    return data / "bash-completion" / "completions" / "ombdriver"


def _write(path: Path, script: str) -> None:
    """Replaces a file that this verb has written before, and no other.

    Raises:
        InputError: if another file is there.
        OSError: if it can't be written.
    """
    if path.exists() and _VARIABLE not in path.read_text(encoding="utf-8", errors="replace"):
        raise InputError(f"{path} exists already and is not of ombdriver; move it away")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(script, encoding="utf-8")
