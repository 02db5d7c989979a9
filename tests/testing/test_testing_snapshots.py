"""Snapshots of tests in Lua, the files that hold them, and cases by table."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aoshell.testing.command import main

COIN = """
Balances = { }
Handlers.add("Mint", "Mint", function(msg)
  Balances[msg.From] = tonumber(msg.Quantity)
  msg.reply({ Action = "Minted", Data = "say \\"hi\\"\\nto " .. msg.From })
end)
"""
HEAD = "aoshell snapshots 1: a_test.lua\n"
FILE, SNAP = Path("a_test.lua"), Path("a_test.snap")
Run = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> Run:
    """Runs the tests of a folder with a coin; the objects of --json. What else is said: `said`."""
    monkeypatch.chdir(tmp_path)
    Path("coin.lua").write_text(COIN)

    def run(*flags: str) -> list[dict[str, Any]]:
        main(["--json", *flags])
        captured = capsys.readouterr()
        run.said = captured.err  # type: ignore[attr-defined]
        *outcomes, _end = [json.loads(line) for line in captured.out.splitlines()]
        return outcomes

    return run


def declare(*bodies: str, quantity: int = 5) -> None:
    mint = f'{{ Action = "Mint", Quantity = {quantity} }}'
    spawn = 'local p = t:spawn { file = "coin.lua", name = "coin" }'
    begin = f'{spawn} local r = t:as("alice"):send(p, {mint})'
    tests = (f'test("t{n}", function(t) {begin} {body} end)\n' for n, body in enumerate(bodies))
    FILE.write_text("".join(tests))


TAKES = 't:snapshot("reply", r) t:snapshot("state", p:get("Balances")) t:snapshot("all")'
MESSAGE = """\
{
  {
    Action = "Minted",
    Data = "say \\"hi\\"\\nto <alice>",
    From = "<coin>",
    Target = "<alice>",
  },
}
"""


def test_snapshots_are_kept_and_compared(run: Run) -> None:
    declare(TAKES)
    (missing,) = run()
    assert "no snapshot 'reply' of this test in a_test.snap" in missing["failure"]["text"]
    assert (missing["failure"]["file"], missing["failure"]["line"]) == ("a_test.lua", 1)
    assert not SNAP.exists()

    (kept,) = run("--update-snapshots")
    assert kept["outcome"] == "passed"
    state = '{\n  ["<alice>"] = 5,\n}\n'
    assert SNAP.read_text() == (
        f"{HEAD}\n# t0\n## all\n{MESSAGE}## reply\n{MESSAGE}## state\n{state}"
    )
    assert run()[0]["outcome"] == "passed"

    declare(TAKES, quantity=6)
    (differs,) = run()
    text = differs["failure"]["text"]
    assert "the snapshot 'state' differs" in text and '-  ["<alice>"] = 5,' in text
    assert '+  ["<alice>"] = 6,' in text and "→ if it is right now: aoshell test" in text
    before = SNAP.read_text()
    run("--update-snapshots")
    assert SNAP.read_text() == before.replace("= 5", "= 6")


def test_line_ends_and_marks_of_editors_do_not_matter(run: Run) -> None:
    declare('t:snapshot("x", { a = { 1, { b = false } } })')
    run("--update-snapshots")
    SNAP.write_bytes(b"\xef\xbb\xbf" + SNAP.read_bytes().replace(b"\n", b"\r\n"))
    assert run()[0]["outcome"] == "passed"


def test_any_value_has_a_form(run: Run) -> None:
    body = (
        "local c = {} c.c = c "
        'local v = { 1, 2.5, -1/0, [10] = "\\255\\0#", f = print, c = c, ["a b"] = {}, p = p } '
        't:snapshot("x", v)'
    )
    declare(body)
    assert run("--update-snapshots")[0]["outcome"] == "passed"
    assert SNAP.read_text().partition("## x\n")[2] == (
        '{\n  1,\n  2.5,\n  -1/0,\n  [10] = "\\xff\\000#",\n  ["a b"] = {},\n'
        '  c = {\n    c = <circular>,\n  },\n  f = <function>,\n  p = "<coin>",\n}\n'
    )
    assert run()[0]["outcome"] == "passed"


def test_only_what_ran_to_its_end_is_replaced(run: Run) -> None:
    declare('t:snapshot("a", 1)', 't:snapshot("b", 1) t:snapshot("c", 1)')
    run("--update-snapshots")
    declare('t:snapshot("a", 2)', 't:snapshot("b", 2) error("x")')
    run("--update-snapshots", "-k", "t1")
    assert SNAP.read_text() == HEAD + "\n# t0\n## a\n1\n\n# t1\n## b\n1\n## c\n1\n"


def test_what_no_test_takes_is_named_and_removed(run: Run) -> None:
    declare('t:snapshot("a", 1)', 't:snapshot("b", 1) t:snapshot("c", 1)', "")
    run("--update-snapshots")
    declare('t:snapshot("a", 1)', 't:snapshot("b", 1)')
    run("-k", "t0")
    assert run.said == ""  # type: ignore[attr-defined]
    run()
    assert "a_test.snap: no test takes t1: c any more" in run.said  # type: ignore[attr-defined]
    declare('t:snapshot("a", 1)')
    run()
    assert "no test takes t1: b, t1: c any more" in run.said  # type: ignore[attr-defined]
    run("--update-snapshots")
    assert SNAP.read_text() == HEAD + "\n# t0\n## a\n1\n"
    declare("")
    run("--update-snapshots")
    assert not SNAP.exists()


BROKEN = [
    (b"local x = 1\n", "1: this is not a file of snapshots"),
    (b"", "1: this is not a file of snapshots"),
    (b"aoshell snapshots 2: x\n", "1: it has format 2, newer"),
    (HEAD.encode() + b"# t0\n## a\n\xff\n", "4: it is not text in UTF-8"),
    (HEAD.encode() + b"# t0\n## a\n1\n## a\n2\n", "5: this snapshot is in line 3 already"),
    (HEAD.encode() + b"## a\n1\n", "2: a snapshot has no test above it"),
    (HEAD.encode() + b"# t0\n1\n", "3: this line belongs to no snapshot"),
    (HEAD.encode() + b"# t0\n## a\n\n", "3: this snapshot is empty"),
    (HEAD.encode() + b"# t0\n## a\n#b\n", "4: a name is missing after #"),
    (HEAD.encode() + b"# t0\n## a\n<<<<<<< HEAD\n1\n", "4: a merge conflict is not resolved"),
]


@pytest.mark.parametrize(("data", "why"), BROKEN)
def test_a_broken_file_is_named_with_its_line(run: Run, data: bytes, why: str) -> None:
    """And it is left as it is, also where snapshots are to be updated."""
    declare('t:snapshot("a", 1)')
    SNAP.write_bytes(data)
    (outcome,) = run()
    assert f"a_test.snap:{why}" in outcome["failure"]["text"]
    (outcome,) = run("--update-snapshots")
    assert f"a_test.snap:{why}" in outcome["failure"]["text"]
    declare("")
    run("--update-snapshots")
    assert f"a_test.snap:{why}" in run.said  # type: ignore[attr-defined]
    assert SNAP.read_bytes() == data


def test_misuse_is_told(run: Run) -> None:
    declare('t:snapshot("a", 1) t:snapshot("a", 1)', "t:snapshot(5)", 't:snapshot("", 1)')
    twice, number, empty = run("--update-snapshots", "-j", "1")
    assert "taken twice" in twice["failure"]["text"]
    assert "usage: t:snapshot" in number["failure"]["text"]
    assert "usage: t:snapshot" in empty["failure"]["text"]


def test_names_are_one_line_each(run: Run) -> None:
    FILE.write_text('test("a\\n# b\\255", function(t) t:snapshot("c\\n## d", 1) end)')
    run("--update-snapshots")
    assert SNAP.read_text() == HEAD + "\n# a\\x0a# b\\x5cxff\n## c\\x0a## d\n1\n"
    assert run()[0]["outcome"] == "passed" and run.said == ""  # type: ignore[attr-defined]


# Cases ----------------------------------------------------------------------------------------


def test_cases_are_tests_with_names(run: Run) -> None:
    FILE.write_text(
        """
        local sums = {
          { 1, 2, 3 }, { name = "wrong", 1, 1, 3 }, zero = { 0, 0, 0 }, big = { 9, 1, 10 } }
        test("adds", sums, function(t, case) t:equal(case[1] + case[2], case[3]) end)
        skip("later", { "a", 5 }, function(t, case) error("runs") end)
        for _, word in ipairs { "x", "y" } do test("as busted: " .. word, function(t) end) end
        """
    )
    assert [(one["name"], one["outcome"]) for one in run()] == [
        *(("adds: { 1, 2, 3 }", "passed"), ("adds: wrong", "failed")),
        *(("adds: big", "passed"), ("adds: zero", "passed")),
        *(("later: a", "skipped"), ("later: 5", "skipped")),
        *(("as busted: x", "passed"), ("as busted: y", "passed")),
    ]
    (wrong,) = run("-k", "adds and wrong")
    assert wrong["failure"]["line"] == 4
    assert wrong["failure"]["differences"] == [{"path": "", "expected": "3", "actual": "2"}]


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ('test("a", {}, function() end)', "there must be cases"),
        ('test("a", 5, function() end)', "there must be cases"),
        ('test("a", { [{}] = 1 }, function() end)', "usage: test"),
        ('test("a", { 1, 1 }, function() end)', "there is a test of this name already: a: 1"),
        ('test("a", { 1 })', "usage: test"),
    ],
)
def test_cases_that_cannot_be(run: Run, source: str, why: str) -> None:
    FILE.write_text(source)
    (outcome,) = run()
    assert outcome["outcome"] == "error" and re.search(why, outcome["failure"]["text"])
