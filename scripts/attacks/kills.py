"""Ends at any moment: `kill -9` of the shell, leaving it, and limits of the system on it."""

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
LINES = 60  # of a process; half of them are taken back
PING_PONG = [
    "P = spawn(ao.env.Module.Id, {Authority = ao.authorities[1]})",
    "Handlers.add('pong', 'Pong', function(m) Send({Target = m.From, Action = 'Ping'}) end)",
    "Send({Target = P, Action = 'Eval', Data = [[Handlers.add('ping', 'Ping', function(m)"
    " Send({Target = m.From, Action = 'Pong'}) end)]]})",
]


def _killed(times: int, place: Place) -> Ran:
    """Kill the shell while it answers lines. Each line that it answered must be in the log."""
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


def _left(times: int, place: Place) -> Ran:
    """Leave the shell again and again while two processes write to each other."""
    start, name = time.monotonic(), place.file("left").name
    place.shell(PING_PONG, name=name)
    ran = place.shell(["Send({Target = P, Action = 'Ping'})"], "--no-wait", name=name)
    problems = list[str]()
    for _ in range(times):
        problems += Bound(says="").passed(ran)
        ran = place.shell([], "--no-wait", name=name)
    ran.problems, ran.seconds = problems, time.monotonic() - start
    return ran


def _taken_back(times: int, place: Place) -> Ran:
    """Kill the shell while it takes back half of a log. What it took back must be in a file."""
    start, problems = time.monotonic(), list[str]()
    for number in range(times):
        name = f"cut{number}"
        place.shell([LINE.decode().strip()] * LINES, name=name)
        shell = place.start(
            name, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        threading.Timer(random.uniform(0.3, 0.7), _end, [shell.pid]).start()
        shell.communicate(f".undo {LINES // 2 + 1}\n".encode() * 9)
        found = place.shell(["return N or 0", ".verify-log"], name=name)
        count = int((found.out.split() or ["-1"])[0])
        kept = list((place.folder / "home" / "state" / "undone").glob("*"))
        if count < LINES and not kept:
            problems.append(f"{count} of {LINES} left, and nothing is kept")
        problems += Bound(says="").passed(found)
    found.problems, found.seconds = problems, time.monotonic() - start
    return found


def _end(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


def _limited(limit: str, place: Place) -> Ran:
    return place.shell([], name="limited", limit=limit)


def _under(limit: str, *, answers: bool = False, says: str = "") -> Attack:
    """A limit on the shell's processes. It works all the same, or names what it lacks."""
    bound = Bound(says=says, answers=answers)
    return Attack(f"ulimit {limit}", bound, functools.partial(_limited, limit))


ATTACKS = [
    Attack("kill -9 at 3 moments", Bound(30), functools.partial(_killed, 3)),
    Attack("kill -9 at 30 moments", Bound(200), functools.partial(_killed, 30)),
    Attack("kill -9 at 5 moments of .undo", Bound(100), functools.partial(_taken_back, 5)),
    Attack("leaving 20 times while messages go on", Bound(120), functools.partial(_left, 20)),
    _under("-v 60000", says="too little memory"),
    _under("-v 150000", answers=True),
    _under("-n 12", says="too few file descriptors"),
    _under("-n 20", answers=True),
]
