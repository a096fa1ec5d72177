"""What happened at a server between two looks at it: forks, saves, evictions, restarts. Pure.

An event is known to have come between two looks, not when; it is told with the time of the later one.
"""

from collections.abc import Iterator

from ombdriver.bench.look import Look

Event = tuple[str, str]
"""(kind for programs, text for people)."""


def between(before: Look, now: Look, streaks: set[str]) -> Iterator[Event]:
    """The events from one look to the next.

    Args:
        before: the look before.
        now: the look now.
        streaks: what was going on at the look before and is told only when it begins; changed here.
    """
    if _restarted(before, now):
        yield "restarted", "the server was started anew, or another one answers"
        return
    forks = forked(before, now)
    if forks:
        micros = now.figures.get("lastForkMicros", 0)
        times = "once" if forks == 1 else f"{forks} times"
        yield "fork", f"the server forked {times}; the last fork held it up for {micros:,.0f} µs"
    yield from _written(before, now, "saving", "saves", "save", "saving the data set to disk (RDB)")
    yield from _written(before, now, "rewriting", "rewrites", "rewrite", "rewriting the append-only file (AOF)")
    delayed, evicted = (grown(before, now, name) or 0 for name in ("delayedFsyncs", "evictedKeys"))
    if _begins("delayedFsyncs", delayed > 0, streaks):
        yield "fsyncDelayed", f"writing waited for the disk: an fsync was delayed {delayed:.0f} times"
    if _begins("evictedKeys", evicted > 0, streaks):
        yield "evictionsBegan", f"the server began to evict keys, {evicted:.0f} of them so far"
    replicas, replicas_before = now.figures.get("replicas"), before.figures.get("replicas")
    if replicas is not None and replicas_before is not None and replicas != replicas_before:
        yield "replicasChanged", f"the number of connected replicas went from {replicas_before:.0f} to {replicas:.0f}"


def grown(before: Look, now: Look, name: str) -> float | None:
    """By how much a figure that only grows has grown; None when unknown, or when the server began anew meanwhile."""
    then, at = before.figures.get(name), now.figures.get(name)
    return None if then is None or at is None or at < then else at - then


def forked(before: Look, now: Look) -> int:
    """How often the server forked; servers before 6.2 do not count, there a new duration tells of one fork."""
    counted = grown(before, now, "forks")
    if counted is not None or "forks" in now.figures:
        return int(counted or 0)
    last, last_before = now.figures.get("lastForkMicros"), before.figures.get("lastForkMicros")
    return int(last is not None and last_before is not None and last != last_before)


def _restarted(before: Look, now: Look) -> bool:
    if before.server_id and now.server_id and before.server_id != now.server_id:
        return True
    return now.figures.get("uptimeSeconds", 0) < before.figures.get("uptimeSeconds", 0) and bool(now.figures)


def _written(before: Look, now: Look, flag: str, counter: str, kind: str, what: str) -> Iterator[Event]:
    """A file that a child process writes: its beginning, its end, or both when that fell between two looks."""
    if flag not in before.figures or flag not in now.figures:
        return
    was, is_now = bool(before.figures.get(flag)), bool(now.figures.get(flag))
    ended = grown(before, now, counter)
    if was and (not is_now or (ended or 0) > 0):
        yield f"{kind}Ended", f"{what} ended"
    elif not was and not is_now and (ended or 0) > 0:
        yield f"{kind}Ended", f"{what} began and ended between two looks"
    if is_now and (not was or (ended or 0) > 0):
        yield f"{kind}Began", f"{what} began"


def _begins(name: str, going_on: bool, streaks: set[str]) -> bool:
    begins = going_on and name not in streaks
    (streaks.add if going_on else streaks.discard)(name)
    return begins
