"""What happens to a shell from outside while it works: a clock that jumps, a worker that stops."""

from __future__ import annotations

import os
import signal
import time

from attacks.attack import Attack, Bound
from attacks.place import Moment, Place, Ran, tree

# The machine's clock as this shell sees it: a day back, from five seconds behind its start on.
JUMP = """
import sys, time
from aoshell.cli import main
from aoshell.nodes.local import ticking
began = time.monotonic()
true = ticking.read_wall_clock
ticking.read_wall_clock = lambda: true() - (time.monotonic() - began > 5) * 86_400_000
sys.exit(main())
"""
COUNT = "Ticks = 0 Handlers.prepend('tick', 'Cron', function() Ticks = Ticks + 1 end)"


def _wait(seconds: float) -> Moment:
    return lambda _pid: time.sleep(seconds)


def _jumping(place: Place) -> Ran:
    """A process that ticks every second goes on to tick."""
    lines: list[str | Moment] = [
        COUNT,
        _wait(7),
        "Before = Ticks",
        _wait(14),
        "return Ticks > Before + 3",
    ]
    ran = place.shell(lines, "--cron", "1-second", entry=JUMP)
    if "true" not in ran.out:
        ran.problems.append("its cron stopped")
    return ran


def _stop_workers(shell: int) -> None:
    """Stop all that the shell has started, a moment behind the line before."""
    time.sleep(1)
    for pid in tree(shell):
        if pid != shell:
            os.kill(pid, signal.SIGSTOP)


def _stopped(place: Place) -> Ran:
    """The line is computed all the same, once, and its outcome is what it came to."""
    begin, work = "N = 0", "N = N + 1 for i = 1, 3e8 do end return 'done ' .. N"
    ran = place.shell([begin, work, _stop_workers], "--timeout", "60")
    if "done 1" not in ran.out:
        ran.problems.append(f"the line came to {ran.out!r}")
    return ran


ATTACKS = [
    Attack("the clock jumps back a day", Bound(60), _jumping),
    Attack("kill -STOP of all workers", Bound(120, says="neither answers nor computes"), _stopped),
]
