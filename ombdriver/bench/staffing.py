"""How many processes a run has, and what they do: pure numbers."""

from ombdriver.errors import InputError

MAX_WORKERS = 256
DEFAULT_MAX_WORKERS = 16
MESSAGES_PER_PRODUCING_WORKER = 50_000
"""Messages per second that one process sends with most of its core left; a second one is not started below that."""


def shared_out(
    workers: int | None,
    cores: int,
    rate: int,
    groups: int,
    producers: int,
    readers: int,
) -> tuple[int, int]:
    """How many processes produce, and how many consume; never more than there is work for.

    Args:
        workers: how many there may be; None leaves it to `cores`.
        cores: of this machine.
        rate: messages per second of all producers.
        groups: how many subscriptions get every message.
        producers: how many there are.
        readers: how many there are.

    Raises:
        InputError: if that number of workers can't do it.
    """
    least = 2 if readers and producers else 1
    if workers is not None and not least <= workers <= MAX_WORKERS:
        why = "producing and consuming never share a process; " if workers == 1 else ""
        raise InputError(f"--workers: {workers} is out of range: {why}write {least} to {MAX_WORKERS}, or leave it out")
    most_producing = producers
    if workers is None:
        # Two cores stay with the server and with this process, as far as there are that many.
        workers = max(least, min(cores - 2, DEFAULT_MAX_WORKERS))
        most_producing = min(most_producing, -(-rate // MESSAGES_PER_PRODUCING_WORKER))
    if not readers:
        return min(workers, most_producing), 0
    if not producers:
        return 0, min(workers, readers)
    # A delivered message costs about as much as a sent one, and each is delivered once to every group.
    producing = min(max(1, round(workers / (1 + groups))), workers - 1, most_producing)
    consuming = min(workers - producing, readers)
    return min(workers - consuming, most_producing), consuming
