"""A line that came to nil, false or "" says so, and one that failed says what it meant."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Sequence
from pathlib import Path

from shell_typing import Typing, Use
from zygotes import SHARED

from aoshell.nodes.local.node import LocalNode
from aoshell.shell.outcome import CommandOutput, LineAnswer
from aoshell.shell.view.render import Renderer

SHOWN = {
    "nil": "nil",
    "false": "false",
    '""': '""',
    '"  \\n"': '"  \n"',  # as blank as "", and nobody named it
    "return nil": "nil",
    "Balances = {} return Balances.alice": "nil",
    'pcall(error, "boom", 0)': 'false, "boom"',
    "pcall(error, { code = 1, more = {} })": "false, { code = 1, more = {…} }",
    'nil, "a \\"word\\""': "nil, 'a \"word\"'",
    "nil, 1, 2, 3, 4, 5": "nil, 1, 2, 3, …",
    "nil, print, {}, { 1, 2 }": "nil, function, {}, { 1, 2 }",
    'print("seen") return false': "false",
}
SILENT = [
    "x = 1",
    "local x = nil",
    "print(nil)",
    'Handlers.remove("none")',
    "if false then return nil end",
    "(function() end)()",
    "true",
    "0",
    "{}",
    "pcall(print, 1)",
]


def on_screen(outcome: object) -> str:
    shown: list[str] = []
    show = Renderer(shown.append, shown.append, colour=False, columns=lambda: 80)
    assert isinstance(outcome, LineAnswer | CommandOutput)
    show.outcome("", outcome)
    return "".join(shown)


def test_what_came_to_nothing_is_shown_on_a_screen_and_told_by_json(typing: Use) -> None:
    async def body(desk: Typing) -> None:
        for line, returned in SHOWN.items():
            answer = await desk(line)
            assert isinstance(answer, LineAnswer) and answer.last.returned == returned, line
            assert on_screen(answer).endswith(f"{returned}\n"), line
            assert returned not in await desk.seen(line), line  # a pipe prints what it printed
            value = await desk.json(line)
            assert value["returned"] == returned and returned not in str(value["output"])
        for line in SILENT:
            answer = await desk(line)
            assert isinstance(answer, LineAnswer) and answer.last.returned == "", line
            assert (await desk.json(line))["returned"] is None
        # Dimmed where colours are.
        shown: list[str] = []
        Renderer(shown.append, shown.append, colour=True, columns=lambda: 80).outcome(
            "", await desk("nil")
        )
        assert shown == ["\x1b[2mnil\x1b[0m\n"]

    typing(body)


def test_a_dry_run_and_an_awaited_answer_are_told_too(typing: Use) -> None:
    async def body(desk: Typing) -> None:
        dry = await desk(".dryrun nil")
        assert isinstance(dry, CommandOutput) and dry.answer and dry.answer.last.returned == "nil"
        await desk("Handlers.add('Ask', 'Ask', function(m) m.reply({ Data = '' }) end)")
        later = await desk("Send({ Target = ao.id, Action = 'Ask' }).receive().Data")
        assert isinstance(later, LineAnswer) and later.later
        assert later.last.returned == '""'

    typing(body)


def test_nothing_of_it_is_in_the_process(typing: Use) -> None:
    async def body(desk: Typing) -> None:
        found = await desk.value(
            "local seen = {} local function look(at, path, depth) if depth == 0 or seen[at] then "
            "return end seen[at] = true for key, value in pairs(at) do if value == 'false, 12345' "
            "then print(path .. tostring(key)) end if type(value) == 'table' then "
            "look(value, path .. tostring(key) .. '.', depth - 1) end end end "
            "Handlers.prepend('look', function() return 'continue' end, function() "
            "look(_G, '', 6) look(package.loaded, '', 6) end) return 1"
        )
        assert found == "1"
        assert await desk.value("false, 12345") == ""
        assert await desk.value(".dryrun Inbox[#Inbox] and 1 or 2") in ("1", "2")
        # A script that makes an Eval of its own gets what aos gives it.
        own = "local e = require('.eval')(ao) e({ Data = 'nil' }) e({ Data = '7' })"
        answer = await desk(own)
        assert isinstance(answer, LineAnswer)
        assert (answer.last.output, answer.last.returned) == ("7", "")

    typing(body)


def test_metamethods_do_not_run_to_show_a_value(typing: Use) -> None:
    async def body(desk: Typing) -> None:
        await desk(
            "Asked = 0 local function ask() Asked = Asked + 1 return 'x' end "
            "M = setmetatable({}, { __tostring = ask, __index = ask, __len = ask, __pairs = ask })"
        )
        answer = await desk("nil, M, { M }")
        assert isinstance(answer, LineAnswer) and answer.last.returned == "nil, {}, { {…} }"
        assert await desk.value("Asked") == "0"

    typing(body)


def test_it_is_bounded(typing: Use) -> None:
    async def body(desk: Typing) -> None:
        for line in (
            "nil, string.rep('ä', 1000000)",
            "local t = {} for i = 1, 100000 do t['k' .. i] = i end return nil, t",
        ):
            answer = await desk(line)
            assert isinstance(answer, LineAnswer) and len(answer.last.returned) < 1000
            assert answer.last.returned.isprintable()

    typing(body)


def test_it_is_in_the_log_and_replays(tmp_path: Path, typing: Use) -> None:
    async def body(desk: Typing) -> None:
        await desk("nil")
        process = desk.session.attached.id
        newest = (await desk.session.node.results(process))[-1]
        assert newest.result and newest.result.returned == "nil"
        assert (await desk.json(".verify-log"))["value"]["differences"] == []

    typing(body)

    async def again() -> None:
        node = await LocalNode.open(tmp_path / "state", supervisor=SHARED)
        try:
            desk = await node.find("desk")
            newest = (await node.results(desk.id))[-1]
            assert newest.result and newest.result.returned == "nil"
        finally:
            await node.close()

    asyncio.run(again())

    async def verified(code: str) -> Sequence[str]:
        """What differs in the log once its last result is as if another aoshell had written it."""
        with sqlite3.connect(tmp_path / "state" / "node.db") as database:
            (seq, body) = database.execute(
                "SELECT seq, body FROM results ORDER BY seq DESC LIMIT 1"
            ).fetchone()
            values = json.loads(body)
            assert values[-1] == "nil"
            changed = json.dumps([*values[:-1], *([code] if code else [])]).encode()
            database.execute("UPDATE results SET body = ? WHERE seq = ?", (changed, seq))
        database.close()
        node = await LocalNode.open(tmp_path / "state", supervisor=SHARED)
        try:
            return await node.verify_log((await node.find("desk")).id)
        finally:
            await node.close()
            with sqlite3.connect(tmp_path / "state" / "node.db") as database:
                database.execute("UPDATE results SET body = ? WHERE seq = ?", (body, seq))
            database.close()

    # An earlier aoshell does not keep it, whatever the environment tells.
    assert asyncio.run(verified("")) == []
    assert asyncio.run(verified("true")) == ["slot 1: it returned 'true', and now 'nil'"]


HINTS = [
    ("Balanecs", "Balanecs is not defined: did you mean Balances?"),
    ("Balances.alcie", "Balances has no alcie: did you mean alice?"),
    ("send({ Target = ao.id })", "send is not defined: did you mean Send?"),
    ("#Balanecs", "Balanecs is not defined: did you mean Balances?"),
    ("zzyzx()", "zzyzx is not defined"),
    ("Handlers.ad('x')", "Handlers has no ad: did you mean add?"),
    ("Name:uper()", ""),
    ("Balances.bob", ""),
    ("null", "null is not defined: Lua writes nil"),
    ("x != 1", "Lua writes ~= for not equal"),
    ("if x != 1 then print(1) end", "Lua writes ~= for not equal"),
    ("'a != b' .. ! x", "Lua writes not: not a"),
    ("1 != x", "Lua writes ~= for not equal"),
    ("a && b", "Lua writes and: a and b"),
    ("a || b", "Lua writes or: a or b"),
    ("x += 1", "Lua has no += and the like: x = x + 1"),
    ("let x = 1", "Lua writes local x = 1"),
    ("function f() { return 1 }", "Lua writes then … end, do … end, function(…) … end"),
    ("x = = 1", ""),
    ("x = 1\ny += 1", "Lua has no += and the like: x = x + 1"),
    ("x = { 'a != b' } -- !\ny = = 2", ""),
    ("i++", "Lua has no ++: x = x + 1"),
    ("x = [1, 2]", "Lua writes a list as { 1, 2 }"),
    ("t[1] = = t[2]", ""),
    ("error('!')", ""),
    ("nil", ""),
    ("false", ""),
    ("1 +* 2", ""),
]


def test_a_line_is_told_what_it_meant(typing: Use) -> None:
    async def body(desk: Typing) -> None:
        await desk("Balances = { alice = 5 }")
        for line, hint in HINTS:
            answer = await desk(line)
            assert isinstance(answer, LineAnswer)
            assert answer.hint == hint, line
            assert (await desk.json(line))["hint"] == hint
            assert ("→" in on_screen(answer)) is bool(hint)
            assert ("→" in await desk.seen(line)) is (bool(hint) and not answer.ok)

    typing(body)


def test_bare_words_do_what_they_mean(typing: Use) -> None:
    async def body(desk: Typing) -> None:
        for word in ("exit", "quit", " exit ", "exit()", "quit;"):
            outcome = await desk(word)
            assert isinstance(outcome, CommandOutput) and outcome.leave, word
        for word in ("help", "?", "help()"):
            assert "Lua" in await desk.text(word), word
        for word in ("? Send", "help Send", "?Send", "? .send"):
            assert "Send" in (await desk.text(word)).title(), word
        assert await desk.value("=1 + 1") == "2"
        assert await desk.value("  = { 1 }") == await desk.value("{ 1 }")
        assert (await desk.json("=nil"))["returned"] == "nil"
        assert await desk.value("return exit") == ""

    typing(body)


def test_a_global_of_the_process_is_what_a_bare_word_means(typing: Use) -> None:
    async def body(desk: Typing) -> None:
        await desk("exit, help = 'door', function() return 'mine' end")
        assert await desk.value("exit") == "door"
        assert await desk.value("help()") == "mine"
        outcome = await desk("quit")
        assert isinstance(outcome, CommandOutput) and outcome.leave

    typing(body)


def test_a_bare_word_needs_no_process_that_answers(typing: Use) -> None:
    async def body(desk: Typing) -> None:
        await desk("Owner = 'somebody'")
        outcome = await desk("exit")
        assert isinstance(outcome, CommandOutput) and outcome.leave
        desk.session.process = None
        outcome = await desk("exit")
        assert isinstance(outcome, CommandOutput) and outcome.leave

    typing(body)
