"""The program in a process of its own, as its user has it, without half a second of imports.

`Popen`, `run` and `Spawn` take what subprocess and pexpect take. Where the command is Python that
runs AOSHELL or one of the FILES, a server forks it (program_server.py): a real process, with its
own pid, session, environment, folder and exit code. Other commands are started as they are, and so
is all where AOSHELL_FRESH is set, or where the start of an interpreter itself is to be judged.
"""

from __future__ import annotations

import array
import json
import os
import pty
import re
import select
import socket
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pexpect
import ptyprocess
from eventually import SECONDS
from program_server import REQUEST

TESTS = Path(__file__).resolve().parent
REPO = TESTS.parent
ENTRY = "import sys; from aoshell.entry import main; sys.exit(main())"
AOSHELL = [sys.executable, "-c", ENTRY]
CODES = [["-c", ENTRY]]
# Programs on nodes of tests, and nodes that are killed.
ENTRIES = ("shell/shell_entry.py", "shell/shell_remote_entry.py", "shell/attested_entry.py")
KILLED = ("nodes/crash_driver.py", "nodes/import_driver.py")
FILES = [[str(TESTS / name)] for name in (*ENTRIES, *KILLED)]
Folder = str | os.PathLike[str] | None
_START = f"""import sys
sys.path.insert(0, {str(TESTS)!r})
from program_server import serve
del sys.path[0]
exec(serve())"""


class Server:
    """A process that forks programs which start with the same locale and the same Python path."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._lock = threading.Lock()
        self._control, theirs = socket.socketpair(type=socket.SOCK_SEQPACKET)
        for end in (self._control, theirs):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, REQUEST)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _START, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                env=environment,
                cwd=REPO,
                stdin=subprocess.DEVNULL,
            )

    def fork(
        self,
        command: list[str],
        environment: Mapping[str, str] | None,
        folder: Folder,
        fds: Sequence[int],
        *,
        terminal: bool = False,
    ) -> Child:
        """Start a program, in a session of its own where it has a terminal.

        Args:
            command: the interpreter, and what it runs; the interpreter is this server's.
            environment, folder: as subprocess takes them.
            fds: its standard input, output and errors.
        """
        request = {
            "command": command[1:],
            "environment": dict(os.environ if environment is None else environment),
            "folder": _absolute(folder),
            "terminal": terminal,
            "umask": _umask(),
        }
        return Child(self, self._ask(request, fds))

    def status(self, pid: int) -> int | None:
        """How a program has ended, as waitpid gives it; None while it runs."""
        return self._ask({"wait": pid})

    def _ask(self, request: dict[str, Any], fds: Sequence[int] = ()) -> Any:
        sent = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        with self._lock:
            self._control.sendmsg([json.dumps(request).encode()], sent)
            answer = self._control.recv(REQUEST)
        assert answer, "the server of programs has ended"
        return json.loads(answer)


class Child:
    """A forked program, for whoever waits for it."""

    def __init__(self, server: Server, pid: int) -> None:
        self.pid = pid
        self._server = server
        self._status: int | None = None

    def status(self, *, wait: bool = False) -> int | None:
        """How it ended, as os.waitpid gives it; None while it runs. It waits once."""
        if self._status is None:
            if wait:
                self._end()
            self._status = self._server.status(self.pid)
        return self._status

    def _end(self) -> None:
        ending = os.pidfd_open(self.pid)
        try:
            select.select([ending], [], [])
        finally:
            os.close(ending)


_servers: dict[tuple[tuple[str, str], ...], Server] = {}


def _server(
    command: list[str], environment: Mapping[str, str] | None, folder: Folder
) -> Server | None:
    """Who forks a program; None where it is to be started as it is."""
    if command[0] != sys.executable or (command[1:3] not in CODES and command[1:2] not in FILES):
        return None
    if "AOSHELL_FRESH" in os.environ or not hasattr(os, "pidfd_open"):
        return None
    environment = os.environ if environment is None else environment
    kept = {k: v for k, v in environment.items() if k.startswith(("LANG", "LC_", "PYTHON"))}
    python = {name: value for name, value in kept.items() if name.startswith("PYTHON")}
    here = str(REPO)  # otherwise it may import another aoshell than ours
    if python != {"PYTHONPATH": here} and (python or _absolute(folder) != here):
        return None
    key = tuple(sorted(kept.items()))
    if key not in _servers:
        _servers[key] = Server(kept)
    return _servers[key]


def _umask() -> int:
    # os.umask would set it for a moment, in which another thread may make a file.
    found = re.search(r"^Umask:\s+(\d+)", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert found
    return int(found[1], 8)


def _absolute(folder: Folder) -> str:
    return str(Path.cwd() if folder is None else Path(folder).absolute())


class Popen(subprocess.Popen[Any]):
    """As subprocess.Popen."""

    _child: Child | None = None

    def _execute_child(self, args: Any, executable: Any, *rest: Any) -> None:
        before, _close, passed, folder, environment, _info, _flags, shell, *more = rest
        *ends, _restore, gid, groups, uid, umask, session, group = more
        server = None
        if not any((executable, before, passed, shell, session)) and group == umask == -1:
            assert gid is groups is uid is None
            server = _server(args, environment, folder)
        if server is None:
            super()._execute_child(args, executable, *rest)
            return
        fds = [number if fd == -1 else fd for number, fd in enumerate((ends[0], ends[3], ends[5]))]
        self._child = server.fork(args, environment, folder, fds)
        self._child_created = True
        self.pid = self._child.pid
        self._close_pipe_fds(*ends)

    def _try_wait(self, flags: int) -> tuple[int, int]:
        if self._child is None:
            return super()._try_wait(flags)
        status = self._child.status(wait=not flags & os.WNOHANG)
        return (0, 0) if status is None else (self.pid, status)

    def _internal_poll(self, *args: Any, **kwargs: Any) -> int | None:
        if self._child is None:
            return super()._internal_poll(*args, **kwargs)
        if self.returncode is None:
            ended, status = self._try_wait(os.WNOHANG)
            if ended:
                self._handle_exitstatus(status)
        return self.returncode


def run(
    command: list[str], *, input: Any = None, timeout: float | None = None, **more: Any
) -> subprocess.CompletedProcess[Any]:
    """As subprocess.run, but for `check`."""
    check = more.pop("check", False)
    if more.pop("capture_output", False):
        more |= {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    if input is not None:
        more["stdin"] = subprocess.PIPE
    with Popen(command, **more) as process:
        try:
            out, err = process.communicate(input, timeout=timeout)
        except BaseException:
            process.kill()
            raise
    done = subprocess.CompletedProcess(command, process.returncode, out, err)
    if check:
        done.check_returncode()
    return done


class Ended(pexpect.spawn):
    """As pexpect.spawn, but `close` waits for the end of what it has killed.

    pexpect waits 0.1 s, and on a busy machine that is too short.
    """

    def close(self, force: bool = True) -> None:
        with suppress(pexpect.ExceptionPexpect):
            super().close(force)
        end = time.monotonic() + SECONDS
        while self.ptyproc.isalive() and time.monotonic() < end:
            time.sleep(0.02)
        super().close(force)


class Spawn(Ended):
    """The same, of a program whose interpreter is there already.

    Args:
        ahead: is typed before the program begins.
    """

    def __init__(self, *args: Any, ahead: bytes = b"", **how: Any) -> None:
        self._ahead = ahead
        super().__init__(*args, **how)

    def _spawnpty(self, args: list[Any], **how: Any) -> ptyprocess.PtyProcess:
        command, environment, folder = [os.fsdecode(arg) for arg in args], how["env"], how["cwd"]
        plain = how["preexec_fn"] is None and how["echo"]
        server = _server(command, environment, folder) if plain else None
        if server is None:
            fresh = super()._spawnpty(args, **how)
            os.write(fresh.fd, self._ahead)
            return fresh
        ours, theirs = pty.openpty()
        try:
            termios.tcsetwinsize(theirs, how.get("dimensions", (24, 80)))
            os.write(ours, self._ahead)
            child = server.fork(command, environment, folder, [theirs] * 3, terminal=True)
        finally:
            os.close(theirs)
        return _Pty(child, ours)


class _Pty(ptyprocess.PtyProcess):
    """The terminal of a forked program."""

    def __init__(self, child: Child, fd: int) -> None:
        super().__init__(child.pid, fd)
        self._child = child

    def isalive(self) -> bool:
        # At the end of its output it ends, too: pexpect waits for that.
        status = self._child.status(wait=self.flag_eof)
        if status is None:
            return True
        self.terminated, self.status = True, status
        code = os.waitstatus_to_exitcode(status)
        self.exitstatus, self.signalstatus = (code, None) if code >= 0 else (None, -code)
        return False

    def wait(self) -> int | None:
        self._child.status(wait=True)
        self.isalive()
        return self.exitstatus
