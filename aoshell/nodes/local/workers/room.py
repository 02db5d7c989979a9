"""Decides how many workers a node may have, by the machine's memory, descriptors and processes.

A worker of a small Lua process takes 2.4 to 2.6 MB with its parked fork; one of a WASM process
takes as much as its memory. So free memory is measured, not estimated.
"""

from __future__ import annotations

import resource
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

MAX_LIVE = 4096  # workers at most, whatever the machine has
SURE_LIVE = 64  # workers that may always start, even with little free memory
KEPT_FREE = 0.75  # the part of the memory free at the node's start that stays for other programs
DESCRIPTORS = 2  # file descriptors that a worker takes: its two sockets
SPARE = 20  # file descriptors for the shell itself
PROCESSES = 3  # per worker: itself, its parked fork, and one that is just being forked
MOST_DESCRIPTORS = 1 << 16  # soft limit that we ask for; some systems have a hard one of 2**30
_MEMINFO = Path("/proc/meminfo")
_CGROUP = Path("/proc/self/cgroup")
_CGROUPS = Path("/sys/fs/cgroup")


class Room:
    """Decides whether one more worker may start.

    Args:
        get_wanted: the user's own limit on workers, 0 for none (`.limits workers`).
    """

    def __init__(self, get_wanted: Callable[[], int]) -> None:
        self._get_wanted = get_wanted
        self._cgroup = _find_cgroup()
        free = self._free_memory()
        self._floor = None if free is None else int(KEPT_FREE * free)

    def is_there(self, live: int) -> bool:
        """Whether one more worker may start beside `live` others."""
        wanted = self._get_wanted()
        if live >= min(MAX_LIVE, wanted or MAX_LIVE, _by_descriptors()):
            return False
        return bool(wanted) or live < SURE_LIVE or self._is_roomy(live)

    def excess(self, live: int) -> int:
        """How many of `live` workers should end, as other programs need the memory."""
        wanted = self._get_wanted()
        if wanted:
            return max(0, live - wanted)
        if live <= SURE_LIVE or self._is_free():
            return 0
        return max(1, (live - SURE_LIVE) // 4)  # once a second, until enough is free

    def _is_roomy(self, live: int) -> bool:
        return live * PROCESSES < _by_processes() and self._is_free()

    def _is_free(self) -> bool:
        free = self._free_memory()
        return self._floor is not None and free is not None and free >= self._floor

    def _free_memory(self) -> int | None:
        """Bytes that programs may still take, None if not known."""
        known = [_read_meminfo(), _read_cgroup(self._cgroup) if self._cgroup else None]
        return min((free for free in known if free is not None), default=None)


def raise_descriptors() -> None:
    """Raise the soft limit on open files: each worker needs two."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = MOST_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, MOST_DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < most:
        with suppress(ValueError, OSError):  # as on macOS, which has another limit
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def _by_descriptors() -> int:
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if allowed == resource.RLIM_INFINITY:
        return MAX_LIVE
    return max(1, (allowed - SPARE) // DESCRIPTORS)


def _by_processes() -> int:
    """How many processes the workers may be: half of the user's limit."""
    allowed = resource.getrlimit(resource.RLIMIT_NPROC)[0]
    return MAX_LIVE * PROCESSES if allowed == resource.RLIM_INFINITY else allowed // 2


def _read_meminfo() -> int | None:
    """`MemAvailable` of proc(5), bytes."""
    with suppress(OSError, ValueError, IndexError):
        for line in _MEMINFO.read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) << 10
    return None


def _find_cgroup() -> Path | None:
    """The folder of this program's control group (cgroups(7), version 2), if its memory is bounded.

    Parent groups are not checked.
    """
    with suppress(OSError, ValueError):
        for line in _CGROUP.read_text(encoding="utf-8").splitlines():
            if line.startswith("0::/"):
                folder = _CGROUPS / line.removeprefix("0::/")
                return folder if (folder / "memory.max").is_file() else None
    return None


def _read_cgroup(folder: Path) -> int | None:
    with suppress(OSError, ValueError):  # "max": it is not bounded
        most = int((folder / "memory.max").read_text(encoding="ascii"))
        return max(0, most - int((folder / "memory.current").read_text(encoding="ascii")))
    return None
