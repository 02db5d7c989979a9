"""The child process that computes one AO process; started by a zygote, killed from outside.

`main` is the zygote: it loads a device once (Lua with its environment, or the WASM engine) and
forks a worker for each pair of sockets it is sent.

Roll-back works by *parked forks*. Before a live message, when enough has been computed since the
last time, the worker forks: the child goes on, the parent keeps the state and sleeps until the
child ends. A message that fails makes the child exit (or the kernel kills it at its time limit);
the parent, whose state is older, says so (`promoted`) and is told what to compute again. How often
to park follows from what a fork costs: a tenth of the computing time at most.
"""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import signal
import socket
import sys
import time
import zlib
from collections.abc import Callable
from typing import Any, NoReturn

from aoshell.sandbox.confine import confine, die_with_parent
from aoshell.sandbox.frames import HEADER, WITH_BYTES, encode
from aoshell.sandbox.runtime import Host, OutOfMemory, Runtime

ROLL_BACK = 3  # exit code of a fork whose message failed; its result is sent already
PARK_SHARE = 10  # a fork may cost one part in this many of the computing time
COPYING = 2  # what a fork costs in all, of its own time: pages are copied when written to later
IMAGE_SECONDS = 60.0  # of computing, that an image may take; nobody waits longer for it
PRINTED_LIMIT = 1 << 20  # bytes of prints kept for a message that is killed


def main() -> None:
    """The zygote. Arguments: the device's name, the descriptor of the control socket."""
    device, control_fd = sys.argv[1:3]
    printed = Printed()
    host = _host(device, printed)
    control = socket.socket(fileno=int(control_fd))
    confine(control.fileno())
    Zygote(control, host, printed).serve()


def _host(device: str, printed: Printed) -> Host:
    # Each zygote imports its own device only.
    if device == "wasm":
        from aoshell.sandbox.wasm.device import WasmHost

        return WasmHost(printed.add)
    from aoshell.sandbox.lua import LuaHost

    return LuaHost(printed.line)


class Printed:
    """What the running message has printed, in memory shared with the parked fork."""

    def __init__(self) -> None:
        self._page = mmap.mmap(-1, PRINTED_LIMIT + 8)
        self._used = 8

    def clear(self) -> None:
        self._used = 8
        self._page[:8] = bytes(8)

    def line(self, text: str) -> None:
        self.add(text + "\n")

    def add(self, text: str) -> None:
        data = text.encode("latin-1")
        room = PRINTED_LIMIT + 8 - self._used
        data = data[:room]
        self._page[self._used : self._used + len(data)] = data
        self._used += len(data)
        self._page[:8] = self._used.to_bytes(8, "big")

    def text(self) -> str:
        used = int.from_bytes(self._page[:8], "big")
        return self._page[8:used].decode("latin-1").removesuffix("\n")


class Zygote:
    """Forks a worker for each pair of sockets that arrives on `control`."""

    def __init__(self, control: socket.socket, host: Host, printed: Printed) -> None:
        self._control = control
        self._host = host
        self._printed = printed

    def serve(self) -> NoReturn:
        # Children and orphaned grandchildren are nobody's to wait for: the kernel buries them.
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        while True:
            data, fds, _flags, _address = socket.recv_fds(self._control, 1, 2)
            if not data:
                os._exit(0)
            if len(fds) == 2 and os.fork() == 0:
                die_with_parent(True)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                os.setpgid(0, 0)
                os.dup2(0, self._control.fileno())  # closed, but its number is not free
                main, side = (socket.socket(fileno=fd) for fd in fds)
                Worker(main, side, self._host, self._printed).serve()
            for fd in fds:
                os.close(fd)


class Worker:
    """Computes messages in order; see the module's docstring and `frames`."""

    def __init__(
        self, main: socket.socket, side: socket.socket, host: Host, printed: Printed
    ) -> None:
        self._main = main
        self._side = side
        self._host = host
        self._loaded = host.runtime
        self._printed = printed
        self._memory = 0  # bytes of heap the guest may use
        self._epoch = 0
        self._seq = 0  # the last message whose effects the state holds
        self._parked = 0  # pid of the parked fork that waits for this one, 0: none
        self._spent = 0.0  # seconds computed since parking
        self._fork_cost = 0.001  # seconds, of the last fork with what is copied behind it
        self._commands: dict[str, Callable[..., None]] = {
            "code": self._code,
            "compile": self._compile,
            "boot": self._boot,
            "image": self._image,
            "run": self._run,
            "replay": self._replay,
            "failed": self._failed,
            "dry": self._dry,
            "checkpoint": self._checkpoint,
        }

    def serve(self) -> NoReturn:
        self._send(["ready", os.getpid()])
        while True:
            command, epoch, *rest = self._receive()
            if epoch == self._epoch:
                self._commands[command](*rest)
            elif command in WITH_BYTES:
                self._read(rest[-1])

    # Transport ----------------------------------------------------------------------------

    def _read(self, size: int) -> bytes:
        """Exactly that many bytes: what is not read yet belongs to whoever is promoted."""
        data = self._main.recv(size, socket.MSG_WAITALL)
        if len(data) == size:
            return data
        parts = bytearray(data)
        while len(parts) < size:
            more = self._main.recv(size - len(parts)) if data else b""
            if not more:
                os._exit(0)  # the shell is gone or has let go of this process
            parts += more
        return bytes(parts)

    def _receive(self) -> list[Any]:
        # The header stays until the whole frame is taken at once: a fork that is killed in between
        # would leave half a frame to the one that is promoted.
        header = b""
        while len(header) < HEADER:
            header = self._main.recv(HEADER, socket.MSG_PEEK)
            if not header:
                os._exit(0)
        body = self._read(HEADER + int.from_bytes(header, "big"))[HEADER:]
        frame: list[Any] = json.loads(body.decode("latin-1"))
        return frame

    def _send(self, frame: list[Any]) -> None:
        try:
            self._main.sendall(encode(frame))
        except OSError:
            os._exit(0)

    def _broken(self, text: str) -> NoReturn:
        self._send(["broken", text])
        os._exit(0)

    # Before the first message -------------------------------------------------------------

    @property
    def _runtime(self) -> Runtime:
        if self._loaded is None:
            self._broken("no code was loaded")
        return self._loaded

    def _code(self, gas: int, length: int) -> None:
        try:
            self._loaded = self._host.load(self._read(length), gas)
        except Exception as error:
            self._broken(f"its code cannot be loaded: {error}")

    def _compile(self, gas: int, length: int) -> None:
        source = self._read(length)
        try:
            code, reason = self._host.compile(source, gas), ""
        except ValueError as error:
            code, reason = b"", str(error)
        self._send_aside(0, code, reason)

    def _send_aside(self, seq: int, data: bytes, reason: str) -> None:
        with contextlib.suppress(OSError):
            self._side.sendall(encode([seq, len(data), reason]) + data)

    def _boot(self, memory: int, *definition: Any) -> None:
        self._runtime.limit_memory(memory)
        self._memory = memory
        self._runtime.boot(definition)

    def _image(self, seq: int, length: int) -> None:
        data = self._read(length)
        try:
            self._runtime.limit_memory(self._runtime.headroom * self._memory)
            self._runtime.restore(zlib.decompress(data))
            self._runtime.limit_memory(self._memory)
        except (ValueError, zlib.error) as error:
            self._broken(f"the checkpoint cannot be used: {error}")
        self._seq = seq

    # Messages -----------------------------------------------------------------------------

    def _run(self, seq: int, seconds: float, *message: Any) -> None:
        if self._park_when_due():
            return  # promoted: this message will come again
        outcome, spent, result = self._compute(seconds, message)
        cost = (spent * 1000, self._runtime.memory, self._runtime.gas_used)
        self._send(["done", self._epoch, seq, outcome, *cost, *result])
        if outcome != "ok":
            os._exit(ROLL_BACK)
        self._spent += spent
        self._seq = seq

    def _compute(self, seconds: float, message: tuple[Any, ...]) -> tuple[str, float, list[Any]]:
        self._printed.clear()
        self._runtime.limit_memory(self._memory)
        start = time.perf_counter()
        # The kernel ends this fork when its processor time is up: nothing that a guest does
        # (pcall, a coroutine, a pattern that never ends) can hold that off.
        signal.setitimer(signal.ITIMER_PROF, seconds)
        try:
            result = list(self._runtime.deliver(message))
            outcome = self._runtime.failure if result[0] else "ok"
        except OutOfMemory:
            outcome, result = "memory", [None, self._printed.text(), "", False, 0]
        signal.setitimer(signal.ITIMER_PROF, 0)
        return outcome, time.perf_counter() - start, result

    def _replay(self, seq: int, *message: Any) -> None:
        start = time.perf_counter()
        # It went well once; behind a checkpoint the collector's pace is another.
        size = self._runtime.headroom * self._memory
        self._runtime.limit_memory(size)
        try:
            self._runtime.deliver(message)
        except OutOfMemory:
            self._broken(f"its log cannot be computed again within {size >> 20} MB")
        self._spent += time.perf_counter() - start
        self._seq = seq

    def _failed(self, seq: int, text: str) -> None:
        self._runtime.failed(text)
        self._seq = seq

    # Forks --------------------------------------------------------------------------------

    def _park_when_due(self) -> bool:
        """Keep this state in a parked fork if it is time. True in the fork that was promoted."""
        if self._parked and self._spent < PARK_SHARE * self._fork_cost:
            return False
        self._bury()
        own = os.getpid()
        start = time.perf_counter()
        child = os.fork()
        if child == 0:
            die_with_parent(True)
            self._fork_cost = max(COPYING * (time.perf_counter() - start), 0.001)
            self._parked, self._spent = own, 0.0
            self._send(["parked", self._seq, os.getpid()])
            return False
        self._end_older()
        self._watch(child)
        return True

    def _end_older(self) -> None:
        """End the fork that was parked before: an older state, of no use from now on."""
        if self._parked and os.getppid() == self._parked:  # and not whoever adopted this one
            die_with_parent(False)
            os.kill(self._parked, signal.SIGKILL)
            while os.getppid() == self._parked:
                time.sleep(0.0001)
            die_with_parent(True)

    def _watch(self, child: int) -> None:
        """Sleep until the computing fork ends; return only when this one is to take over."""
        _pid, status = os.waitpid(child, 0)
        if os.WIFSIGNALED(status):
            number = os.WTERMSIG(status)
            names = {signal.SIGPROF: "time", signal.SIGKILL: "killed"}
            why = names.get(signal.Signals(number), f"crash {number}")
        elif os.WEXITSTATUS(status) == ROLL_BACK:
            why = "rollback"
        else:
            os._exit(os.WEXITSTATUS(status))
        self._epoch += 1
        self._parked, self._spent = 0, 0.0
        self._send(["promoted", self._seq, why, self._printed.text(), os.getpid()])

    def _bury(self) -> None:
        """Collect checkpoint forks that have ended."""
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            pass

    def _dry(self, token: int, seconds: float, *message: Any) -> None:
        # Whoever kills this fork, to stop the dry run, wants another one to take over.
        if not self._parked and self._park_when_due():
            return  # promoted: the dry run will come again, if it is still wanted
        child = os.fork()
        if child == 0:
            die_with_parent(True)
            outcome, spent, result = self._compute(seconds, message)
            cost = (spent * 1000, self._runtime.memory, self._runtime.gas_used)
            self._send(["dried", token, outcome, *cost, *result])
            os._exit(0)
        _pid, status = os.waitpid(child, 0)
        if os.WIFSIGNALED(status):
            outcome = "time" if os.WTERMSIG(status) == signal.SIGPROF else "crash"
            printed = self._printed.text()
            cost = (seconds * 1000, 0, 0)
            self._send(["dried", token, outcome, *cost, None, printed, "", False, 0])

    def _checkpoint(self, seq: int) -> None:
        self._bury()
        if os.fork():
            return
        signal.setitimer(signal.ITIMER_PROF, IMAGE_SECONDS)
        try:
            image, reason = zlib.compress(self._runtime.image(), 1), ""
        except (ValueError, MemoryError) as error:
            image, reason = b"", str(error) or "no memory left for it"
        self._send_aside(seq, image, reason)
        os._exit(0)
