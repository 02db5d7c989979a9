"""What the operating system takes away from workers before they see any guest code."""

from __future__ import annotations

import ctypes
import os
import resource
import sys

_PR_SET_DUMPABLE = 4
_PR_SET_CHILD_SUBREAPER = 36
_PR_SET_NO_NEW_PRIVS = 38


def confine() -> None:
    """No files, no privileges, no core dumps. Called once in the zygote, inherited by its forks.

    Linux only: no new privileges, and orphaned forks come back to the zygote. Elsewhere the
    limits alone hold.
    """
    os.chdir("/")
    # A descriptor more cannot be opened; the two sockets of a worker arrive below this number.
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        prctl = ctypes.CDLL(None, use_errno=True).prctl
        for option, value in (
            (_PR_SET_NO_NEW_PRIVS, 1),
            (_PR_SET_CHILD_SUBREAPER, 1),
            (_PR_SET_DUMPABLE, 0),
        ):
            prctl(option, value, 0, 0, 0)
