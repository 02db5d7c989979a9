"""`aoshell test`: what hostile and endless tests in Lua cannot do."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_testing_lua import Run, failure, passes, run

__all__ = ["run"]  # the fixture


def test_a_test_reaches_nothing_but_its_node(run: Run) -> None:
    passes(
        run,
        """
        for _, name in ipairs { "io", "dofile", "loadfile", "python", "aoshell" } do
          t:equal(_G[name], nil)
        end
        t:equal({ os.execute, os.getenv, os.exit, debug.sethook, string.dump }, {})
        t:fails(function() require("lfs") end, "not found")
        t:equal(load("\\27Lua"), nil)
        """,
    )


@pytest.mark.parametrize("name", ["/etc/passwd", "../secret.lua", "link.lua", "a\\0.lua", "sub"])
def test_files_elsewhere_are_not_read(run: Run, tmp_path: Path, name: str) -> None:
    secret = tmp_path.parent / "secret.lua"
    secret.write_text("SECRET")
    (tmp_path / "link.lua").symlink_to(secret)
    (tmp_path / "sub").mkdir(exist_ok=True)
    try:
        text = failure(run, f't:spawn("{name}")')["text"]
    finally:
        secret.unlink()
    assert "SECRET" not in text
    assert "outside of the folder" in text or "is no" in text


def test_links_that_lead_elsewhere_are_not_required(run: Run, tmp_path: Path) -> None:
    """By a process's file, and by the test's own."""
    secret = tmp_path.parent / "secret_part.lua"
    secret.write_text("return SECRET = 1")
    (tmp_path / "link.lua").symlink_to(secret)
    (tmp_path / "near.lua").symlink_to(tmp_path / "echo.lua")
    (tmp_path / "main.lua").write_text("require('link')")
    try:
        text = failure(run, 't:spawn("main.lua")')["text"]
        (outcome,) = run(source="require('link')")
    finally:
        secret.unlink()
    for said in (text, outcome["failure"]["text"]):
        assert "link.lua is outside of the folder" in said and "SECRET" not in said
    (tmp_path / "main.lua").write_text("require('near')")
    passes(run, 't:spawn("main.lua")')


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ('print("before") while true do end', "took more than {} s"),
        ("while true do t:now() end", "took more than {} s"),
        ("pcall(function() while true do end end) t:ok(true)", "took more than {} s"),
        ('("a"):rep(30):find(("a*"):rep(15) .. "b")', "took more than {} s"),
        ('local s = "x" while true do s = s .. s end', "more than 256 MB"),
        ("local a = {} for i = 1, 1e9 do a[i] = {} end", "more than 256 MB"),
    ],
)
def test_a_test_without_end_is_stopped(run: Run, body: str, text: str) -> None:
    source = f'test("bad", function(t) {body} end) test("good", function(t) end)'
    for seconds in ("20", "60") if "MB" in text else ("0.5", "5", "30"):
        *_, bad, good = [{}, {}, *run(source=source, flags=("--timeout", seconds))]
        if good.get("outcome") == "passed":
            break  # otherwise the machine is busy: that time is too short for any test
    assert bad["outcome"] == "error" and text.format(seconds) in bad["failure"]["text"]
    assert good["outcome"] == "passed"
    assert bad["prints"] == (["before"] if "before" in body else [])


def test_a_process_without_end_is_stopped_with_its_test(run: Run) -> None:
    code = "while true do end"
    loop = f'local p = t:spawn() while true do p:send {{ Action = "Eval", Data = "{code}" }} end'
    (outcome,) = run(loop, flags=("--timeout", "0.5"))
    assert outcome["outcome"] == "error"


def test_a_file_without_end_is_stopped(run: Run) -> None:
    (outcome,) = run(source="while true do end", flags=("--timeout", "0.3"))
    assert (outcome["name"], outcome["outcome"]) == ("", "error")


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("test('a', function(t)\nx = = 1\nend)", "a_test.lua:2: unexpected symbol"),
        ("\nerror('at once')", "at once"),
        ("test('a', function() end) test('a', function() end)", "this name already"),
        ("test('a')", "usage: test"),
        ("\xff\xfe", "a_test.lua:1: unexpected symbol"),
        ("return require('missing')", "not found"),
    ],
)
def test_a_file_that_does_not_load(run: Run, source: str, text: str) -> None:
    (outcome,) = run(source=source)
    assert (outcome["name"], outcome["outcome"]) == ("", "error")
    assert text in outcome["failure"]["text"]


def test_a_spoilt_world_fails_its_own_test_only(run: Run) -> None:
    spoilt = "tostring = nil string.format = nil table.concat = nil json.encode = nil pairs = nil"
    first, second = run(f"{spoilt} t:equal({{1}}, {{2}})", "t:equal({1}, {1})")
    assert first["outcome"] == "failed" or first["outcome"] == "error"
    assert second["outcome"] == "passed"


def test_forged_requests_are_refused(run: Run) -> None:
    """Whoever takes over the sandbox still has no more than the verbs."""
    forged = """
    local json = require(".json")
    local encode = json.encode
    json.encode = function(said)
      said.what, said.arguments = "{what}", json.decode('{arguments}')
      json.encode = encode
      return encode(said)
    end
    t:now()
    """
    cases = [("carry_out", "{}"), ("send", '{"process":5}'), ("spawn", '{"tags":[[1]]}')]
    cases += [("step", "[]"), ("advance", '{"span":[]}'), ("spawn", '{"file":"/etc/shadow"}')]
    bodies = [forged.replace("{what}", what).replace("{arguments}", given) for what, given in cases]
    assert {outcome["outcome"] for outcome in run(*bodies)} <= {"failed", "error"}


def test_each_test_is_alone(run: Run) -> None:
    source = """
    Seen = 0
    before(function(t) t.p = t:spawn("echo.lua") Seen = Seen + 1 end)
    for i = 1, 3 do
      test("t" .. i, function(t)
        t:equal(Seen, 1)
        t:equal(t.p:get("N"), nil)
        t.p:eval("N = 1")
        t:mock(string.rep("m", 43), "echo.lua")
        t:advance("1h")
      end)
    end
    """
    assert [outcome["outcome"] for outcome in run(source=source)] == ["passed"] * 3
