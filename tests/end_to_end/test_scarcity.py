"""A machine with too little of something: the shell names it, and ends."""

from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path

import pytest
from program import ENTRY

from aoshell.scarcity import to_ao_error

REPO = Path(__file__).resolve().parents[2]

# The database takes no more than it has and a few pages: SQLite says what it says of a full disk.
FULL = """
import sys
from aoshell import cli
from aoshell.nodes.local.waiting import retries
from aoshell.nodes.local.log import database
retries.RETRY = 0.1
opened = database.open_to_write
def small(path):
    db = opened(path)
    pages = db.execute("PRAGMA page_count").fetchone()[0]
    db.execute(f"PRAGMA max_page_count = {pages + 40}")
    return db
database.open_to_write = small
sys.exit(cli.main())
"""


def run(
    environment: dict[str, str], entry: str, limit: str = "", stdin: str = "1+1\n"
) -> subprocess.CompletedProcess[str]:
    bounded = f"ulimit {limit};" if limit else ""
    return subprocess.run(
        ["bash", "-c", f'{bounded} exec "$@"', "bash", sys.executable, "-c", entry],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        env=environment,
        cwd=REPO,
        check=False,
    )


@pytest.mark.parametrize(
    "line", ["return ('x'):rep(2000000)", "for i = 1, 99 do print(('x'):rep(9999)) end"]
)
def test_a_full_disk_ends_a_pipe_with_one_message(environment: dict[str, str], line: str) -> None:
    done = run(environment, FULL, stdin=f"{line}\nprint('next')\n")
    assert done.returncode == 1
    assert done.stderr.count("database or disk is full") == 1, done.stderr
    assert "free some room on the disk" in done.stderr
    assert "next" not in done.stdout


def test_a_full_disk_refuses_a_line_with_one_message(environment: dict[str, str]) -> None:
    lines = "".join(f"x{n} = [[{'y' * 9000}]]\n" for n in range(60))
    done = run(environment, FULL, stdin=lines)
    assert done.returncode == 1
    assert done.stderr.count("database or disk is full") == 1, done.stderr


@pytest.mark.parametrize(
    ("limit", "what"),
    [
        ("-v 60000", "the shell has too little memory: 58 MB"),
        ("-n 12", "the shell has too few file descriptors"),
        ("-n 14", "Too many open files|too few file descriptors"),
        ("-f 0", "File too large|room in a file"),
    ],
)
@pytest.mark.skipif(sys.platform != "linux", reason="systems differ in what their limits do")
def test_a_limit_that_is_met_is_named(environment: dict[str, str], limit: str, what: str) -> None:
    done = run(environment, ENTRY, limit)
    assert done.returncode == 1
    assert any(part in done.stderr for part in what.split("|")), done.stderr
    for never in ("a defect of the shell", "Traceback"):
        assert never not in done.stderr


# As the kernel does where no more processes may be: each fork of the zygote fails.
NO_FORKS = """
import sys
from aoshell import cli
from aoshell.sandbox.supervising import zygote_handle
zygote_handle.START = zygote_handle.START.replace("main()", "") + chr(10) + chr(10).join([
    "import errno, os",
    "def fork(): raise BlockingIOError(errno.EAGAIN, 'no more processes')",
    "os.fork = fork",
    "main()",
])
sys.exit(cli.main())
"""


def test_workers_that_cannot_be_forked_say_what_to_do(environment: dict[str, str]) -> None:
    done = run(environment, NO_FORKS)
    assert done.returncode == 1
    assert "no worker for this process stays up; if too few processes" in done.stderr
    assert "raise `ulimit -u`" in done.stderr and "Traceback" not in done.stderr


def test_few_descriptors_are_enough_for_many_processes(environment: dict[str, str]) -> None:
    """Workers make room for one another."""
    script = "for i = 1, 5 do Spawn('aos', {}) end\nreturn 20+22\n"
    done = run(environment, ENTRY, "-n 20", script)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[-1] == "42"


@pytest.mark.parametrize(
    ("error", "what"),
    [
        (MemoryError(), "too little memory"),
        (RuntimeError("can't start new thread"), "too little memory or threads"),
        (OSError(errno.EMFILE, "x"), "too few file descriptors"),
        (OSError(errno.ENOSPC, "x"), "too little room on the disk"),
        (BlockingIOError(errno.EAGAIN, "x"), "too few processes"),
        (ImportError("a.so: failed to map segment from shared object"), "too little memory"),
        (ImportError("a.so: cannot open shared object file"), "a defect of the shell itself"),
        (KeyError("x"), "a defect of the shell itself: KeyError"),
    ],
)
def test_a_lack_is_told_from_a_defect(error: Exception, what: str) -> None:
    assert what in str(to_ao_error(error))


def test_the_cause_counts() -> None:
    try:
        try:
            raise MemoryError
        except MemoryError as cause:
            raise ValueError("no place for it") from cause
    except ValueError as error:
        assert "too little memory" in str(to_ao_error(error))
