"""The lower bound of a worker's memory limit, for memory that is not counted."""

from __future__ import annotations

import json
import resource
import signal
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sandbox_worker import PATIENCE, Driven, Workers, driven, eventually, group_of

from aoshell.sandbox.frames import HEADER, LARGE, FrameReader, encode_frame, frame_pieces
from aoshell.sandbox.lua import SHARE
from aoshell.sandbox.worker import floor
from aoshell.sandbox.worker.fates import OUT_OF_MEMORY, read_fate
from aoshell.sandbox.worker.floor import LIFTED_LEAST, MARGIN

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_DATA counts on Linux only")
MEMORY = 32 << 20
# A worker that counts nothing: Lua may use what it likes.
UNCOUNTED = """
from aoshell.sandbox import lua
lua.LuaRuntime.limit_memory = lambda self, size, *, judged=True: None
"""
# One whose Python holds what it is told.
HOLDING = """
from aoshell.sandbox.worker import zygote
held = []
class Printed(zygote.Printed):
    def line(self, text):
        if text.isdigit():
            held.append(bytearray(int(text) << 20))
zygote.Printed = Printed
"""
# One that cannot even answer.
SPEECHLESS = """
from aoshell.sandbox.worker import worker_sockets
def pieces(frame):
    if "speechless" in frame:
        raise MemoryError
    return [worker_sockets.encode_frame(frame)]
worker_sockets.frame_pieces = pieces
"""


def floor_of(worker: Driven) -> tuple[int, int]:
    """Soft and hard limit on the data of the fork that computes."""
    limits = Path(f"/proc/{worker.worker.pid}/limits").read_text(encoding="ascii").splitlines()
    (line,) = (line for line in limits if line.startswith("Max data size"))
    soft, hard = line.split()[3:5]
    return int(soft), int(hard)


def test_a_worker_stands_on_its_floor(worker: Driven) -> None:
    soft, hard = floor_of(worker)
    least = int(SHARE * MEMORY) + MARGIN
    assert least < soft < least + (128 << 20)
    assert LIFTED_LEAST < hard < LIFTED_LEAST + MARGIN + (128 << 20)


@pytest.mark.parametrize("hard", [resource.RLIM_INFINITY, 3 << 30, 1 << 30])
def test_the_two_heights(monkeypatch: pytest.MonkeyPatch, hard: int) -> None:
    """`hard` is what the user's own `ulimit -d` allows."""
    limits: list[tuple[int, int]] = []
    monkeypatch.setattr(floor, "data_size", lambda: 100 << 20)
    monkeypatch.setattr(resource, "getrlimit", lambda _limit: (hard, hard))
    monkeypatch.setattr(resource, "setrlimit", lambda _limit, pair: limits.append(pair))
    own = floor.Floor()
    own.lower()
    assert limits == []  # without heights there is nothing to set
    own.lay(1 << 30, 2 << 30, 10 << 20)
    own.lower()
    own.lower()
    own.lift()
    beside = (100 << 20) + 3 * (10 << 20) + MARGIN
    low, high = beside + (2 << 30), beside + (8 << 30)
    if hard != resource.RLIM_INFINITY:
        low, high = min(low, hard), min(high, hard)
    assert limits == [(high, high), (low, high), (high, high)]


def test_an_image_that_takes_too_long_is_given_up(changed: Workers) -> None:
    endless = """
from aoshell.sandbox import lua
from aoshell.sandbox.worker import side_work
side_work.IMAGE_SECONDS = 0.5
lua.LuaRuntime.image = lambda self: sum(iter(int, 1))
"""
    with driven(changed(endless), memory=MEMORY) as worker:
        before = len(group_of(worker.worker.group))
        worker.send(["checkpoint", worker.epoch, 1])
        assert eventually(lambda: len(group_of(worker.worker.group)) > before, PATIENCE)
        assert eventually(lambda: len(group_of(worker.worker.group)) == before, PATIENCE)
        assert worker.is_well()


@pytest.mark.parametrize(
    "bomb",
    [
        "local t = {} for i = 1, 1e9 do t[i] = i .. ('x'):rep(100000) end",
        "return #('x'):rep(1 << 30)",
        "pcall(function() local t = {} for i = 1, 1e9 do t[i] = {} end end) return 'escaped'",
    ],
)
def test_what_is_not_counted_costs_its_message(bomb: str, changed: Workers) -> None:
    with driven(changed(UNCOUNTED), memory=MEMORY) as worker:
        assert worker.eval("x = #('x'):rep(64 << 20) return x")[1] == "ok"  # control: uncounted
        assert worker.eval(bomb)[1] == "memory"
        assert worker.is_well()


def test_what_python_holds_for_a_guest_costs_its_message(changed: Workers) -> None:
    with driven(changed(HOLDING), memory=MEMORY) as worker:
        assert worker.eval("print(64)")[1] == "ok"
        # The print fails; what comes behind it may not, and finds nothing held.
        worker.eval("print(2000)")
        assert worker.is_well()


def test_who_cannot_answer_for_want_of_memory_is_out_of_it(changed: Workers) -> None:
    with driven(changed(SPEECHLESS), memory=MEMORY) as worker:
        assert worker.eval("return 'speechless'")[:2] == ("promoted", "memory")
        assert worker.is_well()


def test_the_ways_in_which_a_fork_ends() -> None:
    assert read_fate(0) == read_fate(3 << 8) == ""
    assert read_fate(OUT_OF_MEMORY << 8) == "memory"
    assert read_fate(signal.SIGPROF) == "time"
    assert read_fate(signal.SIGSEGV) == "crash 11"
    assert read_fate(signal.SIGABRT) == "crash 6"
    assert read_fate(signal.SIGKILL) == read_fate(signal.SIGTERM) == read_fate(64) == "killed"


LATIN = st.text(st.characters(max_codepoint=255), max_size=20)


@given(st.lists(st.one_of(LATIN, st.integers(), st.booleans(), st.none()), min_size=1), st.data())
def test_a_frame_in_pieces_is_the_frame(frame: list[object], data: st.DataObject) -> None:
    for _ in range(data.draw(st.integers(0, 3))):
        at = data.draw(st.integers(0, len(frame)))
        frame.insert(at, data.draw(LATIN.filter(bool)) * LARGE)
    whole = b"".join(frame_pieces(frame))
    assert int.from_bytes(whole[:HEADER], "big") == len(whole) - HEADER
    assert json.loads(whole[HEADER:].decode("latin-1")) == frame
    reader = FrameReader()
    reader.feed(whole)
    assert reader.frame() == frame


def test_a_small_frame_is_one_piece() -> None:
    frame = ["done", 1, "text"]
    assert list(frame_pieces(frame)) == [encode_frame(frame)]


def test_a_result_of_control_characters_is_never_whole() -> None:
    frame = ["\1" * (8 << 20), *["\1" * (LARGE - 1)] * 8]
    assert max(map(len, frame_pieces(frame))) <= 6 * 2 * LARGE + 1024
