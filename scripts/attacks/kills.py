"""Ends that come at any moment: `kill -9`, and limits on the shell itself."""

from __future__ import annotations

import contextlib
import functools
import os
import random
import signal
import subprocess
import threading
import time

from attacks.attack import Attack, Bound
from attacks.place import Place, Ran

LINE = b"N = (N or 0) + 1 return N\n"


def _killed(times: int, place: Place) -> Ran:
    """Lines are fed and answered until the shell is killed; what was answered must be there."""
    start, problems, answered = time.monotonic(), list[str](), 0
    name = place.file("killed").name
    for _ in range(times):
        shell = place.start(
            name, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        threading.Timer(random.uniform(0.3, 1.2), _end, [shell.pid]).start()
        out, _ = shell.communicate(LINE * 500)
        # The last line may have been cut off while it was written.
        told = [int(word) for word in out[: out.rfind(b"\n") + 1].split()]
        answered = max([answered, *told])
        found = place.shell(["return N or 0"], name=name)
        kept = int((found.out.split() or ["-1"])[0])
        problems += found.problems + ([f"{answered} answered, {kept} kept"] * (kept < answered))
        answered = max(answered, kept)
    found.problems, found.seconds = problems, time.monotonic() - start
    return found


def _end(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


def _limited(limit: str, place: Place) -> Ran:
    return place.shell([], name="limited", limit=limit)


def _under(limit: str, *, answers: bool = False, says: str = "") -> Attack:
    """A limit on the shell: it works under it, or names what is missing."""
    bound = Bound(says=says, answers=answers)
    return Attack(f"ulimit {limit}", bound, functools.partial(_limited, limit))


ATTACKS = [
    Attack("kill -9 at 3 moments", Bound(30), functools.partial(_killed, 3)),
    Attack("kill -9 at 30 moments", Bound(200), functools.partial(_killed, 30)),
    _under("-v 60000", says="too little memory"),
    _under("-v 150000", answers=True),
    _under("-n 12", says="too few file descriptors"),
    _under("-n 20", answers=True),
]
