"""The child process that computes one AO process; started by a zygote, killed from outside.

`main` is the zygote: it loads a device once (Lua with its environment, or the WASM engine) and
forks a worker for each pair of sockets it is sent.

Roll-back works by *parked forks*. Before a live message, when enough has been computed since the
last time, the worker forks: the child goes on, the parent keeps the state and sleeps until the
child ends. A message that fails makes the child exit (or the kernel kills it at its time limit);
the parent, whose state is older, says so (`promoted`) and is told what to compute again. How often
to park follows from what a fork costs: a tenth of the computing time at most.

Code that came with a process, and its log, are computed under limits too, which are wide enough for
all that once went well. While they are, a fork of the beginning watches, and tells what became of
it should that die.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sys
import time
import zlib
from collections.abc import Callable
from typing import Any, NoReturn

from aoshell.sandbox.confine import confine, die_with_parent
from aoshell.sandbox.fates import OUT_OF_MEMORY, fate, told
from aoshell.sandbox.floor import Floor
from aoshell.sandbox.frames import HEADER, IMAGE_LIMIT, WITH_BYTES, encode, pieces
from aoshell.sandbox.printed import Printed
from aoshell.sandbox.runtime import Host, OutOfMemoryError, Runtime

ROLL_BACK = 3  # exit code of a fork whose message failed; its result is sent already
PARK_SHARE = 10  # a fork may cost one part in this many of the computing time
COPYING = 2  # what a fork costs in all, of its own time: pages are copied when written to later
# Seconds of processor time.
IMAGE_SECONDS = 60.0  # that an image may take; nobody waits longer for it
COMPILE_SECONDS = 300.0  # that compiling a module may take
LOAD_SECONDS = 2.0  # that code may take to load, whatever a message may; ours takes 0.03
REPLAY_TIMES = 10  # a message that went well once may take this many times what a new one may
COMPILE_MEMORY = 4 << 30  # bytes that compiling a module may take
LARGE = 1 << 20  # bytes of a frame from which on the floor is lifted to take it in

LOADING, RESTORING, REPLAYING = (
    "its code does not load",
    "its checkpoint cannot be used",
    "its log cannot be computed again",
)


def main() -> None:
    """The zygote. Arguments: the device's name, the descriptor of the control socket."""
    device, control_fd = sys.argv[1:3]
    printed = Printed()
    host = _host(device, printed)
    control = socket.socket(fileno=int(control_fd))
    floor = Floor()
    confine(control.fileno())
    Zygote(control, host, printed, floor).serve()


def _host(device: str, printed: Printed) -> Host:
    # Each zygote imports its own device only.
    if device == "wasm":
        from aoshell.sandbox.wasm.device import WasmHost

        return WasmHost(printed.add)
    from aoshell.sandbox.lua import LuaHost

    return LuaHost(printed.line)


class Zygote:
    """Forks a worker for each pair of sockets that arrives on `control`."""

    def __init__(self, control: socket.socket, host: Host, printed: Printed, floor: Floor) -> None:
        self._control = control
        self._host = host
        self._printed = printed
        self._floor = floor

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
                Worker(main, side, self._host, self._printed, self._floor).serve()
            for fd in fds:
                os.close(fd)


def _end_out_of_memory(unraisable: Any) -> None:
    """Where Python could not raise: a guest must not go on with an answer that was never made."""
    if isinstance(unraisable.exc_value, MemoryError):
        os._exit(OUT_OF_MEMORY)


class Worker:
    """Computes messages in order; see the module's docstring and `frames`."""

    def __init__(
        self,
        main: socket.socket,
        side: socket.socket,
        host: Host,
        printed: Printed,
        floor: Floor,
    ) -> None:
        self._main = main
        self._side = side
        self._host = host
        self._loaded = host.runtime
        self._printed = printed
        printed.renew()
        self._floor = floor
        self._memory = 0  # bytes of heap the guest may use
        self._seconds = 0.0  # of processor time, that a new message may take
        self._judged = True  # what is run is new
        self._code_size = 0  # bytes of code that came for it
        self._epoch = 0
        self._seq = 0  # the last message whose effects the state holds
        self._parked = 0  # pid of the parked fork that waits for this one, 0: none
        self._watcher = 0  # pid of the fork that watches the beginning, 0: none
        self._task = ""  # of the beginning, what is under way
        self._armed = 0.0  # when the time for a part of it began, seconds; 0: no timer runs
        self._spent = 0.0  # seconds computed since parking
        self._fork_cost = 0.001  # seconds, of the last fork with what is copied behind it
        self._commands: dict[str, Callable[..., None]] = {
            "code": self._code,
            "compile": self._compile,
            "boot": self._boot,
            "lift": self._lift,
            "image": self._image,
            "run": self._run,
            "replay": self._replay,
            "failed": self._failed,
            "dry": self._dry,
            "checkpoint": self._checkpoint,
        }

    def serve(self) -> NoReturn:
        sys.unraisablehook = _end_out_of_memory
        self._send(["ready", os.getpid()])
        while True:
            try:
                command, epoch, *rest = self._receive()
                if epoch == self._epoch:
                    self._commands[command](*rest)
                elif command in WITH_BYTES:
                    self._read(rest[-1])
            except MemoryError:
                os._exit(OUT_OF_MEMORY)

    # Transport ----------------------------------------------------------------------------

    def _read(self, size: int) -> bytes:
        """Exactly that many bytes: what is not read yet belongs to whoever is promoted."""
        if size > LARGE:
            self._floor.lift()
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
            for piece in pieces(frame):
                self._main.sendall(piece)
        except OSError:
            os._exit(0)

    def _broken(self, text: str) -> NoReturn:
        self._send(["broken", text])
        os._exit(0)

    def _unable(self, text: str) -> NoReturn:
        self._send(["unable", text])
        os._exit(0)

    # Before the first message -------------------------------------------------------------

    @property
    def _runtime(self) -> Runtime:
        if self._loaded is None:
            self._broken("no code was loaded")
        return self._loaded

    def _code(self, gas: int, memory: int, seconds: float, length: int) -> None:
        self._seconds, self._code_size = seconds, length
        data = self._read(length)
        self._floor.lay(memory, self._host.room(memory), length)
        self._begin(LOADING)
        self._floor.lower()
        try:
            self._loaded = self._host.load(data, gas, self._host.headroom * memory)
        except MemoryError:
            self._unable(f"{LOADING} within {memory >> 20} MB")
        except Exception as error:
            self._unable(f"{LOADING}: {error}")
        self._floor.lift()

    def _compile(self, gas: int, length: int) -> None:
        source = self._read(length)
        child = os.fork()
        if child:
            how = fate(os.waitpid(child, 0)[1])
            if how == "killed":
                os._exit(0)  # that says nothing about the module
            if how:
                self._send_aside(0, b"", f"compiling it {told(how, COMPILE_SECONDS)}")
            return
        die_with_parent(True)
        self._floor.lay(COMPILE_MEMORY, COMPILE_MEMORY, 0)
        self._floor.lower()
        signal.setitimer(signal.ITIMER_PROF, COMPILE_SECONDS)
        try:
            code, reason = self._host.compile(source, gas), ""
        except (ValueError, MemoryError) as error:
            code, reason = b"", str(error) or "compiling it takes more memory than it may"
        self._send_aside(0, code, reason)
        os._exit(0)

    def _send_aside(self, seq: int, data: bytes, reason: str) -> None:
        with contextlib.suppress(OSError):
            self._side.sendall(encode([seq, len(data), reason]))
            self._side.sendall(data)

    def _boot(self, memory: int, seconds: float, *definition: Any) -> None:
        self._memory, self._seconds = memory, seconds
        self._floor.lay(memory, self._host.room(memory), self._code_size)
        self._runtime.limit_memory(memory)
        self._runtime.boot(definition)

    def _lift(self) -> None:
        self._judged = False

    def _image(self, seq: int, length: int) -> None:
        data = self._read(length)
        self._begin(RESTORING)
        try:
            self._runtime.limit_memory(self._host.headroom * self._memory, judged=False)
            self._runtime.restore(zlib.decompress(data))
            self._runtime.limit_memory(self._memory)
        except (ValueError, zlib.error, MemoryError, OutOfMemoryError) as error:
            self._broken(f"{RESTORING}: {error or 'no memory is left for it'}")
        self._seq = seq

    def _begin(self, task: str) -> None:
        """Under limits from here on: code or a log that came with the process, and not from us."""
        now = time.perf_counter()
        if task != self._task:
            self._observe()
            self._task = task
            self._printed.clear()
            # For whoever watches.
            self._printed.line(f"{task}: it {told('time', self._allowed)}")
            self._floor.lift()
        elif now - self._armed < self._allowed / REPLAY_TIMES:
            return  # a system call for each message would cost more than short ones do
        self._armed = now
        signal.setitimer(signal.ITIMER_PROF, self._allowed)

    @property
    def _allowed(self) -> float:
        """Seconds of processor time for the task: code, an image, or a message of the log."""
        times = 1 if self._task == LOADING else REPLAY_TIMES
        return max(LOAD_SECONDS, times * self._seconds)

    def _begun(self) -> None:
        """What comes now has limits of its own."""
        if self._task:
            self._task = ""
            signal.setitimer(signal.ITIMER_PROF, 0)

    def _observe(self) -> None:
        """Let a fork go on while this one waits, and says what became of it should it die."""
        if self._watcher or self._parked or self._epoch:
            return
        own = os.getpid()
        child = os.fork()
        if child == 0:
            die_with_parent(True)
            self._watcher = own
            self._send(["forked", os.getpid()])
            return
        _pid, status = os.waitpid(child, 0)
        how = fate(status)
        if how and how != "killed":
            overdue = self._printed.text().partition("\n")[0]
            task = overdue.partition(":")[0]
            self._unable(overdue if how == "time" else f"{task}: it {told(how, 0)}")
        os._exit(os.WEXITSTATUS(status) if os.WIFEXITED(status) else 0)

    # Messages -----------------------------------------------------------------------------

    def _run(self, seq: int, seconds: float, *message: Any) -> None:
        self._begun()
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
        self._runtime.limit_memory(self._memory, judged=self._judged)
        if self._judged:
            self._floor.lower()
        start = time.perf_counter()
        # The kernel ends this fork when its processor time is up: nothing that a guest does
        # (pcall, a coroutine, a pattern that never ends) can hold that off.
        signal.setitimer(signal.ITIMER_PROF, seconds)
        try:
            error, *others = self._runtime.deliver(message)
            outcome, result = self._runtime.failure if error else "ok", [error, *others]
        except (OutOfMemoryError, MemoryError):
            outcome, result = "memory", [None, self._printed.text(), "", False, 0]
        signal.setitimer(signal.ITIMER_PROF, 0)
        return outcome, time.perf_counter() - start, result

    def _replay(self, seq: int, *message: Any) -> None:
        self._begin(REPLAYING)
        start = time.perf_counter()
        # It went well once; behind a checkpoint the collector's pace is another.
        size = self._host.headroom * self._memory
        self._runtime.limit_memory(size, judged=False)
        try:
            self._runtime.deliver(message)
        except (OutOfMemoryError, MemoryError):
            self._unable(f"{REPLAYING} within {size >> 20} MB")
        self._spent += time.perf_counter() - start
        self._seq = seq

    def _failed(self, seq: int, text: str) -> None:
        self._begin(REPLAYING)
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
            self._parked, self._watcher, self._spent = own, 0, 0.0
            self._send(["parked", self._seq, os.getpid()])
            return False
        self._end_older()
        self._watch(child)
        return True

    def _end_older(self) -> None:
        """End the fork that was parked before: an older state, of no use from now on."""
        older, self._watcher = self._parked or self._watcher, 0
        if older and os.getppid() == older:  # and not whoever adopted this one
            die_with_parent(False)
            os.kill(older, signal.SIGKILL)
            while os.getppid() == older:
                time.sleep(0.0001)
            die_with_parent(True)

    def _watch(self, child: int) -> None:
        """Sleep until the computing fork ends; return only when this one is to take over."""
        _pid, status = os.waitpid(child, 0)
        why = fate(status)
        if not why:
            if os.WEXITSTATUS(status) != ROLL_BACK:
                os._exit(os.WEXITSTATUS(status))
            why = "rollback"
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
        self._begun()
        # Whoever kills this fork, to stop the dry run, wants another one to take over.
        if not self._parked and self._park_when_due():
            return  # promoted: the dry run will come again, if it is still wanted
        child = os.fork()
        if child == 0:
            die_with_parent(True)
            outcome, spent, result = self._compute(seconds, message)
            cost = (spent * 1000, self._runtime.memory, self._runtime.gas_used)
            try:
                self._send(["dried", token, outcome, *cost, *result])
            except MemoryError:
                os._exit(OUT_OF_MEMORY)
            os._exit(0)
        _pid, status = os.waitpid(child, 0)
        how = fate(status)
        if how:
            outcome = how if how in ("time", "memory", "killed") else "crash"
            printed = self._printed.text()
            cost = (seconds * 1000, 0, 0)
            self._send(["dried", token, outcome, *cost, None, printed, "", False, 0])

    def _checkpoint(self, seq: int) -> None:
        self._bury()
        if os.fork():
            return
        signal.setitimer(signal.ITIMER_PROF, IMAGE_SECONDS)
        self._floor.lift()
        try:
            image, reason = zlib.compress(self._runtime.image(), 1), ""
        except (ValueError, MemoryError) as error:
            image, reason = b"", str(error) or "no memory left for it"
        if len(image) > IMAGE_LIMIT:
            image, reason = b"", f"it is larger than {IMAGE_LIMIT >> 20} MB"
        self._send_aside(seq, image, reason)
        os._exit(0)
