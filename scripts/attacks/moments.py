"""What happens outside while a shell works: the clock jumps, its workers are stopped."""

from __future__ import annotations

import os
import signal
import time

from attacks.attack import Attack, Bound
from attacks.place import Moment, Place, Ran, tree

# Starts a shell whose clock jumps back a day, five seconds after its start.
JUMP = """
import sys, time
from aoshell.cli import main
from aoshell.nodes.local.clock import ticking
began = time.monotonic()
true = ticking.read_wall_clock
ticking.read_wall_clock = lambda: true() - (time.monotonic() - began > 5) * 86_400_000
sys.exit(main())
"""
COUNT = "Ticks = 0 Handlers.prepend('tick', 'Cron', function() Ticks = Ticks + 1 end)"


def _wait(seconds: float) -> Moment:
    return lambda _pid: time.sleep(seconds)


def _jumping(place: Place) -> Ran:
    """The clock jumps. A process that ticks every second must go on."""
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
    """Stop all that the shell has started, a second after the line before."""
    time.sleep(1)
    for pid in tree(shell):
        if pid != shell:
            os.kill(pid, signal.SIGSTOP)


def _stopped(place: Place) -> Ran:
    """The workers are stopped. The line must be computed all the same, and once only."""
    begin, work = "N = 0", "N = N + 1 for i = 1, 3e8 do end return 'done ' .. N"
    ran = place.shell([begin, work, _stop_workers], "--timeout", "60")
    if "done 1" not in ran.out:
        ran.problems.append(f"the line came to {ran.out!r}")
    return ran


ATTACKS = [
    Attack("the clock jumps back a day", Bound(60), _jumping),
    Attack("kill -STOP of all workers", Bound(120, says="neither answers nor computes"), _stopped),
]
