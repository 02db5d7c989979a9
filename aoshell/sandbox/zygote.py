"""The process that forks workers: it loads a device once and serves a control socket.

`main` is what the supervisor starts. The device is Lua with its environment, or the WASM engine.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from typing import NoReturn

from aoshell.sandbox.confine import confine, die_with_parent
from aoshell.sandbox.floor import Floor
from aoshell.sandbox.printed import Printed
from aoshell.sandbox.runtime import Host
from aoshell.sandbox.worker import Worker
from aoshell.sandbox.worker_sockets import WorkerSockets


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


class Zygote:
    """Forks a worker for each pair of sockets that arrives on `control`."""

    def __init__(self, control: socket.socket, host: Host, printed: Printed, floor: Floor) -> None:
        self._control = control
        self._host = host
        self._printed = printed
        self._floor = floor

    def serve(self) -> NoReturn:
        # Nobody waits for workers, or for forks that the zygote adopted: the kernel reaps them.
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        while True:
            data, fds, _flags, _address = socket.recv_fds(self._control, 1, 2)
            if not data:
                os._exit(0)
            if len(fds) == 2 and os.fork() == 0:
                die_with_parent(True)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                os.setpgid(0, 0)
                # A worker has no business with the control socket. It becomes a copy of /dev/null:
                # a free number would let the worker open something.
                os.dup2(0, self._control.fileno())
                main, side = (socket.socket(fileno=fd) for fd in fds)
                sockets = WorkerSockets(main, side, self._floor)
                Worker(sockets, self._host, self._printed, self._floor).serve()
            for fd in fds:
                os.close(fd)
