"""Finds and reads the file whose bytes every message carries. The one place where a workload's files are opened.

Knows where OMB's users keep such files; knows no field but the file's name and the size of a message.
"""

from pathlib import Path

from ombdriver.bench.text import parse_size
from ombdriver.bench.workload_fields import MAX_MESSAGE_BYTES


def read_payload(name: str, folder: Path | None) -> bytes:
    """The content of a payload file.

    Args:
        name: an absolute path; or a relative one, looked for in the working directory (as OMB does), then in
            `folder`, then in the folder above it (OMB keeps `payload/` beside `workloads/`).
        folder: the folder of the workload file; None when there is none.

    Raises:
        ValueError: if there is no such file, or it is unreadable, or larger than a message may be.
    """
    folders = [Path(), *([folder, folder.resolve().parent] if folder is not None else [])]
    for candidate in [place / name for place in folders]:
        try:
            if not candidate.is_file():
                continue
            with candidate.open("rb") as file:
                content = file.read(MAX_MESSAGE_BYTES + 1)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise ValueError(f"{candidate} cannot be read ({reason}); name a readable file") from error
        if len(content) > MAX_MESSAGE_BYTES:
            raise ValueError(f"{candidate} is larger than a message may be (512 MiB); name a smaller file")
        return content
    looked = " and ".join(dict.fromkeys(str(place.resolve()) for place in folders))
    raise ValueError(f"missing payload file {name!r}, looked for in {looked}; add it, or remove this line")


def check_size(message_size: object, content: bytes) -> None:
    """Holds `messageSize` as a file gives it against the payload.

    Raises:
        ValueError: if they differ.
    """
    try:
        size = parse_size(message_size)
    except ValueError:
        return  # told with messageSize itself
    if size != len(content):
        raise ValueError(f"holds {len(content)} bytes, but messageSize is {size}; make both the same")
