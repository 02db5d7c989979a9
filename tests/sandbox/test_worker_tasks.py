"""What a worker does besides new messages is bounded: it loads, compiles, computes a log again."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import pytest
from sandbox_guest import eval_message, first_message
from sandbox_worker import Workers, driven

from aoshell.sandbox.worker import parking
from aoshell.sandbox.worker.parking import Parent, Parking, Role

MEMORY = 32 << 20
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_DATA counts on Linux only")

# A worker whose host runs Python as code. `hold` takes memory that nobody counts.
HOST = """
from aoshell.sandbox import lua
from aoshell.sandbox.worker import side_work
from aoshell.sandbox.worker import worker
def hold(mebibytes):
    held = bytearray(mebibytes << 20)
    return b"held"
def load(self, code, gas, memory):
    raise ValueError(eval(code))
lua.LuaHost.load = load
lua.LuaHost.compile = lambda self, source, gas: eval(source)
"""
# A worker with an object whose end fails: Python tells that to a hook and drops it.
ENDING = """
from aoshell.sandbox.worker import zygote
class Ending:
    def __init__(self, error):
        self.error = error
    def __del__(self):
        raise self.error
class Printed(zygote.Printed):
    def line(self, text):
        errors = {"memory": MemoryError, "value": ValueError}
        if text in errors:
            Ending(errors[text])
zygote.Printed = Printed
"""


def test_who_drops_that_memory_ran_out_is_out_of_it(changed: Workers) -> None:
    with driven(changed(ENDING), MEMORY) as worker:
        assert worker.eval("print('value') return 'on'")[1] == "ok"  # control: another error
        assert worker.eval("print('memory') return 'on'")[:2] == ("promoted", "memory")
        assert worker.is_well()


@on_linux
@pytest.mark.parametrize(
    ("mebibytes", "said"),
    [
        (64, "its code does not load: b'held'"),
        (1024, "its code does not load within 32 MB"),
    ],
)
def test_code_loads_on_the_floor(changed: Workers, mebibytes: int, said: str) -> None:
    with driven(changed(HOST), boots=False) as worker:
        code = b"hold(%d)" % mebibytes
        worker.send(["code", 0, 0, MEMORY, 10.0, len(code)], code)
        assert worker.await_frame("unable", "gone") == ["unable", said]


@on_linux
@pytest.mark.parametrize("boots", [False, True])
@pytest.mark.parametrize(
    ("mebibytes", "answer"),
    [(256, [b"held", ""]), (1024, [b"", "compiling it takes more memory than it may"])],
)
def test_compiling_stands_on_a_floor(
    changed: Workers, mebibytes: int, answer: list[object], boots: bool
) -> None:
    limit = "side_work.COMPILE_MEMORY = 512 << 20\n"
    with driven(changed(HOST + limit), MEMORY, boots=boots) as worker:
        source = b"hold(%d)" % mebibytes
        worker.send(["compile", worker.epoch, 0, len(source)], source)
        assert worker.await_frame("image", "gone") == ["image", 0, *answer]


def test_compiling_that_does_not_end_is_ended(changed: Workers) -> None:
    with driven(changed(HOST + "side_work.COMPILE_SECONDS = 0.2\n"), boots=False) as worker:
        source = b"sum(iter(int, 1))"
        worker.send(["compile", 0, 0, len(source)], source)
        why = "compiling it took more than 0.2 s of processor time"
        assert worker.await_frame("image", "gone") == ["image", 0, b"", why]


# The log ------------------------------------------------------------------------------------------

# What a message of a log may take at least, in seconds of processor time.
REPLAY = "from aoshell.sandbox.worker import worker\nworker.LOAD_SECONDS = 0.2\n"


def test_each_message_of_a_log_has_its_time(changed: Workers) -> None:
    """The limit holds for each message, not for all together."""
    with driven(changed(REPLAY), boots=False) as worker:
        worker.boot(MEMORY, 0.02)
        worker.send(["replay", 0, 0, *first_message()])
        for seq in range(1, 21):
            worker.send(
                ["replay", 0, seq, *eval_message("for i = 1, 15e6 do end n = (n or 0) + 1")]
            )
        assert worker.eval("return n")[2][8] == "20"


def test_one_message_of_a_log_may_not_take_the_time_of_many(changed: Workers) -> None:
    with driven(changed(REPLAY), boots=False) as worker:
        worker.boot(MEMORY, 0.02)
        worker.send(["replay", 0, 0, *first_message()])
        worker.send(["replay", 0, 1, *eval_message("while true do end")])
        why = "its log cannot be computed again: it took more than 0.2 s of processor time"
        assert worker.await_frame("unable", "gone") == ["unable", why]


class Parked:
    """A process that is parked when the fork of another one begins; nothing of it is forked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.done: list[Any] = []
        self.parent = 41
        monkeypatch.setattr(parking, "die_with_parent", lambda on: self.done.append(("tied", on)))
        monkeypatch.setattr(parking, "reap_images", lambda: None)
        monkeypatch.setattr(parking.os, "getppid", lambda: self.parent)
        monkeypatch.setattr(parking.os, "kill", self._kill)
        monkeypatch.setattr(parking.os, "fork", lambda: self.done.append("forked") or 0)
        self.sockets: Any = SimpleNamespace(send=lambda _frame: None, taken=0)
        printed: Any = None
        self.parking = Parking(self.sockets, printed)
        self.parking._parent = Parent(self.parent, Role.PARKED)
        self.parking._fork_cost = 1.0

    def _kill(self, pid: int, _number: int) -> None:
        self.done.append(("killed", pid))
        self.parent = 1


def test_the_older_parked_process_ends_before_another_fork_begins(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Otherwise the death of the fork would wake it, as if the computing process had died."""
    it = Parked(monkeypatch)
    assert not it.parking.park(3)
    ended = [("tied", False), ("killed", 41), ("tied", True)]
    assert it.done == [*ended, "forked", ("tied", True)]
    it.done.clear()
    assert not it.parking.park(4)  # its parent is another one: that pid may be anybody's by now
    assert it.done == ["forked", ("tied", True)]


@pytest.mark.parametrize("what", ["time", "messages", "bytes"])
def test_what_is_computed_behind_a_parked_process_is_bounded(
    monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    it = Parked(monkeypatch)
    assert not it.parking.park_when_due(3) and it.done == []
    if what == "time":
        it.parking.add(float(parking.PARK_SHARE))
    elif what == "messages":
        for _ in range(parking.MOST_BEHIND):
            assert not it.parking.park_when_due(3) and it.done == []
            it.parking.add(0.0)
    else:
        it.sockets.taken = parking.BYTES_BEHIND - 1
        assert not it.parking.park_when_due(3) and it.done == []
        it.sockets.taken += 1
    for _ in range(2):  # the next one is counted from here on
        assert not it.parking.park_when_due(3) and it.done.count("forked") == 1
