"""Several shells on one home, each a process of its own: who carries, and what a death costs."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import pytest
from eventually import SECONDS, in_loop
from program import AOSHELL, Popen
from terminal import Terminal

from aoshell.nodes.joined.carrying import Home
from aoshell.nodes.joined.node import HomeNode
from aoshell.protocol.message import tags_of
from aoshell.protocol.wallet import Wallet

pytestmark = pytest.mark.long

REPO = Path(__file__).resolve().parents[2]
Run = Callable[..., "subprocess.CompletedProcess[str]"]
Start = Callable[..., "Piped"]
LINES = 50
COUNT = "N = (N or 0) + 1 return N"


def _read_line(file: IO[str]) -> str:
    """The next line, and no byte behind it: `communicate` does not see what a buffer holds."""
    line = b""
    while not line.endswith(b"\n") and (byte := os.read(file.fileno(), 1)):
        line += byte
    return line.decode()


class Piped:
    """A shell whose lines come through a pipe, one by one."""

    def __init__(self, environment: dict[str, str], *arguments: str) -> None:
        self.process = Popen(
            [*AOSHELL, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
            cwd=REPO,
        )

    @property
    def pid(self) -> int:
        return self.process.pid

    def say(self, *lines: str) -> None:
        assert self.process.stdin
        self.process.stdin.write("".join(f"{line}\n" for line in lines))
        self.process.stdin.flush()

    def hear(self) -> str:
        assert self.process.stdout
        return _read_line(self.process.stdout).rstrip("\n")

    def told(self, pattern: str) -> str:
        """The first line of stderr that matches."""
        assert self.process.stderr
        while line := _read_line(self.process.stderr):
            if re.search(pattern, line):
                return line
        raise AssertionError(f"{pattern} was not said")

    def ask(self, line: str) -> str:
        self.say(line)
        return self.hear()

    def signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def end(self) -> tuple[int, str, str]:
        """What is left of its output, once nothing more is said to it."""
        out, err = self.process.communicate("", timeout=120)
        return self.process.returncode, out, err


@pytest.fixture
def start(environment: dict[str, str]) -> Iterator[Start]:
    """Starts shells: start("bank", "--json")."""
    started: list[Piped] = []

    def begin(*arguments: str) -> Piped:
        started.append(Piped(environment, *arguments))
        return started[-1]

    yield begin
    for shell in started:
        if shell.process.poll() is None:
            shell.signal(signal.SIGKILL)
        with contextlib.suppress(ValueError):
            shell.process.communicate()


@pytest.fixture
def typed(environment: dict[str, str]) -> Iterator[Callable[..., Terminal]]:
    """Starts shells in terminals."""
    shown: list[Terminal] = []

    def begin(*arguments: str) -> Terminal:
        command = [*AOSHELL, *arguments]
        shown.append(Terminal(command, environment, columns=100, rows=40, folder=str(REPO)))
        return shown[-1]

    yield begin
    for one in shown:
        one.child.close(force=True)


def test_two_terminals(typed: Callable[..., Terminal], aoshell: Run) -> None:
    first, second = typed(), None
    first.type("X = 41\r")
    first.shows(r"slot 1 ·")  # or the other's line may come first
    second = typed()
    second.type("return X + 1\r")
    second.shows("^42$")
    first.shows(r"slot \d+ │ 42")  # what arrives at the process it is attached to
    assert aoshell("--run", "return X").stdout == "41\n"
    first.type("\x04")
    first.ended()
    second.type("return X + 2\r")
    second.shows("^43$")
    second.type(".messages\r")
    screen = second.shows(r"CLIENT(.|\n)*pipe:\d+")
    assert len(set(re.findall(r"pts/\d+:\d+", screen))) == 2


def test_ctrl_c_stops_the_line_of_a_joined_terminal(
    typed: Callable[..., Terminal], start: Start
) -> None:
    carrier = start("--timeout", "10000", "--json")
    assert json.loads(carrier.ask("return 1"))["output"] == "1"
    second = typed()
    second.type("return 'joined'\r")
    second.shows("^joined$")
    second.type("while true do end\r")
    ends = time.monotonic() + SECONDS
    while json.loads(carrier.ask(".messages"))["value"]["slots"][-1]["outcome"] is not None:
        assert time.monotonic() < ends  # until it is being computed
    second.type("\x03")
    second.shows("No longer waiting for slot")
    second.type("\x03")
    second.shows("Stopped")
    assert json.loads(carrier.ask("return 'goes on'"))["output"] == "goes on"


def test_pipes_runs_and_lists_join(start: Start, aoshell: Run) -> None:
    carrier = start("--json")
    assert json.loads(carrier.ask("X = 1 return X"))["output"] == "1"
    done = aoshell(stdin="X = X + 1\nreturn X\n")
    assert (done.returncode, done.stdout, done.stderr) == (0, "2\n", "")
    watching = start("--watch", "default")
    watching.told("following")
    assert aoshell("--run", "print('seen')").returncode == 0
    assert "seen" in watching.hear()
    rows = json.loads(aoshell("--json", "--run", ".ps").stdout)["value"]
    assert [row["name"] for row in rows] == ["default"]
    slots = json.loads(aoshell("--json", "--run", ".messages").stdout)["value"]["slots"]
    assert f"pipe:{carrier.pid}" in {slot["client"] for slot in slots}
    node = json.loads(aoshell("--json", "--run", ".node").stdout)["value"]
    assert node["carried by"] == f"pid {carrier.pid}"
    failed = aoshell("--run", "error('no')", "--run", "x")
    assert failed.returncode == 1 and "no" in failed.stderr
    carrier.signal(signal.SIGTERM)
    carrier.process.wait(60)
    watching.signal(signal.SIGINT)
    assert watching.end()[0] == 0
    assert aoshell("--run", "return X").stdout == "2\n"


def test_flags_that_differ_are_said(start: Start, aoshell: Run) -> None:
    carrier = start("--timeout", "9")
    assert carrier.ask("return 1") == "1"
    done = aoshell("--timeout", "3", "--run", "return 2")
    assert (done.returncode, done.stdout) == (0, "2\n")
    assert "seconds is 9, not 3" in done.stderr and f"pid {carrier.pid}" in done.stderr


def test_a_pipe_goes_on_when_its_carrier_is_killed(start: Start) -> None:
    """Each of its lines is computed once, and none is lost."""
    carrier = start()
    assert carrier.ask("return 'up'") == "up"
    other = start()
    other.say(*[COUNT] * LINES)
    heard = [other.hear() for _ in range(10)]
    carrier.signal(signal.SIGKILL)
    code, out, err = other.end()
    assert (code, [*heard, *out.split()]) == (0, [str(n + 1) for n in range(LINES)]), err


@in_loop
async def test_messages_under_way_are_one_slot_each_when_the_carrier_is_killed(
    environment: dict[str, str], start: Start, wallet: Wallet
) -> None:
    carrier = start()
    assert await asyncio.to_thread(carrier.ask, "return 'up'") == "up"
    home = Home(Path(environment["AOSHELL_HOME"]) / "state")
    node = await HomeNode.open(home, client="test:1")
    try:
        pid = (await node.find("default")).id
        tags = tags_of([("Action", "Eval")])
        items = [await node.sign(wallet, pid, tags, COUNT.encode()) for _ in range(LINES)]
        sending = [asyncio.create_task(node.send(pid, item)) for item in items]
        await asyncio.wait(sending, return_when=asyncio.FIRST_COMPLETED)
        carrier.signal(signal.SIGKILL)
        receipts = [await one for one in sending]
        assert [one.id for one in receipts] == [item.id for item in items]
        assert len({one.slot for one in receipts}) == LINES
        results = [await node.result(pid, one.place) for one in receipts]
        assert sorted(int(one.output) for one in results) == list(range(1, LINES + 1))
        ids = [message.id for message in await node.schedule(pid, 0, 9999)]
        assert [ids.count(item.id) for item in items] == [1] * LINES
        assert node._reach.node is not None  # it carries the node now
    finally:
        await node.close()


def test_a_stopped_carrier_is_named_and_never_killed(start: Start, aoshell: Run) -> None:
    carrier, joined = start(), None
    assert carrier.ask("X = 5 return X") == "5"
    joined = start()
    assert joined.ask("return X") == "5"
    carrier.signal(signal.SIGSTOP)
    done = aoshell("--run", "return X")
    assert done.returncode == 1
    assert f"pid {carrier.pid}" in done.stderr and "fg" in done.stderr
    joined.say("return X + 1")
    said = joined.told("is stopped")
    assert f"pid {carrier.pid}" in said
    carrier.signal(signal.SIGCONT)
    assert joined.hear() == "6"
    assert carrier.ask("return X") == "5"
    # One that is stopped as soon as it carries: nobody has joined it yet.
    carrier.signal(signal.SIGSTOP)
    carrier.signal(signal.SIGKILL)
    carrier.process.wait(60)
    assert joined.ask("return X + 2") == "7"


def test_twenty_shells_at_once(start: Start, aoshell: Run) -> None:
    shells = [start("--run", COUNT) for _ in range(20)]
    ended = [shell.end() for shell in shells]
    assert not any(code for code, _, _ in ended), [err for code, _, err in ended if code]
    assert sorted(int(out) for _, out, _ in ended) == list(range(1, 21))
    assert aoshell("--run", "return N").stdout == "20\n"


def test_shells_that_open_a_new_home_together_share_one_process(newcomer: dict[str, str]) -> None:
    """The wallet is made meanwhile: each finds no process, and only then they make one."""
    shells = [Piped(newcomer, "--run", "return ao.id") for _ in range(4)]
    ended = [shell.end() for shell in shells]
    assert not any(code for code, _, _ in ended), [err for code, _, err in ended if code]
    assert len({out for _, out, _ in ended}) == 1


def test_the_next_carrier_may_be_any_of_many(start: Start) -> None:
    shells = [start() for _ in range(4)]
    for number, shell in enumerate(shells):
        assert shell.ask(COUNT) == str(number + 1)
    while len(shells) > 1:
        shells.pop(0).signal(signal.SIGKILL)
        for shell in shells:
            assert int(shell.ask(COUNT)) > 4
    assert shells[0].end()[0] == 0


def test_undo_tells_whose_line_it_was_and_the_other_shell_is_told(start: Start) -> None:
    first = start()
    assert first.ask("return 1") == "1"
    second = start()
    assert second.ask("return 2") == "2"
    assert re.search(rf"slot \d+ was taken back; pipe:{second.pid} sent it", first.ask(".undo"))
    second.say("return 3")
    assert f"pipe:{first.pid} took back" in second.told(r"\.undo")
