"""A hostile worker: what it can send, and that the shell survives it."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sandbox_worker import eventually, is_alive

from aoshell.nodes.local.log import form
from aoshell.sandbox import frames
from aoshell.sandbox.frames import (
    FrameError,
    FrameReader,
    check_image_header,
    check_worker_frame,
    encode_frame,
)
from aoshell.sandbox.supervising.worker_handle import MAX_PID, WorkerHandle

RESULT = [False, "out", "> ", False, 0, 1, False, "to", "data", "", 1, "name", "value", 0]
DONE = ["done", 0, 1, "ok", 0.5, 1000, 0, *RESULT]
GOOD = [
    ["ready", 5],
    ["parked", 1, 6],
    DONE,
    ["dried", 1, "ok", 1, 0, 0, *RESULT],
    ["promoted", 1, "time", "printed", 7],
    ["broken", "text"],
]
BAD: list[Any] = [
    [],
    [None],
    [[]],
    [{}],
    ["gone"],
    ["__class__"],
    ["frame"],
    ["ready"],
    ["ready", "5"],
    ["ready", -1],
    ["ready", 1.0],
    ["ready", True],
    ["ready", 5, 6],
    ["ready", 1 << 64],
    ["parked", 1],
    ["parked", None, 6],
    ["done"],
    ["done", 0, 1, "ok", "0.5", 1000, 0],
    ["done", 0, 1, "ok", float("nan"), 1000, 0],
    ["done", 0, 1, "ok", float("inf"), 1000, 0],
    ["done", 0, 1, "ok", -1, 1000, 0],
    ["done", 0, 1, "ok", 1e12, 1000, 0],
    ["done", 0, 1, "ok", 1, -5, 0],
    ["done", 0, 1, "ok", 1, 5, -1],
    ["done", 0, 1, "ok", 1, 5],
    ["done", 0, 1, "ok", 1, 1 << 63, 0],
    ["done", 0, 1, ["ok"], 1, 1, 0],
    ["promoted", 1, "time", "\u1234", 7],
    ["promoted", 1, "time", None, 7],
    ["broken", "\ud800"],
    ["broken", b"x".hex(), 1],
]


@pytest.mark.parametrize("frame", GOOD, ids=lambda frame: frame[0])
def test_what_a_worker_says_passes(frame: list[Any]) -> None:
    assert check_worker_frame(frame) is frame


@pytest.mark.parametrize("frame", BAD, ids=repr)
def test_what_no_worker_says_does_not(frame: list[Any]) -> None:
    with pytest.raises(FrameError):
        check_worker_frame(frame)


@given(st.binary())
def test_a_reader_raises_one_kind_of_error(data: bytes) -> None:
    reader = FrameReader()
    reader.feed(data)
    try:
        while (frame := reader.frame()) is not None:
            check_worker_frame(frame)
    except FrameError:
        pass


def body(text: bytes) -> bytes:
    return len(text).to_bytes(4, "big") + text


GARBAGE = {
    "no json": body(b"hello"),
    "no list": body(b'{"ready": 1}'),
    "a number": body(b"7"),
    "nothing": body(b""),
    "deep": body(b"[" * 200_000),
    "deep and closed": body(b"[" * 100_000 + b"]" * 100_000),
    "deeper than a frame is": body(b"[" * 200 + b"]" * 200),
    "digits": body(b"[" + b"9" * 100_000 + b"]"),
    "huge": (frames.LIMIT + 1).to_bytes(4, "big") + b"[",
    "hugest": b"\xff" * 64,
    "out of turn": encode_frame(DONE),
    "group of all": encode_frame(["ready", 1]),
    "our own group": encode_frame(["ready", os.getpgid(0)]),
    "ourselves": encode_frame(["ready", os.getpid()]),
    "no group": encode_frame(["ready", 0]),
    "nobody": encode_frame(["ready", 1 << 40]),
}


MEANINGLESS = [name for name, data in GARBAGE.items() if data[4:7] not in (b'["d', b'["r')]


@pytest.mark.parametrize("what", MEANINGLESS)
def test_garbage_is_unbelievable(what: str) -> None:
    reader = FrameReader()
    reader.feed(GARBAGE[what])
    with pytest.raises(FrameError):
        reader.frame()


def test_a_frame_up_to_the_limit_is_waited_for() -> None:
    """The control: the test above refuses a frame for its size alone."""
    reader = FrameReader()
    reader.feed(frames.LIMIT.to_bytes(4, "big"))
    assert reader.frame() is None


@pytest.mark.parametrize(
    "header",
    [[], [1, 3], [1, -3, ""], [1, "3", ""], [1, 1 << 40, ""], [-1, 3, ""],
     [1, 3, None], [1, 3, "", 5], [1 << 64, 3, ""]],
)  # fmt: skip
def test_a_header_of_no_image_is_unbelievable(header: list[Any]) -> None:
    assert check_image_header([1, 3, ""]) and check_image_header([0, frames.IMAGE_LIMIT, ""])
    with pytest.raises(FrameError):
        check_image_header(header)


# Results ------------------------------------------------------------------------------------------

BAD_RESULTS: list[list[Any]] = [
    [],
    [False],
    RESULT[:-1],
    [*RESULT, 0],
    [None, *RESULT[1:]],
    [5, *RESULT[1:]],
    [False, None, "", False, 0, 0, 0],
    [False, "", "", 0, 0, 0, 0],
    [False, "", "", False, 1, 0, 0],
    [False, "", "", False, -1, 0, 0],
    [False, "", "", False, 0, 1 << 62, 0],
    [False, "", "", False, 0, float("nan"), 0],
    [False, "", "", False, 0, -5, 0],
    [False, "", "", False, 0, 1, False, "to", "data", "", 2, "n", "v", 0],
    [False, "", "", False, 0, 1, False, 5, "data", "", 0, 0],
    [False, "", "", False, 0, 1, False, None, "data", "", 0, 0],
    [False, "", "", False, 0, 1, "spawn", False, "data", "", 0, 0],
    [False, "", "", False, 0, 1, False, "to", "\u20ac", "", 0, 0],
    [False, "", "", False, 0, 1, False, "to", "data", "", 1, "n", ["v"], 0],
    [False, "", "", False, 0, 0, 1, "m", -1],
    [False, "", "", False, 0, 0, 1, "m", 2, "p"],
]


@pytest.mark.parametrize("result", BAD_RESULTS, ids=repr)
def test_a_malformed_result_is_unbelievable(result: list[Any]) -> None:
    with pytest.raises(FrameError):
        form.check_result(False, form.FlatResult.of(result))


def test_a_result_is_believed() -> None:
    result = form.FlatResult.of(RESULT)
    form.check_result(False, result)
    values = [False, "", "", True, 1, "m", 0, 1, "m", 2, "p", "q"]
    form.check_result(False, form.FlatResult.of(values))
    form.check_result(True, form.failed_result("error"))
    assert form.Outbox(result).messages == [(False, "to", "data", "", ["name", "value"])]


@given(st.lists(st.none() | st.booleans() | st.integers(-2, 9) | st.text(max_size=2), max_size=14))
def test_what_is_believed_can_be_read_and_stored(values: list[Any]) -> None:
    for failed in (True, False):
        try:
            result = form.FlatResult.of(values)
            form.check_result(failed, result)
        except FrameError:
            continue
        form.Outbox(result)
        assert result.values == form.load_wire(form.dump_result(result)) == values
        assert form.load_result(form.dump_result(result)) == result


# The shell's end of a worker ----------------------------------------------------------------------


class Shell:
    """A `WorkerHandle` whose other end the test holds, on a loop that keeps what goes wrong."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.wrong: list[Any] = []
        self.loop.set_exception_handler(lambda _loop, context: self.wrong.append(context))
        main, self.main = socket.socketpair()
        side, self.side = socket.socketpair()
        self.frames: list[Any] = []
        self.images: list[Any] = []
        self.ends = 0
        zygote: Any = None  # it is the test that has made it

        def on_image(*image: Any) -> None:
            self.images.append(image)

        self.worker = WorkerHandle(
            self.loop,
            main,
            side,
            self.frames.append,
            on_image,
            self._gone,
            zygote,
            memoryview(bytearray(4096)),
        )

    def _gone(self) -> None:
        self.ends += 1

    def turn(self, seconds: float = 0.05) -> None:
        self.loop.run_until_complete(asyncio.sleep(seconds))

    def hear(self, *frames: list[Any]) -> None:
        self.main.sendall(b"".join(map(encode_frame, frames)))
        self.turn()

    def close(self) -> None:
        self.worker.close()
        self.main.close()
        self.side.close()
        self.loop.close()


@pytest.fixture
def shell() -> Iterator[Shell]:
    shell = Shell()
    yield shell
    shell.close()
    assert not shell.wrong


@pytest.fixture
def bystander() -> Iterator[int]:
    """A process of the user in its own group, which is not the worker's."""
    process = subprocess.Popen(["sleep", "30"], start_new_session=True)
    yield process.pid
    process.kill()
    process.wait()


@pytest.mark.parametrize("what", GARBAGE)
def test_a_worker_that_sends_garbage_is_gone(what: str, shell: Shell) -> None:
    shell.main.setblocking(False)
    shell.main.send(GARBAGE[what])
    shell.turn(0.1)
    assert (shell.ends, shell.frames) == (1, [])


def test_garbage_behind_a_beginning_ends_it_and_its_group(shell: Shell, fork: int) -> None:
    shell.hear(["ready", fork], ["what", 1])
    assert (shell.ends, shell.frames) == (1, [["ready", fork]])
    assert os.waitid(os.P_PID, fork, os.WEXITED | os.WNOWAIT).si_status == signal.SIGKILL


def test_garbage_instead_of_an_image_ends_it_too(shell: Shell) -> None:
    shell.side.sendall(encode_frame([1, 2, 3, "", "more"]))
    shell.turn()
    assert (shell.ends, shell.images) == (1, [])


def test_images_behind_one_another(shell: Shell) -> None:
    shell.side.sendall(
        encode_frame([1, 3, ""]) + b"abc" + encode_frame([2, 0, "why"]) + encode_frame([3, 1, ""])
    )
    shell.turn()
    shell.side.sendall(b"d")
    shell.turn()
    assert shell.images == [(1, b"abc", ""), (2, b"", "why"), (3, b"d", "")]


@pytest.fixture
def fork() -> Iterator[int]:
    """A stand-in for the worker's process: a group leader that may be killed."""
    process = subprocess.Popen(["sleep", "30"], process_group=0)
    yield process.pid
    process.kill()
    process.wait()


def test_nobody_else_is_killed_for_a_worker(shell: Shell, bystander: int, fork: int) -> None:
    shell.hear(["ready", fork], ["parked", 1, bystander])
    assert shell.worker.pid == 0
    shell.worker.stop_computing()
    assert not eventually(lambda: not is_alive(bystander), 0.3)  # a kill takes a moment
    shell.hear(["parked", 1, fork])  # control: its own process may be named, and is killed
    shell.worker.stop_computing()
    assert os.waitid(os.P_PID, fork, os.WEXITED | os.WNOWAIT).si_status == signal.SIGKILL


def test_a_worker_cannot_change_its_group(shell: Shell, bystander: int, fork: int) -> None:
    shell.hear(["ready", fork], ["ready", bystander])
    assert (shell.ends, shell.worker.group) == (1, fork)
    assert not eventually(lambda: not is_alive(bystander), 0.3)


@pytest.mark.parametrize("group", [-1, 0, 1, os.getpgid(0)])
def test_no_group_is_killed_that_holds_others(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, group: int
) -> None:
    """To kill the group 1 is to kill every process of the user, 0 or our own to kill the shell."""
    killed: list[int] = []
    monkeypatch.setattr(os, "killpg", lambda group, _signal: killed.append(group))
    shell.worker.group = group
    shell.worker.kill()
    shell.worker.group = 1 << 21
    shell.worker.kill()  # control
    assert killed == [1 << 21]


def test_a_worker_leads_its_group(shell: Shell) -> None:
    with subprocess.Popen(["sleep", "30"]) as member:  # of our own group
        shell.hear(["ready", member.pid])
        assert (shell.ends, shell.worker.group) == (1, 0)
        member.kill()


def test_a_pid_that_linux_never_gives_is_no_workers(shell: Shell) -> None:
    shell.hear(["ready", MAX_PID + 1])
    assert (shell.ends, shell.worker.group) == (1, 0)


def test_a_worker_that_is_not_to_be_used_any_more_is_marked(shell: Shell, fork: int) -> None:
    shell.hear(["ready", fork])
    assert not shell.worker.unbelieved
    shell.hear(["no such frame"])
    assert (shell.ends, shell.worker.unbelieved) == (1, True)


def test_a_worker_is_ready_before_all_else(shell: Shell) -> None:
    shell.hear(["parked", 1, 1])
    assert (shell.ends, shell.frames) == (1, [])
