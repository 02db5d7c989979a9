"""A fresh home for an attack, and shells in it whose time and memory are measured."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TypeAlias

LAST = "return 20+22"  # the last line of each shell: its answer shows that the shell goes on
EVERY = 0.1  # seconds between two measurements of the memory of all processes
START = "import sys; from aoshell.cli import main; sys.exit(main())"

Moment: TypeAlias = Callable[[int], object]
"""Called between two lines, with the id of the shell's process."""


@dataclass
class Ran:
    """What a shell did.

    Attributes:
        code: its exit code; below zero the signal that ended it.
        megabytes: the most memory that any of its processes had.
        killed: it did not end, so we killed it.
        problems: what the attack found wrong.
    """

    out: str = ""
    err: str = ""
    code: int = 0
    seconds: float = 0.0
    megabytes: int = 0
    killed: bool = False
    problems: list[str] = field(default_factory=list)


class Place:
    """A fresh home in a folder.

    Args:
        wallet: a file that the home gets as its wallet, since making a key takes a second.
        patience: seconds after which a shell is killed.
    """

    def __init__(self, folder: Path, wallet: Path, patience: float) -> None:
        self.folder = folder
        self.patience = patience
        self._count = 0
        state = folder / "home" / "state"
        state.mkdir(parents=True, mode=0o700)
        shutil.copy(wallet, state / "wallet.json")

    def file(self, name: str) -> Path:
        """A path for a new file."""
        self._count += 1
        return self.folder / f"{self._count}-{name}"

    def shell(
        self,
        lines: Sequence[str | Moment],
        *flags: str,
        name: str = "",
        stdin: IO[bytes] | None = None,
        limit: str = "",
        entry: str = START,
    ) -> Ran:
        """Run a shell with these lines, and `LAST` after them.

        Args:
            lines: they are written without waiting; a moment is called when its turn comes.
            name: of the attached process; "" for a new one.
            stdin: a file to read instead of `lines`.
            limit: arguments of `ulimit`.
            entry: the program, in Python.
        """
        self._count += 1
        out, err = self.file("out"), self.file("err")
        with out.open("wb") as to_out, err.open("wb") as to_err:
            start = time.monotonic()
            words = [name or f"attack-{self._count}", *flags]
            shell = self.start(
                *words,
                limit=limit,
                entry=entry,
                stdin=stdin or subprocess.PIPE,
                stdout=to_out,
                stderr=to_err,
            )
            if not stdin:
                threading.Thread(target=_feed, args=(shell, [*lines, LAST]), daemon=True).start()
            ran = _watched(shell, self.patience)
        ran.seconds = time.monotonic() - start
        ran.out, ran.err = (path.read_text("utf-8", "replace") for path in (out, err))
        return ran

    def start(
        self,
        *words: str,
        stdin: IO[bytes] | int,
        stdout: IO[bytes] | int,
        stderr: IO[bytes] | int,
        limit: str = "",
        entry: str = START,
    ) -> subprocess.Popen[bytes]:
        """Start a shell in this home, as the leader of a new session."""
        bounded = f"ulimit {limit};" if limit else ""
        kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
        return subprocess.Popen(
            [
                "bash",
                "-c",
                f'{bounded} exec "$@"',
                "bash",
                sys.executable,
                "-I",
                "-c",
                entry,
                *words,
            ],
            env=kept | {"HOME": str(self.folder), "AOSHELL_HOME": str(self.folder / "home")},
            cwd=self.folder,
            start_new_session=True,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
        )


def _feed(shell: subprocess.Popen[bytes], lines: Sequence[str | Moment]) -> None:
    assert shell.stdin
    # The shell may end before it has read all.
    with contextlib.suppress(OSError), shell.stdin as stdin:
        for line in lines:
            if callable(line):
                line(shell.pid)
            else:
                stdin.write(line.encode("utf-8", "surrogateescape") + b"\n")
                stdin.flush()


def _watched(shell: subprocess.Popen[bytes], patience: float) -> Ran:
    ran, ended = Ran(), threading.Event()

    def watch() -> None:
        end = time.monotonic() + patience
        while not ended.wait(EVERY):
            below = tree(shell.pid)
            ran.megabytes = max([ran.megabytes, *(size >> 10 for size in below.values())])
            if time.monotonic() > end:
                ran.killed = True
                for pid in below:
                    _kill(pid)
                return

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    shell.wait()
    ended.set()
    watcher.join()
    ran.code = shell.returncode
    return ran


def tree(root: int) -> dict[int, int]:
    """The most memory that a process and all below it have had so far: id → KB."""
    listed = subprocess.run(
        ["ps", "-A", "-o", "pid=,ppid=,rss="], capture_output=True, text=True, check=False
    ).stdout
    rows = [tuple(map(int, line.split())) for line in listed.splitlines() if line.split()[2:]]
    found = {pid: rss for pid, _, rss in rows if pid == root}
    grown = True
    while grown:
        more = {pid: rss for pid, parent, rss in rows if parent in found and pid not in found}
        found |= more
        grown = bool(more)
    return {pid: _peak(pid) or rss for pid, rss in found.items()}


def _peak(pid: int) -> int:
    """KB at most so far, as Linux counts them; 0 on other systems."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1])
    return 0


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
