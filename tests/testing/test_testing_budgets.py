"""Budgets: what a message may take, and what is said of one that takes more."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from aoshell.testing import open_node
from aoshell.testing.command import main

REPO = Path(__file__).resolve().parents[2]
PROGRAM = """Handlers.add("Cheap", "Cheap", function() end)
Handlers.add("Dear", "Dear", function(msg)
  for i = 1, 100000 do end
end)
Handlers.add("Pass", "Pass", function(msg) Send({ Target = msg.To, Action = "Dear" }) end)
"""


def outcomes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any, body: str, *flags: str
) -> Any:
    """The outcome of a test of `PROGRAM`, `p` in its body."""
    monkeypatch.chdir(tmp_path)
    Path("p.lua").write_text(PROGRAM)
    spawn = 'local p = t:spawn { file = "p.lua", name = "shop" }'
    Path("a_test.lua").write_text(f'test("x", function(t)\n  {spawn}\n{body}\nend)')
    main(["--json", *flags])
    return json.loads(capsys.readouterr().out.splitlines()[0])


@pytest.mark.parametrize("flags", [[], ["--coverage"]])
def test_a_message_over_its_budget_fails_the_test(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any, flags: list[str]
) -> None:
    body = '  t:within({ steps = 20000 }, function() p:send { Action = "Dear" } end)'
    found = outcomes(tmp_path, monkeypatch, capsys, body, *flags)
    assert found["outcome"] == "failed"
    assert found["failure"]["line"] == 3
    text = found["failure"]["text"]
    assert text.startswith("the handler Dear, for Dear (slot 1 of shop), took 101,")
    assert "steps; 20,000 are allowed" in text
    assert "--coverage-report html" in text
    assert "allow steps = 101" in text


def test_a_budget_that_holds_returns_what_its_function_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    body = """
  local sent, second = t:within({ steps = 20000 }, function()
    return p:send { Action = "Cheap" }, "two"
  end)
  t:ok(sent)
  t:equal(second, "two")
  t:ok(sent.steps > 100 and sent.steps < 20000)
  t:within { steps = 200000, function() p:send { Action = "Dear" } end }
  """
    assert outcomes(tmp_path, monkeypatch, capsys, body)["outcome"] == "passed"


def test_messages_that_others_cause_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    body = """
  local other = t:spawn { file = "p.lua", name = "other" }
  p:send { Action = "Dear" }  -- before: it does not count
  t:within({ steps = 20000 }, function() p:send { Action = "Pass", To = other } end)
  """
    text = outcomes(tmp_path, monkeypatch, capsys, body)["failure"]["text"]
    assert "for Dear (slot 1 of other)" in text


def test_time_warns_and_does_not_fail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    body = '  t:within({ ms = 0 }, function() p:send { Action = "Dear" } end)'
    found = outcomes(tmp_path, monkeypatch, capsys, body)
    assert found["outcome"] == "passed"
    (warning,) = found["warnings"]
    assert warning.startswith("the handler Dear, for Dear (slot 1 of shop), took ")
    assert main([]) == 0
    assert "warning: the handler Dear" in capsys.readouterr().out


def test_steps_of_webassembly_are_its_fuel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    shutil.copy(REPO / "examples" / "wasm" / "counter.wasm", tmp_path)
    body = """
  local c = t:spawn("counter.wasm")
  t:within({ steps = 10 }, function()
    c:send { Action = "ExecuteFunction", InputData = "Some data" }
  end)
  """
    text = outcomes(tmp_path, monkeypatch, capsys, body)["failure"]["text"]
    assert "ExecuteFunction (slot 1 of " in text
    assert "steps; 10 are allowed" in text
    assert "coverage" not in text  # it has no line hook


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("  t:within({ steps = 5 }, function() end)", "no message was handled meanwhile"),
        ("  t:within({ steps = 5 })", "usage: t:within"),
        ("  t:within({}, function() end)", "usage: t:within"),
        ("  t:within({ steps = 1.5 }, function() end)", "usage: t:within"),
        ("  t:within({ steps = -1 }, function() end)", "usage: t:within"),
        ("  t:within(5, function() end)", "usage: t:within"),
        ('  t:within({ steps = 5 }, function() error("inside") end)', "inside"),
    ],
)
def test_misuse(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any, body: str, text: str
) -> None:
    found = outcomes(tmp_path, monkeypatch, capsys, body)
    assert found["outcome"] == "failed"
    assert text in found["failure"]["text"]


def test_a_budget_inside_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    body = """
  t:within({ steps = 200000 }, function()
    pcall(t.within, t, { steps = 5 }, function() error("x") end)
    t:within({ steps = 20000 }, function() p:send { Action = "Cheap" } end)
    p:send { Action = "Dear" }
  end)
  """
    assert outcomes(tmp_path, monkeypatch, capsys, body)["outcome"] == "passed"


def test_steps_in_python(tmp_path: Path) -> None:
    (tmp_path / "p.lua").write_text(PROGRAM)
    with open_node(files=tmp_path) as node:
        process = node.spawn("p.lua")
        cheap, dear = process.send("Cheap"), process.send("Dear")
        assert 100 < cheap.steps < 20_000
        assert 100_000 < dear.steps < 120_000
