"""The process that forks workers: it loads a device once and serves a control socket.

`main` is what the supervisor starts. The device is Lua with its environment, or the WASM engine.
"""

from __future__ import annotations

import gc
import os
import signal
import socket
import sys
from typing import NoReturn

from aoshell.sandbox.frames import BASE, BASED, COUNTING
from aoshell.sandbox.runtime import Host, Runtime
from aoshell.sandbox.worker.confine import confine, die_with_parent
from aoshell.sandbox.worker.floor import Floor
from aoshell.sandbox.worker.printed import Printed
from aoshell.sandbox.worker.worker import Worker
from aoshell.sandbox.worker.worker_sockets import WorkerSockets


def main() -> None:
    """The zygote. Arguments: the device's name, the descriptor of the control socket, and whether
    its workers can be watched, 0 or 1."""
    device, control_fd, watched = sys.argv[1:4]
    printed = Printed()
    host = _host(device, printed, watched=watched == "1")
    control = socket.socket(fileno=int(control_fd))
    floor = Floor()
    # Last: the device is imported and /proc is read, which both need files.
    confine(control.fileno())
    Zygote(control, host, printed, floor).serve()


def _host(device: str, printed: Printed, *, watched: bool) -> Host:
    # Imported here: lupa and wasmtime each take time and memory that the other zygote saves.
    if device == "wasm":
        from aoshell.sandbox.wasm.device import WasmHost

        return WasmHost(printed.add)
    from aoshell.sandbox.lua import LuaHost

    return LuaHost(printed.line, watched=watched)


def _fork() -> bool:
    """Fork; True in the child. If that fails, the shell sees the worker's sockets closed."""
    try:
        return os.fork() == 0
    except OSError:
        return False


class Zygote:
    """Forks a worker for each pair of sockets that arrives on `control`."""

    def __init__(self, control: socket.socket, host: Host, printed: Printed, floor: Floor) -> None:
        self._control = control
        self._host = host
        self._printed = printed
        self._floor = floor
        self._base: Runtime | None = None

    def serve(self) -> NoReturn:
        # The kernel reaps workers, and the forks that the zygote adopted.
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        gc.enable()
        while True:
            # Garbage collection in a fork must not touch the objects that exist now, or each fork
            # would get its own copy of their pages.
            gc.freeze()
            what, fds, _flags, _address = socket.recv_fds(self._control, 1, 2)
            if not what:
                os._exit(0)
            if what == BASE:
                self._take_base()
            elif what == COUNTING:
                self._take_counting(fds[0])
            elif len(fds) == 2 and _fork():
                self._work(fds, self._base if what == BASED else self._host.runtime)
            for fd in fds:
                os.close(fd)

    def _take_base(self) -> None:
        size = int.from_bytes(self._control.recv(4, socket.MSG_WAITALL), "big")
        code = self._control.recv(size, socket.MSG_WAITALL)
        self._base = self._host.load(code, 0, 0)

    def _take_counting(self, file: int) -> None:
        from aoshell.sandbox.counting import take_counting

        take_counting(os.pread(file, os.fstat(file).st_size, 0))

    def _work(self, fds: list[int], runtime: Runtime | None) -> NoReturn:
        die_with_parent(True)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setpgid(0, 0)
        # The worker must not have the control socket. /dev/null takes its number, as a free number
        # would let the worker open something.
        os.dup2(0, self._control.fileno())
        main, side = (socket.socket(fileno=fd) for fd in fds)
        sockets = WorkerSockets(main, side, self._floor)
        Worker(sockets, self._host, runtime, self._printed, self._floor).serve()
