"""`aoshell test`: tests in Lua."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aoshell.testing.command import main

ECHO = """
Handlers.add("Echo", "Echo", function(msg)
  msg.reply({ Action = "Echoed", Data = msg.Data, Colour = msg.Colour })
end)
Handlers.add("Fail", "Fail", function(msg)
  error("no way")
end)
"""
Run = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> Run:
    """Runs a Lua test file, whose body stands in a test; the objects of --json."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "echo.lua").write_text(ECHO)

    def run(*bodies: str, source: str = "", flags: tuple[str, ...] = ()) -> list[dict[str, Any]]:
        tests = [f'test("t{n}", function(t)\n{body}\nend)\n' for n, body in enumerate(bodies)]
        (tmp_path / "a_test.lua").write_text(source or "".join(tests))
        code = main(["--json", *flags, "a_test.lua"])
        *outcomes, end = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        bad = sum(outcome["outcome"] in ("failed", "error") for outcome in outcomes)
        assert code == bool(bad) and end["failed"] + end["error"] == bad
        return outcomes

    return run


def passes(run: Run, body: str) -> None:
    (outcome,) = run(body)
    assert outcome["outcome"] == "passed", outcome["failure"]


def failure(run: Run, body: str) -> dict[str, Any]:
    (outcome,) = run(body)
    assert outcome["outcome"] == "failed", outcome
    return outcome["failure"]


def test_a_patch_is_something_that_was_sent(run: Run) -> None:
    passes(
        run,
        """
        local p = t:spawn({ source = [[
          Balances = { a = "1" }
          Handlers.add("Move", "Move", function(msg)
            msg.reply({ Action = "Moved" })
            Send({ device = "patch@1.0", balances = Balances })
          end)
        ]] })
        local r = t:as("alice"):send(p, { Action = "Move" })
        t:equal(#r.messages, 2)
        t:equal(t:sent(r, { device = "patch@1.0" }).balances, '{"a":"1"}')
        t:equal(#t:lost(), 0)
        """,
    )


def test_assignments_are_part_of_the_result(run: Run) -> None:
    passes(
        run,
        """
        local p = t:spawn({ source = [[Handlers.add("Hand", "Hand", function(msg)
          ao.assign({ Processes = { "p1", "p2" }, Message = msg.Id })
        end)]] })
        local r = p:send { Action = "Hand" }
        t:equal(r.assignments, { { Message = r.id, Processes = { "p1", "p2" } } })
        t:equal(p:send({ Action = "Other" }).assignments, {})
        """,
    )


def test_results_of_real_programs(run: Run, shared: Path, tmp_path: Path) -> None:
    """What real aos 2.0.6 sends: the notes in these files say it."""
    scripts = shared / "cases" / "scripts"
    if not scripts.is_dir():
        pytest.skip(f"no programs: {scripts} is missing")
    for name in ("assignments.lua", "patch.lua"):
        (tmp_path / name).write_bytes((scripts / name).read_bytes())
    passes(
        run,
        """
        local r = t:spawn("patch.lua"):send { Action = "Move" }
        t:equal({ #r.messages, r.messages[2].device }, { 2, "patch@1.0" })
        t:equal(r.messages[2].balances, '{"a":"1"}')
        t:equal(r.messages[2].Target or "", "")
        """,
    )
    passes(
        run,
        """
        local p = t:spawn("assignments.lua")
        t:has(p:send({ Action = "Start" }).messages, { { Action = "Work", Target = p.id } })
        """,
    )


def test_messages_and_identities(run: Run) -> None:
    passes(
        run,
        """
        local p, alice = t:spawn("echo.lua"), t:as("alice")
        local r = alice:send(p, { Action = "Echo", Data = "hé", Colour = 5.0, Tags = { X = true } })
        t:ok(r)
        t:equal({ r.reply.Data, r.reply.Colour, r.reply.Target }, { "hé", "5", alice.address })
        t:equal(t:sent(r, { Action = "Echoed", Target = alice }), r.reply)
        t:equal(alice:inbox()[1].Data, "hé")
        t:has(alice:inbox(), { { From = p } })
        t:equal(t:as("alice"), alice)
        t:equal(p.owner, t.owner)
        t:ok(p.owner.address ~= alice.address)
        local data = p:send { Action = "Echo", Data = { a = { 1 } } }
        t:equal(data.reply.Data, '{"a":[1]}')
        """,
    )


def test_values_prints_errors_and_inboxes(run: Run) -> None:
    passes(
        run,
        """
        local code = "N = {1, {a = 1.5}, f = print}"
        local old = [[Handlers.add("A", "A", function(m) m.reply { Data = m.xY or "none" } end)]]
        t:equal(t:spawn { source = old }:send { Action = "A", xY = "1" }.reply.Data, "none")
        local kept = t:spawn { source = old, tags = "as-sent" }
        t:equal(kept:send { Action = "A", xY = "1" }.reply.Data, "1")
        local p = t:spawn { source = code, name = "n", tags = { A = "b" } }
        local n = p:get("N")
        t:equal({ n[1], n[2].a, n.f }, { 1, 1.5, n.f })
        t:matches(n.f, "^function")
        t:equal(p:get("nil"), nil)
        t:equal(p:get("1/0"), 1/0)
        t:equal(p:get("{false, a = false, b = {false}}"), { false, a = false, b = { false } })
        t:equal({ p:get("Name"), p:get("ao.env.Process.Tags.A") }, { "n", "b" })
        t:equal(p:eval("print('a') return 1"), "a\\n1")
        t:fails(function() p:eval("error('x')") end, "the process says: .*: x")
        t:fails(p:send { Action = "Eval", Data = "x.y = 1" }, "nil value")
        t:equal(#p:errors(), 2)
        t:equal(p:prints(), { "a\\n1" })
        p:send { Action = "Hello", Data = "you" }
        t:has(p:inbox(), { { Action = "Hello", Data = "you", From = t.owner } })
        local dry = p:dryrun { Action = "Eval", Data = "N = 1 print('dry')" }
        t:equal({ dry.ok, dry.output, type(p:get("N")) }, { true, "dry", "table" })
        """,
    )


def test_a_message_is_delivered_once_more_under_its_id(run: Run) -> None:
    passes(
        run,
        """
        local code = [[
          Came = {}
          Handlers.add("A", "A", function(msg)
            Came[#Came + 1] = { msg.Id, msg.From, msg.N }
            msg.reply({ Action = "B", N = msg.N })
          end)
        ]]
        local alice, p = t:as("alice"), t:spawn { source = code }
        local first = alice:send(p, { Action = "A", N = "1" })
        local second = p:send { Action = "A", N = "2" }
        local again = p:replay()
        t:equal({ again.ok, again.id, again.slot }, { true, second.id, second.slot + 1 })
        t:equal(again.reply.N, "2")
        local older = p:replay(3)
        t:equal({ older.id, older.reply.Target }, { first.id, alice.address })
        local ids = {}
        for i, came in ipairs(p:get("Came")) do ids[i] = came[1] end
        t:equal(ids, { first.id, second.id, second.id, first.id })
        t:fails(function() p:replay(5) end, "there is no message 5")
        t:fails(function() p:replay("x") end, "usage: process:replay")
        """,
    )


def test_a_message_of_another_process_is_delivered_once_more(run: Run) -> None:
    passes(
        run,
        """
        local code = [[
          Froms = {}
          Handlers.add("A", "A", function(msg) Froms[#Froms + 1] = msg.From end)
        ]]
        local p = t:spawn { source = code }
        local says = 'Handlers.add("Say", "Say", function(msg) Send(msg.Data) end)'
        local other = t:mock(string.rep("A", 43), { source = says })
        t.owner:send(other, { Action = "Say", Data = { Target = p.id, Action = "A" } })
        t:ok(p:replay())
        t:equal(p:get("Froms"), { other.id, other.id })
        """,
    )


def test_time_cron_mocks_and_queues(run: Run) -> None:
    passes(
        run,
        """
        local ticks = 'T = 0 Handlers.add("T", "T", function() T = T + 1 end)'
        local hourly = { ["Cron-Interval"] = "1-hour", ["Cron-Tag-Action"] = "T" }
        local p = t:spawn { source = ticks, tags = hourly }
        local begin = t:now()
        t:advance("3h")
        t:equal(p:get("T"), 3)
        t:equal(t:now() - begin, 3 * 3600 * 1000)
        t:equal(os.time(), t:now())
        t:advance(1)
        t:equal({ p:tick(), p:get("T") }, { 1, 4 })
        t:fails(function() t:advance("soon") end, "not a time span")

        local id = string.rep("m", 43)
        local mock = t:mock(id, "echo.lua")
        t:equal(mock.id, id)
        t:fails(function() t:mock(id, "echo.lua") end, "already")
        mock:pause()
        local msg = "{Target = '" .. id .. "', Action = 'Echo', Data = 'x'}"
        local code = "return Send(" .. msg .. ").receive().Data"
        local asked = p:send { Action = "Eval", Data = code }
        t:ok(asked.suspended)
        t:has(mock:queued(), { { Action = "Echo" } })
        mock:step(1)
        t:equal(p:prints(), { "x" })
        mock:resume()
        t:fails(function() mock:step() end, "nothing waits")

        p:eval("Send({Target = '" .. string.rep("z", 43) .. "', Action = 'Lost'})")
        t:has(t:lost(), { { Action = "Lost" } })
        local child = t:process(p:eval("return spawn('aos')"))
        t:equal(child:get("Owner"), p.id)
        """,
    )


def test_differences_are_told_by_path(run: Run) -> None:
    found = failure(
        run,
        """
        local got = { a = 1, list = { 1, 2 }, ["odd key"] = true, deep = { x = { y = "1" } } }
        t:equal(got, { a = 1, list = { 1, 3 }, b = { 1 }, deep = { x = { y = 1 } } }, "state")
        """,
    )
    assert (found["text"], found["file"], found["line"]) == ("state: not equal", "a_test.lua", 4)
    assert [tuple(item.values()) for item in found["differences"]] == [
        (".b", "{ 1 }", "nothing"),
        (".deep.x.y", "1", '"1"'),
        (".list[2]", "3", "2"),
        ('["odd key"]', "nothing", "true"),
    ]


def test_values_that_hold_themselves_are_compared(run: Run) -> None:
    passes(
        run,
        """
        local a, b = { n = 1 }, { n = 1 }
        a.a, b.a = a, b
        t:equal(a, b)
        t:equal(0/0, 0/0)
        """,
    )
    found = failure(run, "local a = {} a.a = a t:equal(a, 1)")
    assert found["differences"][0]["actual"] == "{ a = {circular} }"


def test_false_is_not_nothing(run: Run) -> None:
    found = failure(run, "t:equal({ a = false }, {})")
    assert found["differences"] == [{"path": ".a", "expected": "nothing", "actual": "false"}]
    found = failure(run, "t:equal({}, { false })")
    assert found["differences"] == [{"path": "[1]", "expected": "false", "actual": "nothing"}]
    passes(run, "t:equal({ a = false, { false } }, { a = false, { false } })")


def test_many_differences_are_counted(run: Run) -> None:
    found = failure(run, "local a = {} for i = 1, 100 do a[i] = i end t:equal(a, {})")
    assert found["text"] == "not equal (the first 20 of 100 places)"
    assert len(found["differences"]) == 20


def test_addresses_are_shown_as_the_test_writes_them(run: Run) -> None:
    body = """
    local alice, other = t:as("alice"), t:as("the other")
    t:equal({ [alice.address] = 1, who = other.address }, { who = alice.address })
    """
    assert [tuple(item.values()) for item in failure(run, body)["differences"]] == [
        (".who", "alice.address", 't:as("the other").address'),
        ("[alice.address]", "nothing", "1"),
    ]


def test_the_nearest_message_is_told(run: Run) -> None:
    body = 'local r = t:spawn("echo.lua"):send { Action = "Echo", Colour = "red" }\n'
    found = failure(run, body + 't:sent(r, { Action = "Echoed", Colour = "blue" })')
    assert found["text"] == "none of 1 messages fits; the nearest differs"
    assert [item["path"] for item in found["differences"]] == [".Colour"]
    found = failure(run, body + 't:sent(t:spawn():send { Action = "X" }, { Action = "Echoed" })')
    assert found["text"].startswith("nothing was sent\n")


def test_a_handlers_error_shows_its_line(run: Run) -> None:
    found = failure(run, 't:ok(t:spawn("echo.lua"):send { Action = "Fail" })')
    assert found["text"].splitlines()[:2] == [
        "the message failed: echo.lua:6: no way",
        '  6 │   error("no way")',
    ]
    assert found["line"] == 2


def test_an_error_in_the_test_itself(run: Run) -> None:
    found = failure(run, 'print("seen", 1)\nlocal x\nx.y = 1')
    assert (found["line"], found["text"]) == (4, "attempt to index a nil value (local 'x')")
    assert failure(run, "error({ a = 1 })")["text"].startswith("{")
    assert failure(run, "error()")["text"] == "nil"
    far = "a_test.lua:" + "9" * 5000 + ": far"
    assert failure(run, f'error("{far}", 0)')["text"] == far
    (outcome,) = run('print("seen", 1) error("x", 0)')
    assert outcome["prints"] == ["seen\t1"]


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("t:spawn(5)", "usage: alice:spawn"),
        ('t:spawn("missing.lua")', "there is no file"),
        ('t:spawn { source = "x =" }', "inline.lua:1: unexpected symbol"),
        ('t:spawn():send("Action")', "usage: process:send"),
        ("t:spawn():eval()", "usage: process:eval"),
        ("t:as()", "usage: t:as"),
        ('t:mock("short", "echo.lua")', "no address"),
        ('t:fails(t:spawn("echo.lua"):send { Action = "Echo" })', "it did not fail"),
        ("t:fails(5)", "usage: t:fails"),
        ('t:matches("abc", "^b")', "no match"),
        ("t:ok(nil)", "it is nil"),
        ('t:process("A"):get("x")', "no process"),
        ("test('inner', function() end)", "tests are declared when"),
        ("coroutine.wrap(function() t:now() end)()", "coroutine of its own"),
        ("t:spawn():step('x')", "usage: process:step"),
        ("t:spawn():step(1.5)", "usage: process:step"),
    ],
)
def test_misuse_is_told(run: Run, body: str, text: str) -> None:
    found = failure(run, f"\n{body}")
    assert text in found["text"]
    assert found["line"] == 3


@pytest.mark.parametrize(
    ("body", "hint"),
    [
        ('t:spawn { module = "aos@2.0.6" }', "t:publish(FILE) in a test"),
        ("t:spawn():step(1)", "in a test, p:queued()"),
        ("t:spawn():tick()", "in a test, the tag Cron-Interval does"),
        ('t:mock(t:spawn().id, "echo.lua")', "at the prompt, .delete"),
    ],
)
def test_hints_name_what_a_test_has(run: Run, body: str, hint: str) -> None:
    """A dot command is of the prompt alone, so a hint with one says that."""
    assert hint in failure(run, body)["text"]


def test_each_test_begins_where_its_file_was_loaded(run: Run) -> None:
    """Also behind a test that failed, one that was stopped, and one that waits in a coroutine."""
    source = """
      print("loaded")
      local count = 0
      for i = 1, 6 do
        test("t" .. i, function(t)
          count = count + 1
          t:equal(count, 1)
          t:spawn("echo.lua")
          if i == 2 then error("fails") end
          if i == 3 then while true do end end
          if i == 4 then while true do t:now() end end
        end)
      end"""
    found = run(source=source, flags=("-j", "1", "--timeout", "1"))
    kinds = ["passed", "failed", "error", "error", "passed", "passed"]
    assert [one["outcome"] for one in found] == kinds
    assert [one["prints"] for one in found] == [["loaded"]] * 6


def test_random_numbers_are_the_same_each_time(run: Run) -> None:
    first, second = run("print(math.random(1000000))", "print(math.random(1000000))")
    assert first["prints"] == second["prints"] != []


def test_helpers_are_required_from_beside_the_test(run: Run, tmp_path: Path) -> None:
    (tmp_path / "helpers.lua").write_text("return { check = function(t) t:equal(1, 2) end }")
    found = failure(run, 'require("helpers").check(t)')
    assert (found["file"], found["line"]) == ("helpers.lua", 1)
