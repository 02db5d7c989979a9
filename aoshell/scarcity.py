"""Errors for people when the machine, or a limit of the shell, has too little of something."""

from __future__ import annotations

import errno
from collections.abc import Mapping

from aoshell.errors import AoError

LEAST = 112 << 20  # bytes of address space; with less, libraries end the program themselves

_MEMORY = ("memory", "give it more (`ulimit -v` bounds it), or end other programs")
_THREADS = ("memory or threads", "raise `ulimit -u` or `ulimit -v`, or end other programs")
_SHORT = {
    errno.ENOMEM: _MEMORY,
    errno.EMFILE: ("file descriptors", "raise `ulimit -n`; 64 are enough for most"),
    errno.ENFILE: ("file descriptors", "the whole machine has none left: end other programs"),
    errno.EAGAIN: ("processes", "raise `ulimit -u`, or end other programs"),
    errno.EFBIG: ("room in a file", "raise `ulimit -f`"),
    errno.ENOSPC: ("room on the disk", "free some, or set AOSHELL_HOME to another disk"),
    errno.EDQUOT: ("room on the disk", "your quota is used up: free some"),
}

_COUNTED = ("file descriptors", "processes")


def to_ao_error(error: BaseException) -> AoError:
    """An unexpected exception as an error for people: a lack of something, or else a defect."""
    what = _lack(error)
    if what is None:
        text = f"a defect of the shell itself: {type(error).__name__}: {error}"
        hint = "what was acknowledged is on disk; please report this line"
        return AoError(text, stage="shell", hint=hint)
    text = f"the shell has too {'few' if what[0] in _COUNTED else 'little'} {what[0]} to go on"
    return AoError(text, stage="machine", hint=what[1])


def error_of_context(context: Mapping[str, object]) -> AoError:
    """The same for the context that asyncio gives its exception handler, about a task nobody
    awaits."""
    error = context.get("exception")
    return to_ao_error(
        error if isinstance(error, BaseException) else Exception(context.get("message"))
    )


def refuse_too_little() -> None:
    """Raise AoError if the address space is so small that libraries would end the program.

    Later the program would end without a message.
    """
    import resource

    bound = resource.getrlimit(resource.RLIMIT_AS)[0]
    if 0 < bound < LEAST:
        text = f"the shell has too little memory: {bound >> 20} MB, {LEAST >> 20} MB are needed"
        raise AoError(text, stage="machine", hint=_MEMORY[1])


def _lack(error: BaseException | None) -> tuple[str, str] | None:
    for _ in range(10):  # causes of causes
        if error is None:
            return None
        text = str(error).lower()
        if isinstance(error, MemoryError) or "cannot allocate memory" in text:
            return _MEMORY
        if isinstance(error, ImportError) and "map segment" in text:
            return _MEMORY
        if isinstance(error, RuntimeError) and "start new thread" in text:
            return _THREADS
        if isinstance(error, OSError) and error.errno in _SHORT:
            return _SHORT[error.errno]
        error = error.__cause__ or error.__context__
    return None
