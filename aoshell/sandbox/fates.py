"""How a fork ended: by what it computed, or by somebody else's hand.

What is decided about a message follows from what it did: its processor time, its memory, signals
that it brought upon itself. Whoever is killed from outside has said nothing about that.
"""

from __future__ import annotations

import os
import signal

OUT_OF_MEMORY = 4  # exit code of a fork that could not even say that its memory was used up
# Signals that a fork brings upon itself. All others come from outside, the kernel's SIGKILL where
# the machine runs out of memory among them.
OWN_SIGNALS = frozenset(
    {signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE, signal.SIGABRT, signal.SIGTRAP}
)


def fate(status: int) -> str:
    """How a fork died: time, memory, crash N, or killed; "" where it ended by itself.

    Args:
        status: as `os.waitpid` tells it.
    """
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        if number == signal.SIGPROF:
            return "time"
        return f"crash {number}" if number in OWN_SIGNALS else "killed"
    return "memory" if os.WEXITSTATUS(status) == OUT_OF_MEMORY else ""


def told(how: str, seconds: float) -> str:
    """A fate as the end of a sentence; `seconds` of processor time were allowed."""
    return {
        "time": f"took more than {seconds:g} s of processor time",
        "memory": "took more memory than it may",
        "killed": "was killed from outside",
    }.get(how, f"died (signal {how.removeprefix('crash ')})")
