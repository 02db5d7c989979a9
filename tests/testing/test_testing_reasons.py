"""What people read most when a test in Lua fails: each says what happened, and the next step."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aoshell.nodes.values import Limits
from aoshell.testing.command import main
from aoshell.testing.coverage.recorder import Coverage
from aoshell.testing.requests.explaining import where_it_computes
from aoshell.testing.testbed.opening import Zygotes, open_node

CODE = """
N = 0
Handlers.add("Add", { Action = "Add", Quantity = "%d+" }, function(msg)
  assert(msg.From == Owner, "only the owner adds")
  N = N + tonumber(msg.Quantity)
end)
Handlers.add("Ask", "Ask", function(msg) msg.reply({ Action = "Told", N = tostring(N) }) end)
"""
SPAWN = 'local p, alice = t:spawn("code.lua"), t:as("alice") '
Fail = Callable[..., dict[str, Any]]


@pytest.fixture
def fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> Fail:
    """Runs one test in Lua that fails; its failure, and its outcome as `outcome`."""
    monkeypatch.chdir(tmp_path)
    Path("code.lua").write_text(CODE)

    def fail(body: str, *flags: str) -> dict[str, Any]:
        Path("a_test.lua").write_text(f'\ntest("a", function(t) {SPAWN}\n{body}\nend)\n')
        assert main(["--json", *flags]) == 1
        outcome, _end = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        found: dict[str, Any] = outcome["failure"] | {"outcome": outcome["outcome"]}
        return found

    return fail


def test_no_handler_took_it(fail: Fail) -> None:
    text = fail('t:sent(alice:send(p, { Action = "Add", Quantity = "x" }), { Action = "A" })')[
        "text"
    ]
    assert text.startswith("nothing was sent\n")
    assert "false: Quantity is x, not %d+" in text and "false: Action is Add, not Ask" in text
    assert "it is in the Inbox" in text
    assert text.endswith("→ fix the tag of the message, or the pattern of the handler that"
                         " should take it")  # fmt: skip


def test_a_handler_sent_nothing(fail: Fail) -> None:
    text = fail('t:sent(p:send { Action = "Add", Quantity = 5 }, { Action = "A" })')["text"]
    assert text.endswith("→ Add ran: msg.reply { … } or Send { … } in it sends a message")
    # Of a dry run there is nothing to look at once more.
    text = fail('t:sent(p:dryrun { Action = "Add", Quantity = 5 }, { Action = "A" })')["text"]
    assert text == "nothing was sent"


def test_a_wrong_tag(fail: Fail) -> None:
    found = fail('t:sent(p:send { Action = "Ask" }, { action = "Told", N = 0 })')
    assert "→ the message has Action, not action" in found["text"]
    assert '→ tags are text: write N = "0"' in found["text"]
    assert [item["path"] for item in found["differences"]] == [".N", ".action"]


def test_no_reply(fail: Fail) -> None:
    found = fail('t:equal(p:send { Action = "Add", Quantity = 5 }.reply.N, "0")')
    assert "→ no message went back to the sender" in found["text"] and found["line"] == 3


FORGED = """
local forged = { Action = "Add", Quantity = "4", ["From-Process"] = string.rep("F", 43) }
local r = alice:send(p, forged)
"""


def test_a_sender_is_not_trusted(fail: Fail) -> None:
    text = fail(FORGED + 't:equal(p:get("N"), 4)')["text"]
    assert f"→ before this, Add was not trusted: it came from {'F' * 43}, and alice signed" in text
    text = fail(FORGED + 't:sent(r, { Action = "Told" })')["text"]
    assert "refused: it is not trusted, so no handler was asked" in text
    assert "→ table.insert(ao.authorities, @alice)" in text


def test_a_state_that_a_failed_message_left(fail: Fail) -> None:
    add = 'alice:send(p, { Action = "Add", Quantity = 5 })'
    text = fail(f'{add} t:equal(p:get("N"), 5)')["text"]
    assert "→ before this, Add failed: " in text and "only the owner adds" in text
    # What the test has looked at is no news.
    text = fail(f't:fails({add}, "only the owner") t:equal(p:get("N"), 5)')["text"]
    assert text == "not equal"


@pytest.mark.parametrize(
    ("asserting", "says"),
    [
        ("t:fails(sent)", "it did not fail"),
        ("t:fails(function() end)", "it did not fail"),
        ('t:matches(p:get("tostring(N)"), "5")', "no match"),
        ('t:has({ n = p:get("N") }, { n = 5 })', "something lacks"),
        ("t:ok(nil)", "it is nil"),
    ],
)
def test_a_message_that_the_sent_one_caused_failed(fail: Fail, asserting: str, says: str) -> None:
    handler = 'function(msg) Send({ Target = msg.To, Action = "Add", Quantity = "5" }) end'
    text = fail(
        f"""local relay = t:spawn {{ source = [[Handlers.add("Go", "Go", {handler})]] }}
        local sent = relay:send {{ Action = "Go", To = p }}
        {asserting}"""
    )["text"]
    assert text.startswith(f"{says}\n→ before this, Add failed: "), text
    assert "only the owner adds" in text


@pytest.mark.parametrize(
    ("body", "doing"),
    [
        ("while true do end", "; its requests: "),
        ('string.find(string.rep("a", 1e4), string.rep("a*", 40) .. "b")', "; its requests: "),
        # The time may end within a spawn, or between two of them.
        ("for i = 1, 1000 do t:spawn() end", "(, while spawn was under way)?; its requests: sp"),
        ('p:eval("while true do end")', ""),
    ],
)
def test_out_of_time_names_the_test(fail: Fail, body: str, doing: str) -> None:
    """Also a test that makes a thousand processes: none of them is left."""
    for seconds in ("0.5", "8", "64"):  # loading the file takes longer on a loaded machine
        found = fail(body, "--timeout", seconds)
        if not found["text"].startswith("while a_test.lua was loaded"):
            break
    assert found["file"] == "a_test.lua" and found["line"] in (2, 3)
    assert "--timeout" in found["text"] and re.search(doing, found["text"])


def test_a_file_without_end_is_named(fail: Fail, capsys: Any) -> None:
    del fail
    Path("a_test.lua").write_text("while true do end")
    assert main(["--json", "--timeout", "0.5"]) == 1
    outcome = json.loads(capsys.readouterr().out.splitlines()[0])
    assert outcome["failure"]["text"].startswith("while a_test.lua was loaded: ")


@pytest.mark.parametrize(
    ("code", "place"),
    [
        ('Handlers.add("Go", "Go", function(msg)\n  while true do end\nend)', "code.lua:2"),
        ('Handlers.add("Go", function(msg)\n  if msg.Action == "Go" then\n    repeat until false'
         "\n  end\nend, print)", "code.lua:3"),
        ('Handlers.add("Go", "Go", print)', ""),
    ],
)  # fmt: skip
def test_where_a_message_computes_without_end(
    tmp_path: Path, code: str, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aoshell.testing.requests.explaining.LOOKED", 0.1)
    (tmp_path / "code.lua").write_text(code)

    coverage = Coverage()
    zygotes = Zygotes(coverage)

    async def find() -> None:
        limits = Limits(seconds=0.2)
        async with open_node(files=tmp_path, limits=limits, supervisor=zygotes) as node:
            process = await node.spawn("code.lua")
            answer = await process.send("Go")
            assert answer.outcome == ("time" if place else "ok")
            before = coverage.packed()
            assert await where_it_computes(process, answer.result.slot) == place
            assert coverage.packed() == before  # what is computed once more counts once

    asyncio.run(find())
    zygotes.shut_down()


def test_a_tag_that_the_code_looks_for_by_another_name(fail: Fail) -> None:
    Path("code.lua").write_text(
        'Handlers.add("Add", "Add", function(msg) N = msg.Tags.MyName or "none" end)'
    )
    send = 'p:send { Action = "Add", MyName = "x", otherName = "y" } t:equal(p:get("N"), "x")'
    text = fail(send)["text"]
    assert text.endswith(
        "→ before this, Add had the tag MyName: handlers find it as Myname, or as it came in a"
        ' process made with { tags = "as-sent" }'
    )
    assert "otherName" not in text  # the code does not look for it
    kept = f'p = t:spawn {{ file = "code.lua", tags = "as-sent" }} {send.replace("x", "z", 1)}'
    assert fail(kept)["text"] == "not equal"


@pytest.mark.parametrize("value", ["3", "", "{}", '{ what = "spawn" }'])
def test_what_a_test_yields_is_no_request(fail: Fail, value: str) -> None:
    failure = fail(f"coroutine.yield({value})")
    assert (failure["outcome"], failure["line"]) == ("failed", 3)
    assert failure["text"].startswith("coroutine.yield works in a coroutine that the test has made")


def test_more_time_is_no_way_out_of_too_little_memory(fail: Fail) -> None:
    failure = fail('local x = {} while true do x[#x + 1] = ("x"):rep(1 << 20) .. #x end')
    assert "needs more than 256 MB" in failure["text"] and "--timeout" not in failure["text"]
