"""What the operating system denies a worker, whatever runs in it."""

from __future__ import annotations

import errno
import fcntl
import os
import resource
import signal
import struct
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from sandbox_guest import definition
from sandbox_worker import Driven, driven, end, eventually, group_of, is_alive

from aoshell.sandbox import environment
from aoshell.sandbox.supervising.supervisor import Supervisor
from aoshell.sandbox.worker import confine

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
FILTERED = pytest.mark.skipif(
    os.uname().machine not in ("x86_64", "aarch64"), reason="no filter for this machine"
)


def proc(pid: int, name: str) -> str:
    return Path(f"/proc/{pid}/{name}").read_text(encoding="ascii")


def status(pid: int) -> dict[str, str]:
    lines = (line.partition(":") for line in proc(pid, "status").splitlines())
    return {name: value.strip() for name, _, value in lines}


def descriptors(pid: int) -> dict[int, str]:
    folder = Path(f"/proc/{pid}/fd")
    found = {}
    try:
        for entry in folder.iterdir():
            with suppress(FileNotFoundError):  # closed meanwhile: a program loads its libraries
                found[int(entry.name)] = str(entry.readlink())
    except PermissionError:
        pytest.skip("the process hides its descriptors from this user, as it should")
    return found


@pytest.fixture
def inherited(tmp_path: Path) -> Iterator[int]:
    """A descriptor that children inherit, as a shell's redirection makes one."""
    fd = os.open(tmp_path / "secret", os.O_CREAT | os.O_RDWR)
    high = fcntl.fcntl(fd, fcntl.F_DUPFD, 60)  # one that nobody has: others' stay open
    os.set_inheritable(high, True)
    yield high
    os.close(fd)
    os.close(high)


def test_a_worker_has_its_sockets_and_nothing_else(inherited: int) -> None:
    own = Supervisor()
    own.start()
    try:
        with driven(own) as worker:
            found = descriptors(worker.worker.pid)
            sockets = [fd for fd, target in found.items() if target.startswith("socket:")]
            others = {target for target in found.values() if not target.startswith("socket:")}
            assert len(sockets) == confine.SOCKETS
            assert others == {"/dev/null"}
            assert inherited not in found
    finally:
        own.close()
    # Control: a child that does not let go of it has it.
    child = subprocess.Popen(["sleep", "5"], close_fds=False)
    assert inherited in descriptors(child.pid)
    child.kill()
    child.wait()


def test_a_worker_has_no_environment_and_no_folder(worker: Driven) -> None:
    pid = worker.worker.pid
    try:
        assert proc(pid, "environ") == ""
        assert os.readlink(f"/proc/{pid}/cwd") == "/"  # noqa: PTH115
    except PermissionError:
        pytest.skip("the process hides it from this user, as it should")
    assert "PATH" in os.environ  # control: there was something to inherit


def test_a_worker_has_no_privileges_to_gain(worker: Driven) -> None:
    found = status(worker.worker.pid)
    assert found["NoNewPrivs"] == "1"
    limits = proc(worker.worker.pid, "limits")
    for name in ("Max core file size", "Max file size"):
        line = next(line for line in limits.splitlines() if line.startswith(name))
        assert line.split()[len(name.split()) :][:2] == ["0", "0"]


@FILTERED
def test_a_workers_system_calls_are_filtered(worker: Driven) -> None:
    assert status(worker.worker.pid)["Seccomp"] == "2"


# System calls from inside a worker ----------------------------------------------------------------

# The zygote's program, with a command that makes Python calls in the worker instead of `failed`.
PROBE = """
import errno, os, resource, signal, socket, sys
sys.path[:0] = sys.argv[3:]
from aoshell.sandbox.worker import confine
from aoshell.sandbox.worker import worker
from aoshell.sandbox.worker import zygote
import ctypes
libc = ctypes.CDLL(None, use_errno=True)

def call(name, *arguments):
    if libc[name](*arguments) < 0:
        raise OSError(ctypes.get_errno(), "")

def probe(self, seq, code):
    try:
        answer = repr(eval(code))
    except OSError as error:
        answer = errno.errorcode[error.errno]
    self._sockets.send(["broken", answer])

worker.Worker._failed = probe
WITHOUT
zygote.main()
"""
NO_FILTER = "confine.filter_system_calls = lambda libc: False\n"
NO_LIMITS = "resource.setrlimit = lambda *given: None\n"

# What a call answers without the filter: it must not be EPERM for another reason.
CALLS = {
    "os.open('/etc/passwd', os.O_RDONLY)": "EMFILE",
    "open('/etc/passwd')": "EMFILE",
    "os.open('/', os.O_RDONLY)": "EMFILE",
    "os.listdir('/')": "EMFILE",
    "socket.socket()": "EMFILE",
    "socket.socketpair()": "EMFILE",
    "os.memfd_create('x')": "EMFILE",
    "os.execv('/bin/no-such-program', ['x'])": "ENOENT",
    "os.unlink('/nowhere/at/all')": "ENOENT",
    "os.rename('/nowhere/at/all', '/nowhere/else')": "ENOENT",
    "os.mkdir('/nowhere/at/all')": "ENOENT",
    "os.rmdir('/nowhere/at/all')": "ENOENT",
    "os.link('/nowhere/at/all', '/nowhere/else')": "ENOENT",
    "os.symlink('x', '/nowhere/at/all')": "ENOENT",
    "os.chmod('/nowhere/at/all', 0)": "ENOENT",
    "os.chown('/nowhere/at/all', 0, 0)": "ENOENT",
    "os.truncate('/nowhere/at/all', 0)": "ENOENT",
    "os.utime('/nowhere/at/all')": "ENOENT",
    "os.chdir('/nowhere/at/all')": "ENOENT",
    "call('ptrace', 17, 0, 0, 0)": "ESRCH",  # PTRACE_DETACH from nobody
    "call('bind', 4, None, 0)": "EINVAL",
    "call('connect', 4, None, 0)": "EINVAL",
    "resource.prlimit(0, resource.RLIMIT_CORE)": "(0, 0)",
}


@pytest.fixture
def probed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """ask(code, without) evaluates Python in a worker; without: lines that remove a protection."""
    opened: list[Supervisor] = []
    spawn = os.posix_spawn

    def worker_with(without: str) -> Driven:
        script = tmp_path / "probe.py"
        script.write_text(PROBE.replace("WITHOUT\n", without), encoding="ascii")

        def start(path: str, argv: list[str], *rest: Any, **more: Any) -> int:
            # The probe in the place of the zygote: -c CODE becomes the script.
            at = argv.index("-c")
            replaced = [*argv[:at], str(script), *argv[at + 2 :]]
            return spawn(path, replaced, *rest, **more)

        monkeypatch.setattr(os, "posix_spawn", start)
        own = Supervisor()
        own.start()
        opened.append(own)
        return Driven(own)

    def ask(code: str, without: str = "") -> str:
        worker = worker_with(without)
        try:
            worker.send(["failed", worker.epoch, 2, code])
            answer: str = worker.await_frame("broken", "gone")[1]
            return answer
        finally:
            worker.close()

    yield ask
    for own in opened:
        own.close()


@FILTERED
@pytest.mark.parametrize("code", CALLS)
def test_a_system_call_is_refused(code: str, probed: Any) -> None:
    assert probed(code) == "EPERM"


@pytest.mark.parametrize("code", CALLS)
def test_control_without_the_filter_it_is_not(code: str, probed: Any) -> None:
    """The limit on descriptors remains, also on other systems."""
    answer = probed(code, NO_FILTER)
    assert answer == CALLS[code]


def test_control_without_either_a_file_opens(probed: Any) -> None:
    answer = probed("open('/etc/passwd').readline()[:4]", NO_FILTER + NO_LIMITS)
    assert answer == "'root'"


def test_control_unconfined_a_worker_is_a_process_like_ours(probed: Any) -> None:
    unconfined = "zygote.confine = lambda control: None\n"
    read = "open('/proc/self/status').read()"
    found = dict(line.split(":", 1) for line in eval(probed(read, unconfined)).splitlines())
    ours = status(os.getpid())
    for name in ("NoNewPrivs", "Seccomp"):
        assert found[name].strip() == ours[name]
    assert probed("os.getcwd()", unconfined) == repr(str(Path.cwd()))


def test_what_a_worker_needs_is_let_through(probed: Any) -> None:
    assert probed("os.waitpid(os.fork() or os._exit(7), 0)[1] >> 8") == "7"
    assert probed("[len(os.urandom(4)), os.getpid() > 0, len(bytearray(1 << 26)) > 0]") == (
        "[4, True, True]"
    )


def test_other_processes_of_the_user_cannot_look_into_a_worker(probed: Any) -> None:
    """A process that is not dumpable cannot be traced, and its /proc is root's: prctl(2)."""
    dumpable = "libc.prctl(3, 0, 0, 0, 0)"  # PR_GET_DUMPABLE
    assert probed(dumpable) == "0"
    assert probed(dumpable, "zygote.confine = lambda control: None\n") == "1"  # control


ALLOW, REFUSE = 0x7FFF0000, 0x00050000 | errno.EPERM
ARCHITECTURES = (0xC000003E, 0xC00000B7)  # AUDIT_ARCH_X86_64, AUDIT_ARCH_AARCH64


def filtered(machine: int, number: int, *arguments: int, architecture: int | None = None) -> int:
    """What the filter returns for a system call, run as the kernel runs classic BPF."""
    arch = ARCHITECTURES[machine] if architecture is None else architecture
    data = struct.pack("<IIQ6Q", number, arch, 0, *arguments, *[0] * (6 - len(arguments)))
    program, at, loaded = confine.filter_program(machine), 0, 0
    for _ in range(len(program)):
        code, then, otherwise, value = struct.unpack_from("<HBBI", program, 8 * at)
        at += 1
        if code == 0x20:  # BPF_LD | BPF_W | BPF_ABS
            (loaded,) = struct.unpack_from("<I", data, value)
        elif code == 0x15:  # BPF_JMP | BPF_JEQ | BPF_K
            at += then if loaded == value else otherwise
        elif code == 0x35:  # BPF_JMP | BPF_JGE | BPF_K
            at += then if loaded >= value else otherwise
        else:
            assert code == 0x06  # BPF_RET | BPF_K
            return int(value)
    raise AssertionError("the filter does not end")


@pytest.mark.parametrize("machine", [0, 1])
def test_the_filter_refuses_its_calls_and_no_others(machine: int) -> None:
    refused = {pair[machine] for pair in confine.REFUSED.values()} - {None}
    prlimit = confine.PRLIMIT64[machine]
    assert prlimit not in refused
    for number in range(512):
        if number != prlimit:
            assert filtered(machine, number) == (REFUSE if number in refused else ALLOW), number
    other = ARCHITECTURES[1 - machine]
    assert filtered(machine, 0, architecture=other) == REFUSE
    assert filtered(machine, 0, architecture=0x40000003) == REFUSE  # i386, by int 0x80


def test_the_filter_refuses_the_other_numbering_of_x86_64() -> None:
    for number in (0, 1, 39, 512, 547):  # x32 numbers have bit 30 set; its own are 512 to 547
        assert filtered(0, 0x40000000 | number) == REFUSE
        assert filtered(0, number) == ALLOW  # control


@pytest.mark.parametrize("machine", [0, 1])
def test_a_worker_may_move_its_own_data_limit_and_no_other(machine: int) -> None:
    call = confine.PRLIMIT64[machine]
    assert filtered(machine, call, 0, resource.RLIMIT_DATA) == ALLOW
    assert filtered(machine, call, 1, resource.RLIMIT_DATA) == REFUSE
    assert filtered(machine, call, os.getpid(), resource.RLIMIT_DATA) == REFUSE
    for limit in range(16):
        if limit != resource.RLIMIT_DATA:
            assert filtered(machine, call, 0, limit) == REFUSE


def test_the_filter_is_well_formed() -> None:
    for machine in (0, 1):
        program = confine.filter_program(machine)
        assert len(program) % 8 == 0
        assert len(program) // 8 < 4096  # the kernel's bound


# Errors in a worker -------------------------------------------------------------------------------


def test_errors_in_a_confined_worker_stay_what_they_are(supervisor: Supervisor) -> None:
    """A late import of Python would fail."""
    for entry, answer in (
        ("error('no such thing')", "no such thing"),
        ("syntax error here", "syntax error"),
        ("return {handle = function() end}", "gone"),
    ):
        with driven(supervisor) as worker:
            code = environment.pack({".process": entry})
            worker.send(["code", 0, 0, 32 << 20, 10.0, len(code)], code)
            worker.send(["boot", 0, "no number", 10.0, *definition()])  # a bug of ours: it dies
            said = worker.await_frame("unable", "gone")
            assert answer in said[-1]
    with driven(supervisor) as worker:
        worker.send(["image", 0, 5, 7], b"garbage")
        assert "its checkpoint cannot be used" in worker.await_frame("broken", "gone")[1]


# The shell dies -----------------------------------------------------------------------------------

SHELL = """
import asyncio, sys
sys.path[:0] = [{tests!r}, {repo!r}]
from sandbox_worker import Driven
from aoshell.sandbox.supervising.supervisor import Supervisor
supervisor = Supervisor()
supervisor.start()
idle, busy, again, dry, trial, doubtful = (Driven(supervisor) for _ in range(6))
from sandbox_guest import eval_message
endless, long = eval_message("while true do end"), 120.0  # seconds: more than is waited
busy.start(endless, long)
for _ in range(2):  # another parked process waits for it then
    again.send(["park", 0])
    again.await_frame("parked")
again.start(endless, long)
dry.send(["dry", 0, 1, long, *endless])
trial.send(["trial", 0, 1, long, "", [False, *endless]])
doubtful.send(["trial", 0, 1, long, "", [True, *endless]])
zygote = supervisor._zygotes["lua"].pid
print(zygote, *(one.worker.group for one in (idle, busy, again, dry, trial, doubtful)), flush=True)
sys.stdin.read()
"""


def test_all_vanish_with_a_shell_that_is_killed() -> None:
    """Also what computes in a fork, however much time its message has."""
    repo, tests = Path(__file__).parents[2], Path(__file__).parent
    script = textwrap.dedent(SHELL).format(repo=str(repo), tests=str(tests))
    shell = subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert shell.stdout and shell.stdin
    zygote, *groups = map(int, shell.stdout.readline().split())
    try:
        # In each a parked process and one that goes on; in the last ones further forks as well.
        assert eventually(lambda: [*map(len, map(group_of, groups))] == [2, 2, 2, 3, 3, 4])
        assert is_alive(zygote)
        shell.send_signal(signal.SIGKILL)
        shell.wait()
        assert eventually(lambda: not is_alive(zygote))
        assert eventually(lambda: not any(map(group_of, groups)))
    finally:
        shell.kill()
        shell.communicate()
        for pid in chain.from_iterable(map(group_of, groups)):
            end(pid)
