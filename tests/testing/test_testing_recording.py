"""What `.record` writes does again what the session did."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aoshell.testing import Identity, Node, Process, open_node, record
from aoshell.testing.command import main

BANK = """
Balances = {}
Handlers.add("Pay", "Pay", function(msg)
  local sum = assert(tonumber(msg.Sum), "Sum (a number) is missing")
  Balances[msg.To] = (Balances[msg.To] or 0) + sum
  Send({ Target = msg.To, Action = "Paid", Sum = msg.Sum, Data = "id " .. msg.Id, ["end"] = "x" })
end)
"""
Again = Callable[[str], dict[str, Any]]


@pytest.fixture
def again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> Again:
    """Runs what was recorded; its one outcome."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bank.lua").write_text(BANK)

    def run(source: str) -> dict[str, Any]:
        (tmp_path / "session_test.lua").write_text(source)
        main(["--json", "session_test.lua"])
        return json.loads(capsys.readouterr().out.splitlines()[0])

    return run


def session(node: Node) -> Process:
    bank = node.spawn(BANK, name="bank")
    zed = Identity("zed")
    bank.send("Pay", To=zed, Sum=5)
    bank.send("Pay", To=node.owner, Sum=3, as_=zed)
    bank.send("Pay", To=zed)
    bank.eval("1 + 1")
    bank.eval('x = {\n  "é ]] \\27[1m",\n}\nreturn x[1]')
    bank.eval("return Balances")
    bank.eval(f'return Balances["{zed}"]')
    bank.eval("return os.time()")
    bank.eval(f'Send({{Target = ao.id, Action = "Pay", To = "{zed}", Sum = "1"}})')
    bank.send("Eval", "error('no (1) - x%')")
    bank.send("Odd", b"\xff\0", tags={"A name": '"quoted"\n'})
    return bank


def test_a_session_does_the_same_again(again: Again) -> None:
    with open_node() as node:
        bank = session(node)
        written = record(bank.entries(), name='it "works"', sources={bank.id: "bank.lua"})
    outcome = again(written)
    assert outcome["outcome"] == "passed", (outcome, written)
    assert outcome["name"] == 'it "works"'
    assert bank.id not in written and str(Identity("zed")) not in written
    for line in (
        '  local someone1 = t:as("someone 1")',
        '  local p1 = t:spawn { file = "bank.lua", name = "bank" }',
        '  t:equal(p1:eval("1 + 1"), "2")',
        '  t:equal(p1:eval("return Balances[\\"" .. someone1.address .. "\\"]"), "5")',
        '  p1:eval("return os.time()")',
    ):
        assert line in written.splitlines(), written
    assert written.count("t:sent(") == 2 and written.count("t:fails(") == 2


def test_a_handler_that_changed_is_noticed(again: Again, tmp_path: Path) -> None:
    with open_node() as node:
        bank = session(node)
        written = record(bank.entries(), sources={bank.id: "bank.lua"})
    (tmp_path / "bank.lua").write_text(BANK.replace("msg.Sum, Data", '"many", Data'))
    outcome = again(written)
    assert outcome["outcome"] == "failed"
    (difference,) = outcome["failure"]["differences"]
    assert difference == {"path": ".Sum", "expected": '"5"', "actual": '"many"'}


def test_several_processes_and_their_owners(again: Again) -> None:
    with open_node() as node:
        first = node.spawn(name="first")
        second = node.spawn(as_=Identity("zed"))
        first.eval(f'Send({{Target = "{second}", Action = "Hello"}})')
        second.eval("return #Inbox")
        second.eval("return ao.id")
        entries = [*first.entries(), *second.entries()]
        entries.sort(key=lambda entry: entry.message.assignment.timestamp)
        written = record(entries)
    outcome = again(written)
    assert outcome["outcome"] == "passed", (outcome, written)
    assert "local p2 = someone1:spawn {  }" in written
    assert 't:equal(p2:eval("return ao.id"), p2.id)' in written


def test_the_end_of_a_session_alone(again: Again) -> None:
    with open_node() as node:
        process = node.spawn()
        process.eval("N = 1")
        process.eval("return 2")
        written = record(process.entries()[2:])
    assert again(written)["outcome"] == "passed", written
    assert record([]) == 'test("a recorded session", function(t)\n\nend)\n'
