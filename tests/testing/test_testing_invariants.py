"""Invariants in tests: a message fails that breaks one."""

from __future__ import annotations

from pathlib import Path

import pytest
from zygotes import SHARED

from aoshell.errors import AoError
from aoshell.testing import EvalFailed, open_node

PROGRAM = """
N = 0
Handlers.add("Add", "Add", function(msg) N = N + tonumber(msg.Quantity) end)
Handlers.add("Ask", "Ask", function(msg) if msg.Loud then msg.reply({ Data = "x" }) end end)
Handlers.add("Wait", "Wait", function(msg)
  N = N + 100
  Receive("More")
end)
"""
HOLDING = """
state("n", function() return N end)
state("many", function() return { 1, { a = print } } end)
answers("Ask")
invariant("grows", function(before, after, msg)
  assert(before.many[2].a == tostring(print))
  return after.n >= before.n, msg.Action .. ": " .. before.n .. " to " .. after.n
end)
"""


def test_a_message_that_breaks_an_invariant_fails_and_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "h.lua").write_text(HOLDING)
    with open_node(files=tmp_path, supervisor=SHARED) as node:
        process = node.spawn(PROGRAM)
        assert process.invariants("h.lua").output == "grows"
        assert process.send("Add", Quantity=5).ok
        failed = process.send("Add", Quantity=-1)
        assert failed.error == 'invariant "grows" does not hold: Add: 5 to 4'
        assert process.value("N") == 5
        assert process.send("Ask", Loud="1").ok
        assert process.send("Ask").error == 'handler "Ask" did not answer'
        # What waits has not come to its end; what it changed is not the next message's doing.
        assert process.send("Wait").suspended
        assert process.send("Add", Quantity=-100).error
        assert process.send("Add", Quantity=1).ok
        assert process.value("N") == 106


def test_a_file_that_does_not_load_is_told(tmp_path: Path) -> None:
    (tmp_path / "h.lua").write_text("invariant(5)")
    with open_node(files=tmp_path, supervisor=SHARED) as node:
        process = node.spawn(PROGRAM)
        with pytest.raises(EvalFailed, match=r"h\.lua:1: usage: invariant"):
            process.invariants("h.lua")
        with pytest.raises(AoError, match="no file"):
            process.invariants("missing.lua")
        assert process.send("Add", Quantity=1).ok
