"""A worker that is forked from a booted zygote, ahead or when it is needed, and one that loads the
same code anew: they answer with the same bytes, have the same state, and meet the same limits.

How much memory a message is said to take is not compared: what the collector has not taken away yet
is chance, also between two that load anew.
"""

from __future__ import annotations

import os
import socket
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from sandbox_guest import PROCESS, definition, eval_message, first_message, message
from sandbox_worker import SECONDS, Driven, end, eventually, group_of

from aoshell.sandbox import environment
from aoshell.sandbox.frames import Frame, FrameReader
from aoshell.sandbox.lua import LuaRuntime
from aoshell.sandbox.packing import unpack
from aoshell.sandbox.supervising import supervisor as supervising
from aoshell.sandbox.supervising.supervisor import Supervisor
from aoshell.sandbox.supervising.watching import Watch
from aoshell.sandbox.worker.ahead import MOST_KEPT

MEMORY = 64 << 20  # bytes
# What differs between two runtimes of plain Lua: the order of keys (by the seed of its hashes, and
# by addresses), random numbers, clocks, addresses as text. Functions have variables of their own:
# else the collector decides whether two are one.
CHANCE = """
  local keys = {}
  for i = 1, 300 do keys["key " .. i * 7919] = i keys[{}] = i keys[function() return i end] = i end
  local order = {}
  for key, value in pairs(keys) do order[#order + 1] = value end
  for _, value in ipairs {
    table.concat(order, " "), tostring(keys), tostring(print), tostring {}, math.random(),
    math.random(1, 1 << 40), os.time(), os.clock(), collectgarbage("count"),
  } do print(tostring(value)) end
  Handlers.add("Chance", "Chance", function(msg) Kept = msg end)
  Kept = keys
  local crypto = require(".crypto")
  local stream = crypto.utils.stream.fromString("text")
  Send({Target = ao.id, Data = crypto.digest.sha2_256(stream).asHex()})
  Spawn(ao.id, {Data = "x"})
"""
FITS, TOO_MUCH = (f"Text = ('x'):rep({size}) return #Text" for size in (MEMORY // 4, MEMORY))
FAILING = (TOO_MUCH, "Lost = 1 error('undone')", "local function f() return f() + 1 end f()")

DIGEST = Path(__file__).parents[1] / "determinism" / "digest.lua"
LUA = ("lua", False)  # with its own environment
Begin = Callable[[Driven], None]


def booted(worker: Driven) -> None:
    worker.boot(MEMORY)


def loaded(worker: Driven) -> None:
    """As where the environment of a process is not the built-in one."""
    code = environment.pack(environment.read_sources())
    worker.send(["code", 0, 0, MEMORY, SECONDS, len(code)], code)
    worker.boot(MEMORY)


@contextmanager
def driven(supervisor: Supervisor, begin: Begin) -> Iterator[Driven]:
    with closing(Driven(supervisor, boots=False)) as worker:
        begin(worker)
        yield worker


def told(supervisor: Supervisor, begin: Begin, messages: list[list[Any]]) -> list[Frame]:
    """All answers of workers: to messages in order, to state requests, to failures."""
    *going_well, last = messages[: -len(FAILING)]
    with driven(supervisor, begin) as worker:
        answers = [answer(worker, message) for message in (*going_well, last)]
        worker.send(["checkpoint", worker.epoch, len(answers)])
        image = worker.await_frame("image")
    for failing in messages[-len(FAILING) :]:
        with driven(supervisor, begin) as worker:
            answers += [answer(worker, messages[0]), answer(worker, failing)]
    return [*answers, state_in(image[2])]


def state_in(image: bytes) -> Frame:
    """The content of an image, without the order of its keys."""
    runtime = LuaRuntime(environment.read_sources(), lambda _text: None)
    runtime.boot(definition())
    runtime.restore(zlib.decompress(image))
    walk = runtime._host.raw.load(DIGEST.read_text("latin-1"), "=digest")
    return [len(zlib.decompress(image)), walk(runtime._host)]


def answer(worker: Driven, message: list[Any]) -> Frame:
    frame = worker.run(message)[2]
    assert frame[0] == "done", frame
    return [*frame[:4], *frame[6:]]  # but for milliseconds and bytes


@pytest.fixture(scope="module")
def messages() -> list[list[Any]]:
    """The first message, an Eval for each module, what is random elsewhere, and what fails."""
    names = environment.read_sources()
    each = (f'Seen = (Seen or 0) + 1 return type(require("{name}"))' for name in names)
    code = (*each, CHANCE, FITS, "return Seen", *FAILING)
    return [first_message(), *map(eval_message, code)]


@pytest.fixture(scope="module")
def forked(messages: list[list[Any]]) -> list[Frame]:
    """The answers of workers that are forked when needed."""
    with pytest.MonkeyPatch.context() as patch, closing(Supervisor()) as own:
        patch.setattr(own, "_fork_ahead", lambda *_: None)
        found = told(own, booted, messages)
    outcomes = [frame[3] for frame in found[: -1 - 2 * len(FAILING)]]
    assert outcomes == ["ok"] * len(outcomes)
    assert [frame[3] for frame in found[-2 * len(FAILING) : -1 : 2]] == [
        "memory",
        "error",
        "memory",
    ]
    return found


def test_code_that_is_loaded_anew(
    supervisor: Supervisor, messages: list[list[Any]], forked: list[Frame]
) -> None:
    for one, other in zip(told(supervisor, loaded, messages), forked, strict=True):
        assert one == other


@pytest.fixture
def own() -> Iterator[Supervisor]:
    """A zygote that has forked a worker ahead."""
    with closing(Supervisor()) as own:
        with driven(own, booted) as worker:
            assert worker.is_well()
            assert not own._ahead  # one may be all that is needed
        with driven(own, booted) as worker:
            assert eventually(lambda: worker.is_well() and bool(own._ahead))
        yield own


def test_forked_ahead(own: Supervisor, messages: list[list[Any]], forked: list[Frame]) -> None:
    for one, other in zip(told(own, booted, messages), forked, strict=True):
        assert one == other


def test_what_is_forked_ahead_is_used_once(own: Supervisor) -> None:
    ahead = own._ahead[LUA]
    with driven(own, booted) as worker:
        assert worker.worker._main is ahead[0]
        assert worker.is_well()
        assert own._ahead.get(LUA) is not ahead


def test_one_that_has_ended_is_not_given(own: Supervisor) -> None:
    zygote, ahead = own._zygotes["lua"].pid, own._ahead[LUA]
    end(zygote)
    assert eventually(lambda: supervising._has_ended(ahead[0]))
    with driven(own, booted) as worker:
        assert worker.is_well()
    assert own._zygotes["lua"].pid != zygote


def test_it_ends_with_the_node(own: Supervisor) -> None:
    main = own._ahead[LUA][0]
    group = _group_of_ahead(main)
    # One is parked, and its fork takes the process.
    assert eventually(lambda: len(group_of(group)) == 2)
    workers = group_of(group)
    own.close()
    assert eventually(lambda: not group_of(workers[0]))


@pytest.mark.parametrize("size", [0, MOST_KEPT], ids=["kept", "too-long"])
@pytest.mark.parametrize("failing", [*FAILING, "while true do end"])
def test_the_first_message_fails(own: Supervisor, size: int, failing: str) -> None:
    """The process parked before the definition takes over after it."""
    process = definition()
    process[4:6] = "B" * 43, "x" * size
    with closing(Driven(own, boots=False)) as worker:
        worker.send(["boot", 0, MEMORY, SECONDS, *process])
        worker.run(message(PROCESS, failing, "Type", "Process", "On-Boot", "Data"), seconds=0.2)
        assert worker.epoch == 1
        assert worker.is_well()
        name, outcome, frame = worker.eval("return #ao.env.Boot.Data .. tostring(Lost)")
        assert (name, outcome, frame[8]) == ("done", "ok", f"{size}nil"), frame


@pytest.mark.parametrize("watch", [None, Watch(lines=True)], ids=["", "watched"])
@pytest.mark.parametrize("lifted", [False, True])
def test_the_frames_before_the_first_message(watch: Watch | None, lifted: bool) -> None:
    """The process parked ahead takes over with all frames that its fork got."""
    with closing(Supervisor(watch)) as own, closing(Driven(own, boots=False)) as worker:
        if lifted:
            worker.send(["lift", 0])
        worker.boot(MEMORY)
        steps = worker.run(first_message())[2][6]
        assert worker.eval("error('undone')")[1] == "error"
        assert worker.worker.pid == worker.worker.group  # the first one computes again
        again = worker.run(first_message())[2]
        assert (again[3], bool(again[6])) == ("ok", bool(watch))
        assert bool(steps) == bool(watch)
        assert worker.is_well()


def _group_of_ahead(main: socket.socket) -> int:
    """The group of a worker that waits, by its frame `ready`, which stays in the socket."""
    frames = FrameReader(unpack)
    frames.feed(memoryview(main.recv(100, socket.MSG_PEEK)))
    ready = frames.frame()
    assert ready is not None
    return int(ready[1])


def test_a_zygote_leads_a_group_and_leaves_no_worker_behind(own: Supervisor) -> None:
    """The terminal's Ctrl-C goes to our group alone."""
    pid = own._zygotes["lua"].pid
    assert os.getpgid(pid) == pid
    ends = own._ahead[LUA]
    own.close()
    assert own._ahead == {} and [end.fileno() for end in ends] == [-1, -1]
