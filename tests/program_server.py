"""Forks programs for tests (program.py): each is a process of its own that has imported already.

It starts nothing, has one thread, and holds no descriptor but the socket. What a fresh interpreter
takes from its environment at its start (locale, PYTHON…), a fork has from this one, so program.py
starts one of these for each such environment.
"""

from __future__ import annotations

import array
import fcntl
import gc
import importlib
import io
import json
import os
import signal
import socket
import sys
import termios
import time
from pathlib import Path
from typing import Any

REQUEST = 1 << 18  # bytes of a request, which holds arguments and environment
STANDARD = 3  # descriptors that a program begins with
# What common runs import: lines of a pipe, the prompt, lists, commands of their own.
LOADED = (
    "aoshell.cli",
    "aoshell.forks.command",
    "aoshell.nodes.joined.carrying",
    "aoshell.nodes.local.node",
    "aoshell.serve.command",
    "aoshell.shell.commands",
    "aoshell.shell.lines.batch",
    "aoshell.shell.prompt.app",
    "aoshell.shell.start",
    "aoshell.states.command",
    "aoshell.testing.command",
)


def serve() -> str:
    """Fork a program for each request. Returns in forks only: the code that the program runs.

    The caller runs it at its outermost level, so that a program ends as an interpreter does.
    """
    control = socket.socket(fileno=int(sys.argv[1]))
    for name in LOADED:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()
    while True:
        request, fds = _receive(control)
        if "wait" in request:
            answer = _status(request["wait"])
        elif (answer := os.fork()) == 0:
            control.close()
            return _become(request, fds)
        for fd in fds:
            os.close(fd)
        control.send(json.dumps(answer).encode())


def _receive(control: socket.socket) -> tuple[dict[str, Any], list[int]]:
    room = socket.CMSG_SPACE(STANDARD * array.array("i").itemsize)
    data, ancillary, _flags, _address = control.recvmsg(REQUEST, room)
    if not data:
        os._exit(0)  # the tests have ended
    fds = array.array("i")
    for _level, _type, sent in ancillary:
        fds.frombytes(sent)
    return json.loads(data), list(fds)


def _status(pid: int) -> int | None:
    """How a program has ended, as waitpid gives it; None while it runs."""
    ended, status = os.waitpid(pid, os.WNOHANG)
    return status if ended else None


def _become(request: dict[str, Any], fds: list[int]) -> str:
    """Be what an interpreter is that has just been started with these arguments."""
    if request["terminal"]:
        os.setsid()
    for number, fd in enumerate(fds):
        os.dup2(fd, number)
    os.closerange(STANDARD, max(fds) + 1)
    if request["terminal"]:
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.umask(request["umask"])
    os.chdir(request["folder"])
    # Where the locale is "C", the interpreter sets another one for its children, too (PEP 538).
    coerced = {"LC_CTYPE": os.environ["LC_CTYPE"]} if "LC_CTYPE" in os.environ else {}
    os.environ.clear()
    os.environ.update(request["environment"] | coerced)
    time.tzset()
    _open_streams()
    return _code(request["command"])


def _open_streams() -> None:
    """As the interpreter opens them, with the encoding that it found for this locale."""
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        before = getattr(sys, f"__{name}__")
        buffer = open(number, f"{mode}b", closefd=False)  # noqa: SIM115 - stays open
        buffer.raw.name = f"<{name}>"
        stream = io.TextIOWrapper(
            buffer,
            before.encoding,
            before.errors,
            newline="\n",
            line_buffering=name == "stderr" or buffer.isatty(),
        )
        stream.mode = mode
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


def _code(command: list[str]) -> str:
    """The code of `-c CODE …` or `FILE …`. Sets what Python sets for it."""
    if command[0] == "-c":
        sys.argv = ["-c", *command[2:]]
        sys.path[0] = ""
        return command[1]
    sys.argv = command
    sys.path[0] = os.path.dirname(os.path.realpath(command[0]))  # noqa: PTH120 - as Python does
    return Path(command[0]).read_text()
