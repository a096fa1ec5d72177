"""`make container-test`: the steps of the Containerfile in a root of their own, where nothing is there to build it.

The root is this machine's, with all that is written kept in memory; it takes Linux, and root for the mounts. What the
base image has is not tried so; Python is that of the machine, which others than root can run, else this one's.
"""

import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

TOP = Path(__file__).parents[1]
MOUNTS = """
mount -t tmpfs tmpfs {room}
mkdir {room}/upper {room}/work {room}/root
mount -t overlay overlay -o lowerdir=/,upperdir={room}/upper,workdir={room}/work {room}/root
mount --rbind /proc {room}/root/proc
mount --rbind /dev {room}/root/dev
"""
SYSTEM = Path("/usr/bin/python3")
RUN = "run 1kb-low-rate --duration 1s --warmup 0s --quiet --gate thresholds --output /results"


class Step(NamedTuple):
    """One instruction: its name in capitals, and what stands behind it."""

    name: str
    words: str


def steps(text: str) -> Iterator[Step]:
    """The instructions of a Containerfile, in order."""
    for line in re.sub(r"\\\n", " ", text).splitlines():
        if line.strip() and not line.startswith("#"):
            name, _, words = line.partition(" ")
            yield Step(name, words)


def script(text: str, room: Path, python: Path) -> str:
    """A shell program that carries out the instructions in a root at `room`, and then runs the container's program."""
    root, folder, user, environment = f"{room}/root", "/", "0:0", {"PATH": "/usr/local/bin:/usr/bin:/bin"}
    entry: list[str] = []
    lines = [MOUNTS.format(room=room), f"ln -sf {python} {root}/usr/local/bin/python"]

    def inside(command: str) -> str:
        values = " ".join(shlex.quote(f"{name}={value}") for name, value in environment.items())
        go = shlex.quote(f"cd {folder} && {command}")
        return f"chroot --userspec={user} {root} env -i {values} HOME=/tmp sh -ec {go}"

    for step in steps(text):
        match step.name:
            case "WORKDIR":
                folder = step.words
                lines.append(f"mkdir -p {root}{folder}")
            case "COPY" if "--from" not in step.words:
                *sources, target = step.words.split()
                into = f"{root}{folder}/{target}"
                lines += [f"cp -a {TOP / source} {into}" for source in sources]
            case "RUN":
                lines.append(inside(step.words))
            case "ENV":
                for name, value in (each.split("=", 1) for each in step.words.split()):
                    environment[name] = value.replace("$PATH", environment["PATH"])
            case "USER":
                user = step.words
            case "ENTRYPOINT":
                entry = json.loads(step.words)
    lines += [inside(shlex.join([*entry, *words.split()])) for words in ("--version", RUN)]
    return "\n".join(lines)


def main() -> None:
    """Ends with the exit code of the first step that fails."""
    text = (TOP / "Containerfile").read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory(prefix="container-") as room:
        python = SYSTEM if SYSTEM.exists() else Path(os.path.realpath(sys.executable))
        command = ["unshare", "--mount", "--propagation", "private", "sh", "-euxc", script(text, Path(room), python)]
        code = subprocess.run(command, check=False).returncode
    sys.stdout.write("the steps of the Containerfile went through\n" if code == 0 else "a step failed\n")
    sys.exit(code)


if __name__ == "__main__":
    main()
