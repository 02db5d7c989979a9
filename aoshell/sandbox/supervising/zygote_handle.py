"""The shell's side of a zygote: starts it, has it fork workers, ends it."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import signal
import socket
import sys
from pathlib import Path

from aoshell.errors import AoError
from aoshell.sandbox.frames import BASE

# The package that a device's zygote imports besides aoshell.
_PACKAGES = {"lua": "lupa", "wasm": "wasmtime"}


def _import_paths(device: str) -> list[str]:
    """The folders where a bare interpreter finds aoshell and the device's package.

    The package is found but not imported, as the shell itself does not need it.
    """
    found = importlib.util.find_spec(_PACKAGES[device])
    places = [__file__] if found is None or found.origin is None else [__file__, found.origin]
    depth = [3, 1]  # folders up: from this file, and from PACKAGE/__init__.py
    return [str(Path(place).resolve().parents[n]) for place, n in zip(places, depth, strict=False)]


# No garbage collection during imports, which leave none; the zygote enables it before it serves.
START = """import gc, sys
gc.disable()
sys.path[:0] = sys.argv[4:]
from aoshell.sandbox.worker.zygote import main
main()"""


def no_worker_error(error: OSError) -> AoError:
    return AoError(
        f"no worker can be started: {error.strerror}",
        stage="sandbox",
        hint="look at the limits on processes, descriptors and memory (`ulimit -a`), and try again",
    )


class ZygoteHandle:
    """A process that forks workers. Raises AoError where it cannot be started.

    Attributes:
        has_forked: whether it was asked for a worker.
    """

    def __init__(self, device: str, base: bytes = b"", *, watched: bool = False) -> None:
        self.has_forked = False
        try:
            self._control, theirs = socket.socketpair()
            null = os.open(os.devnull, os.O_RDWR)
        except OSError as error:
            raise no_worker_error(error) from error
        target = 3 if theirs.fileno() != 3 else theirs.fileno()
        arguments = [device, str(target), str(int(watched)), *_import_paths(device)]
        # -I and an empty environment: no settings of the user reach the interpreter. In a process
        # group of its own it does not get the terminal's Ctrl-C.
        try:
            self.pid = os.posix_spawn(
                sys.executable,
                [sys.executable, "-I", "-S", "-c", START, *arguments],
                {},
                file_actions=[
                    (os.POSIX_SPAWN_DUP2, null, 0),
                    (os.POSIX_SPAWN_DUP2, null, 1),
                    (os.POSIX_SPAWN_DUP2, null, 2),
                    (os.POSIX_SPAWN_DUP2, theirs.fileno(), target),
                ],
                setpgroup=0,
            )
        except OSError as error:
            self._control.close()
            raise no_worker_error(error) from error
        finally:
            theirs.close()
            os.close(null)
        if base:
            with contextlib.suppress(OSError):  # if the zygote is gone, the first worker reports it
                self._control.sendall(BASE + len(base).to_bytes(4, "big") + base)

    def send(self, what: bytes, fds: list[int]) -> None:
        """Send the two sockets of a new worker, or a file. Raises OSError if the zygote ended."""
        socket.send_fds(self._control, [what], fds)

    def close(self) -> None:
        """Kill it. On Linux this also ends its workers: they ask to die with their parent."""
        if self._control.fileno() < 0:
            return  # closed before: another process may have its pid by now
        self._control.close()
        with contextlib.suppress(ProcessLookupError):  # it has ended
            os.kill(self.pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):  # as where SIGCHLD is ignored
            os.waitpid(self.pid, 0)
