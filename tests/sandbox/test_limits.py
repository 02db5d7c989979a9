"""Time, memory and output of a guest, held from outside by a real worker's limits."""

# ruff: noqa: E501 — an attack reads best in one piece
from __future__ import annotations

import pytest
from sandbox_guest import eval_message, first_message, message
from sandbox_worker import Driven, Workers, driven, end, eventually, group_of

from aoshell.sandbox.supervising.supervisor import Supervisor
from aoshell.sandbox.worker.printed import PRINTED_LIMIT, Printed

SHORT = 0.05  # seconds of processor time for what does not end
LOOP = "local function loop() while true do end end "
ENDLESS = {
    "loop": "while true do end",
    "pcall": "while true do pcall(loop) end",
    "xpcall": "while true do xpcall(loop, loop) end",
    "error handler": "xpcall(error, loop)",
    "coroutine": "coroutine.wrap(loop)()",
    "coroutine in a coroutine": "coroutine.wrap(function() coroutine.wrap(loop)() end)()",
    "coroutines without end": "while true do coroutine.wrap(function() end)() end",
    "pattern": "return ('a'):rep(1200):find('.-.-.-b')",
    "pattern in gsub": "return ('a'):rep(1200):gsub('.-.-.-b', '')",
    "pattern in a pcall": "pcall(string.find, ('a'):rep(1200), '.-.-.-b')",
    "pattern of a handler": "Handlers.add('x', function() loop() end, print) ",
    "handle": "Handlers.prepend('x', function() return 'continue' end, function() loop() end) ",
    "table as pattern": "Handlers.add('x', {Action = loop}, print)",
    "Prompt": "Prompt = loop",
    "__tostring": "return tostring(setmetatable({}, {__tostring = loop}))",
    "value's __pairs": "return setmetatable({}, {__pairs = loop})",
    "printed value": "print(setmetatable({}, {__tostring = loop, __pairs = loop}))",
    "error object": "error(setmetatable({}, {__tostring = loop}))",
    "__len": "return #setmetatable({}, {__len = loop})",
    "__index": "ao.outbox = setmetatable({}, {__index = loop})",
    "__index of Inbox": "Inbox = setmetatable({}, {__len = loop, __index = loop}) Prompt()",
    "__eq": "return setmetatable({}, {__eq = loop}) == setmetatable({}, {__eq = loop})",
    "__index of globals": "setmetatable(_G, {__index = loop}) return nothing",
    "a chain in a circle": "local t = setmetatable({}, {}) for i = 1, 1e9 do pcall(rawget, t, i) end",
    "gsub": "('x'):rep(100):gsub('.', loop)",
    "sort": "table.sort({2, 1, 3}, loop)",
    "comparator that lies": "while true do pcall(table.sort, {3, 1, 2}, function() return true end) end",
    "reader of load": "load(loop)",
    "reader without end": "load(function() return ' ' end)",
    "iterator": "for _ in function() return 1 end do end",
    "goto": "::again:: goto again",
    "string.rep of nothing": "return (''):rep(1 << 40)",
    "table.move": "table.move({}, 1, 1 << 40, 2, setmetatable({}, {__newindex = function() end}))",
    "table.concat": "return table.concat(setmetatable({}, {__index = function() return '' end}), '', 1, 1 << 40)",
    "table.insert": "table.insert(setmetatable({}, {__len = function() return 1 << 40 end, "
    "__newindex = function() end}), 1, 1)",
    "json": "json.encode(setmetatable({}, {__pairs = loop, __index = loop, __len = loop}))",
    "receive": "Handlers.receive(setmetatable({}, {__pairs = loop}))",
    "tag": "ao.outbox.Messages[1] = {Tags = {{name = 'a', value = 'b'}}} Prompt = loop",
    "require": "require(setmetatable({}, {__tostring = loop}))",
}  # fmt: skip


@pytest.mark.parametrize("what", ENDLESS)
def test_what_never_ends_is_ended(what: str, worker: Driven) -> None:
    ended = worker.eval(LOOP + ENDLESS[what], seconds=SHORT)
    if ended[1] == "ok":  # it waits for the next message
        ended = worker.run(message("next", "", "Action", "x"), seconds=SHORT)
    # Its time was up: nothing else ends it so. Only one of them is refused before it begins, and
    # those that grow may come to the limit on memory first.
    by = ("done", "error") if what == "require" else ("promoted", "time")
    assert ended[:2] in (by, ("done", "memory")), ended
    assert worker.is_well()


def test_the_prints_of_an_ended_message_are_kept(worker: Driven) -> None:
    _name, _why, frame = worker.eval("print('before') while true do end", seconds=0.2)
    assert frame[3] == "before"


@pytest.mark.parametrize("command", ["run", "dry"])
@pytest.mark.parametrize(
    ("ending", "outcome"),
    [("while true do end", "time"), ("local s = 'x' while true do s = s .. s end", "memory")],
)
def test_an_ended_message_keeps_no_prints_of_another_process(
    command: str, ending: str, outcome: str, supervisor: Supervisor, worker: Driven
) -> None:
    # It spins before it comes to its end, so that the other one prints meanwhile.
    code = f"print('mine') for i = 1, 3e7 do end {ending}"
    with driven(supervisor) as other:
        worker.send([command, worker.epoch, 100, 0.4, *eval_message(code)])
        for number in range(20):
            assert other.eval(f"print('of another process {number}')")[1] == "ok"
        frame = worker.await_frame("done", "promoted", "dried")
        assert other.eval("print('and once more') while true do end", seconds=0.2)[2][3] == (
            "and once more"
        )
    said = next(part for part in frame if isinstance(part, str) and "mine" in part)
    assert said == "mine"
    assert outcome in frame


def test_prints_are_kept_up_to_a_limit() -> None:
    printed = Printed()
    printed.add("x" * (PRINTED_LIMIT - 1))
    printed.add("yz")
    assert printed.text() == "x" * (PRINTED_LIMIT - 1) + "y"
    printed.line("no room is left")
    assert len(printed.text()) == PRINTED_LIMIT
    printed.clear()
    assert printed.text() == ""
    printed.line("again")
    assert printed.text() == "again"


def test_a_flood_of_prints_is_an_error(supervisor: Supervisor) -> None:
    flood = "for i = 1, 1e5 do print(('x'):rep(1000)) end"
    with driven(supervisor, memory=512 << 20) as worker:
        name, outcome, frame = worker.eval(flood)
        assert (name, outcome) == ("done", "error")
        assert frame[7] == "the output is larger than 10 MB"
        assert sum(len(item) for item in frame if isinstance(item, str)) < 1000
        assert worker.is_well()


def test_a_flood_of_prints_beyond_memory_is_out_of_memory(worker: Driven) -> None:
    _name, outcome, frame = worker.eval("for i = 1, 1e5 do print(('x'):rep(1000)) end")
    assert outcome == "memory"
    assert 1_000_000 < len(frame[8]) <= 1 << 20  # what it printed is kept up to its bound
    assert worker.is_well()


@pytest.mark.parametrize(
    "bomb",
    [
        "local t = {} for i = 1, 1e9 do t[i] = i .. ('x'):rep(100) end",
        "pcall(function() local t = {} for i = 1, 1e9 do t[i] = {} end end) return 'escaped'",
        "return ('x'):rep(1 << 30)",
        "local s = 'x' while true do s = s .. s end",
        "local t = {} for i = 1, 1e9 do t[i] = coroutine.create(print) end",
        "local function f() return 1 + f() end coroutine.wrap(f)()",
        "x = {} for i = 1, 1e9 do x[{}] = i end",
        "Inbox = nil x = {} while true do x = {x, x} end",
    ],
)
def test_a_memory_bomb_is_an_outcome(bomb: str, worker: Driven) -> None:
    _name, outcome, _frame = worker.eval(bomb)
    assert outcome in ("memory", "error")
    assert worker.is_well()


def test_control_with_more_memory_the_bomb_fits(supervisor: Supervisor) -> None:
    with driven(supervisor, memory=512 << 20) as roomy:
        assert roomy.eval("return #('x'):rep(1 << 26)")[1] == "ok"
    with driven(supervisor) as worker:
        assert worker.eval("return #('x'):rep(1 << 26)")[1] == "memory"


def test_undoing_a_message_cannot_be_held_up(worker: Driven) -> None:
    """It runs without a limit on time: `test_hostile_values` has the ways to try, and controls."""
    hook = "Errors = setmetatable({}, {__len = function() while true do end end})"
    assert worker.eval(hook)[1] == "ok"
    worker.send(["failed", worker.epoch, 3, "what was undone"])
    assert worker.eval("return 'on'")[2][8] == "on"


def test_saving_cannot_be_held_up(worker: Driven) -> None:
    hook = "for k in pairs(string) do string[k] = function() while true do end end end"
    worker.eval(hook, seconds=1)
    worker.send(["checkpoint", worker.epoch, 2])
    assert worker.await_frame("image")[2]


def test_messages_while_a_worker_is_busy_wait(worker: Driven) -> None:
    worker.start(eval_message("for i = 1, 1e7 do end return 'first'"))
    for _ in range(200):
        worker.start(eval_message("n = (n or 0) + 1 return n"))
    outputs = [worker.await_frame("done")[8] for _ in range(201)]
    assert outputs == ["first", *map(str, range(1, 201))]


def test_a_computing_fork_that_is_killed_leaves_a_parked_one(worker: Driven) -> None:
    worker.begin("while true do end")
    end(worker.worker.pid)
    assert worker.await_frame("promoted")[2] == "killed"
    worker.epoch += 1
    assert worker.is_well()


@pytest.mark.parametrize("before", ["message", "dry run", "log"])
def test_what_was_printed_before_is_not_said_of_who_is_killed(before: str, worker: Driven) -> None:
    """Who is stopped before it has begun has printed nothing, whatever came before it."""
    said = eval_message("print('before')")
    if before == "log":
        worker.send(["replay", 0, 1, *first_message()])
        worker.send(["replay", 0, 2, *said])
        worker.send(["park", 0])
        worker.await_frame("parked")
    else:
        assert worker.eval("print('before')")[1] == "ok"
    if before == "dry run":
        worker.send(["dry", worker.epoch, 7, 10.0, *said])
        worker.await_frame("dried")
        worker.send(["checkpoint", worker.epoch, 1])  # its turn comes when the dry run is over
        worker.await_frame("image")
    end(worker.worker.pid)
    _name, _seq, why, printed, _pid = worker.await_frame("promoted")
    assert (why, printed) == ("killed", "")


def test_only_the_newest_state_stays_parked(worker: Driven) -> None:
    computing = {worker.worker.pid}
    for _ in range(100):  # how often it parks follows from what a fork costs
        assert worker.eval("for i = 1, 1e7 do end")[1] == "ok"
        computing.add(worker.worker.pid)
        if len(computing) == 3:
            break
    assert len(computing) == 3
    assert eventually(lambda: len(group_of(worker.worker.group)) == 2)


DEAR = """
from aoshell.sandbox.worker import parking
parking.COPYING, parking.{bound} = 1e9, {most}
"""


@pytest.mark.parametrize(
    ("bound", "most", "text"), [("MOST_BEHIND", 4, ""), ("BYTES_BEHIND", 4000, "x" * 990)]
)
def test_a_state_is_parked_though_forks_seem_to_cost_too_much(
    bound: str, most: int, text: str, changed: Workers
) -> None:
    """As on a busy machine: the shell keeps the messages that it might have to send again."""
    with driven(changed(DEAR.format(bound=bound, most=most))) as worker:
        computing = []
        for _ in range(20):
            assert worker.eval(f"return 1 -- {text}")[1] == "ok"
            computing.append(worker.worker.pid)
        times = [computing.count(pid) for pid in dict.fromkeys(computing)]
        assert len(times) > 3 and max(times) <= 4
        assert worker.eval("error('x')")[1] == "error"
        assert worker.is_well()


SLOW_TO_END = """
import itertools, time
from aoshell.sandbox.worker import parking
parking.PARK_SHARE = 0
parked = itertools.count()
end = parking.Parent.end
def slowly(self):
    time.sleep(0.3 * (next(parked) % 2))
    end(self)
parking.Parent.end = slowly
"""


def test_no_older_state_comes_back_where_a_fork_is_not_scheduled(changed: Workers) -> None:
    """On a busy machine: it would lack later messages, which are not sent again."""
    with driven(changed(SLOW_TO_END)) as worker:
        for number in range(1, 9):
            name, outcome, frame = worker.eval("n = (n or 0) + 1 return n")
            assert (name, outcome, frame[8]) == ("done", "ok", str(number))
        assert eventually(lambda: len(group_of(worker.worker.group)) == 2)


def test_frames_from_before_a_roll_back_are_ignored(worker: Driven) -> None:
    assert worker.eval("error('x')")[1] == "error"
    assert worker.is_well()
    worker.send(["run", worker.epoch - 1, 98, 10.0, *eval_message("stale = true")])
    worker.send(["image", worker.epoch - 1, 99, 7], b"garbage")  # its bytes are passed over, too
    worker.send(["run", worker.epoch + 1, 100, 10.0, *eval_message("stale = true")])
    assert worker.eval("return tostring(stale)")[2][8] == "nil"


def test_a_group_that_is_killed_is_gone(worker: Driven) -> None:
    worker.begin("while true do end")
    group = worker.worker.group
    assert len(group_of(group)) == 2
    worker.worker.kill()
    worker.await_frame("gone")
    assert eventually(lambda: not group_of(group))


def test_a_dry_run_is_ended_too(worker: Driven) -> None:
    worker.send(["dry", worker.epoch, 7, 0.2, *eval_message("while true do end")])
    frame = worker.await_frame("dried")
    assert frame[1:3] == [7, "time"]
    assert worker.is_well()
