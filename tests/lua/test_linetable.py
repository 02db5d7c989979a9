"""The lines that can run, beside those that the interpreter itself tells of each function."""

from __future__ import annotations

from pathlib import Path

import pytest
from lupa import lua53

from aoshell.lua.linetable import compiled, line_table
from aoshell.sandbox import environment

REPO = Path(__file__).resolve().parents[2]

# Calls a text's main function; for each function that runs: its lines, as debug.getinfo knows them,
# and each step of its line hook, as "first last from to".
RUN = """
local source, active, steps = ...
local create, sethook, getinfo = coroutine.create, debug.sethook, debug.getinfo
local function hook()
  local frames = {}
  return function(event, line)
    local info = getinfo(2, "SfL")
    if event == "call" then frames[#frames + 1] = { info.func, 0 }
    elseif event == "tail call" then frames[#frames] = { info.func, 0 }
    elseif event == "return" and frames[#frames] and frames[#frames][1] == info.func then
      frames[#frames] = nil
    end
    if info.source ~= "@file" or event == "return" then return end
    local place = info.linedefined .. " " .. info.lastlinedefined
    for active_line in pairs(info.activelines) do active(place, active_line) end
    if event ~= "line" then return end
    -- An error has left functions without a return.
    while frames[#frames] and frames[#frames][1] ~= info.func do frames[#frames] = nil end
    local frame = frames[#frames]
    steps(place, frame[2], line)
    frame[2] = line
  end
end
function coroutine.create(f)
  local co = create(f)
  sethook(co, hook(), "crl")
  return co
end
function coroutine.wrap(f)
  local co = coroutine.create(f)
  return function(...)
    local ok, value = coroutine.resume(co, ...)
    if not ok then error(value, 0) end
    return value
  end
end
local main = load(source, "@file", "t")
sethook(hook(), "crl")
main()
sethook()
"""
FLOW = (Path(__file__).with_name("data") / "flow.lua").read_text()


def run(source: str) -> tuple[dict[str, set[int]], dict[str, set[tuple[int, int]]]]:
    lua = lua53.LuaRuntime(encoding="latin-1", register_builtins=False)
    active: dict[str, set[int]] = {}
    steps: dict[str, set[tuple[int, int]]] = {}
    lua.globals().load(RUN, "=run")(
        source,
        lambda place, line: active.setdefault(place, set()).add(line),
        lambda place, start, to: steps.setdefault(place, set()).add((start, to)),
    )
    return active, steps


def test_lines_are_those_that_the_interpreter_knows() -> None:
    active, steps = run(FLOW)
    table = {f"{one.first} {one.last}": one for one in line_table(compiled(FLOW.encode()))}
    assert set(active) == set(table)  # each function of the text runs
    for place, function in table.items():
        known = active[place] - {function.last, 0}  # an `end` that only returns is no line
        assert function.lines - {function.last} <= known, place
        # What is beside them is behind a `return` or a `goto`, and cannot run.
        assert {to for _start, to in steps[place]} <= function.lines | {function.last}, place
    main = table["0 0"]
    assert known_dead(FLOW) == {
        line for place, lines in active.items() for line in lines - {0}
    } - set().union(*(one.lines | {one.last} for one in table.values()))
    assert main.first == main.last == 0


def known_dead(source: str) -> set[int]:
    """Lines that say of themselves that they never run."""
    return {at for at, line in enumerate(source.split("\n"), 1) if line.endswith("-- never")}


def test_a_line_hook_goes_only_where_a_branch_may() -> None:
    _active, steps = run(FLOW)
    seen = 0
    for function in line_table(compiled(FLOW.encode())):
        for line, ways in function.branches.items():
            went = {to for start, to in steps[f"{function.first} {function.last}"] if start == line}
            seen += len(went)
            assert went <= set(ways), (function, line, went)
    assert seen > 20


@pytest.mark.parametrize(
    ("source", "branches"),
    [
        ("if a then\n  b()\nend\n", {1: (2, 4)}),
        ("if a then\n  b()\nelse\n  c()\nend\n", {1: (2, 4)}),
        ("if a and b then\n  c()\nend\n", {1: (2, 4)}),
        ("while a do\n  b()\nend\n", {1: (2, 4)}),
        ("for i = 1, 2 do\n  b()\nend\n", {1: (2, 4)}),
        ("for i = 1, 2 do b() end\n", {1: (1, 2)}),
        ("for k in pairs(t) do\n  b()\nend\n", {1: (2, 4)}),
        ("repeat\n  a()\nuntil b\n", {3: (2, 4)}),
        ("local a = b or c\nd()\n", {}),  # both ways go on in the same line
        ("if a then return end\nb()\n", {}),  # where it returns, a line hook sees nothing
        ("local t = f(\n  1,\n  2)\n", {}),  # lines that follow one another are no branch
    ],
)
def test_branches(source: str, branches: dict[int, tuple[int, ...]]) -> None:
    (function,) = line_table(compiled(f"{source}z()\n".encode()))
    assert function.branches == branches


def test_every_module_of_the_environment_has_a_table() -> None:
    for name, source in environment.read_sources().items():
        table = line_table(compiled(source.encode("latin-1")))
        count = source.count("\n") + 1
        assert all(0 <= line <= count for one in table for line in one.lines), name
        assert all(one.first <= one.last for one in table), name


def test_what_is_no_lua_says_why() -> None:
    with pytest.raises(ValueError, match="near"):
        compiled(b"x = = 1")
    with pytest.raises(ValueError, match="binary"):
        compiled(b"\x1bLua")
