"""How a fork ended: by its own doing, or because somebody else killed it.

A message fails for what it did: its processor time, its memory, a signal that it caused. A kill
from outside says nothing about the message, so it must not count against it.
"""

from __future__ import annotations

import os
import signal
from typing import NoReturn

OUT_OF_MEMORY = 4  # exit code of a fork without memory to send a frame that says so
# Signals that a fork causes itself. All others come from outside, also the SIGKILL that the kernel
# sends when the machine runs out of memory.
OWN_SIGNALS = frozenset(
    {signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE, signal.SIGABRT, signal.SIGTRAP}
)


def read_fate(status: int) -> str:
    """How a fork died: "time", "memory", "crash SIGNAL" or "killed"; "" where it exited.

    Args:
        status: from `os.waitpid`.
    """
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        if number == signal.SIGPROF:  # its ITIMER_PROF ran out
            return "time"
        return f"crash {number}" if number in OWN_SIGNALS else "killed"
    return "memory" if os.WEXITSTATUS(status) == OUT_OF_MEMORY else ""


def describe_fate(how: str, seconds: float) -> str:
    """What `read_fate` returns, as the end of a sentence.

    Args:
        seconds: processor time that was allowed.
    """
    return {
        "time": f"took more than {seconds:g} s of processor time",
        "memory": "took more memory than it may",
        "killed": "was killed from outside",
    }.get(how, f"died (signal {how.removeprefix('crash ')})")


def end_as(status: int) -> NoReturn:
    """Exit as a fork of this process did: with its exit code, or 0 where it was killed.

    Args:
        status: from `os.waitpid`.
    """
    os._exit(os.WEXITSTATUS(status) if os.WIFEXITED(status) else 0)
