"""What a process is refused by the limits that it runs under (`ulimit`): said in one sentence, with the way out."""

import errno
import os
import resource

_PROCESSES = (
    "this user may have no more processes or threads ({limit}); raise that limit (ulimit -u), or end what else runs"
)
_FILES = "this process may open no more files and connections ({limit}); raise that limit (ulimit -n)"
_MEMORY = (
    "there is no more memory for this process ({limit}); raise that limit (ulimit -v), or end what else takes memory"
)
_WAYS_OUT = {
    errno.EAGAIN: (_PROCESSES, resource.RLIMIT_NPROC, 1),
    errno.EMFILE: (_FILES, resource.RLIMIT_NOFILE, 1),
    errno.ENFILE: ("this machine may open no more files; end what else runs", None, 1),
    errno.ENOMEM: (_MEMORY, resource.RLIMIT_AS, 1 << 20),
}


def limit_reached(error: BaseException | None) -> str | None:
    """What `error`, or what it came of, says of a limit that was reached; None when it is about none."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:  # redis-py raises errors again that came of one another
        seen.add(id(error))
        number = _number(error)
        if number in _WAYS_OUT:
            text, which, unit = _WAYS_OUT[number]
            return text if which is None else text.format(limit=_told(which, unit))
        error = error.__cause__ or error.__context__
    return None


def most_open_files() -> int | None:
    """So many files and connections a process of ours may open once it asks for them; None without a limit."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if hard == resource.RLIM_INFINITY else hard


def _number(error: BaseException) -> int | None:
    if isinstance(error, MemoryError) or "failed to map segment" in str(error):  # of a shared library
        return errno.ENOMEM
    if isinstance(error, RuntimeError) and "can't start new thread" in str(error):
        has_no_limit = resource.getrlimit(resource.RLIMIT_AS)[0] == resource.RLIM_INFINITY
        return errno.EAGAIN if has_no_limit else errno.ENOMEM  # a thread wants megabytes for its stack
    if not isinstance(error, OSError) or (error.errno == errno.EAGAIN and error.strerror != os.strerror(errno.EAGAIN)):
        return None  # the latter is of an output that would have to be waited for
    return error.errno


def _told(which: int, unit: int) -> str:
    soft, _ = resource.getrlimit(which)
    if soft == resource.RLIM_INFINITY:
        return "the limit is that of the machine"
    return f"the limit is {soft // unit:,}{' MiB' if unit > 1 else ''}"
