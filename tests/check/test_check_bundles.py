"""Files of a bundle: what they know of each other, and circles among them."""

from __future__ import annotations

import pytest

from aoshell.check import check, check_bundle
from aoshell.check.circles import MOST_CIRCLES


def test_files_of_a_bundle_know_each_other() -> None:
    sources = {
        "lib/state.lua": b"Balances = {}\nreturn {}",
        "main.lua": b"require('lib.state')\nprint(Balances)",
    }
    assert check_bundle(sources, "legacy", ["lib.state"]) == []
    alone = check(sources["main.lua"], "main.lua", "legacy")
    assert [one.rule for one in alone] == ["module", "undefined-global"]


def test_handlers_of_a_bundle_replace_each_other() -> None:
    sources = {
        "a.lua": b"\nHandlers.add('x', 'x', print)",
        "main.lua": b"require('a')\nHandlers.add('x', 'y', print)\nreturn 1",
    }
    (found,) = check_bundle(sources, "legacy", ["a"])
    assert (found.file, found.line, found.rule) == ("main.lua", 2, "handler-replaced")
    assert "'x' of a.lua, line 2" in found.message


def test_handlers_are_found_in_other_files() -> None:
    """As programs are written: a module of functions, a file that adds them, a wrapper between."""
    found = check_bundle(
        {
            "token.lua": b"local token = {}\nfunction token.info(msg) return msg.Tags.x_y end\n"
            b"token.send = function(msg) if msg.Quantity > 1 then return end end\nreturn token",
            "util.lua": b"return { guard = function(f) return function(m) return f(m) end end }",
            "main.lua": b"local token, util = require('token'), require('util')\n"
            b"Handlers.add('Info', 'Info', token.info)\n"
            b"Handlers.add('Send', 'Send', util.guard(token.send))",
        },
        "legacy",
        files={"token": "token.lua", "util": "util.lua"},
    )
    assert [(one.file, one.line, one.rule) for one in found] == [
        ("token.lua", 2, "tag-case"),
        ("token.lua", 3, "tag-number"),
    ]


def test_a_table_that_two_files_fill_is_not_certain() -> None:
    found = check_bundle(
        {
            "a.lua": b"State = { h = function(msg) print(msg.Tags.x_y) end }",
            "b.lua": b"State.h = print Handlers.add('a', 'a', State.h)",
        },
        "legacy",
    )
    assert found == []


def test_only_the_main_file_answers_an_eval() -> None:
    sources = {"a.lua": b"return 1, 2", "main.lua": b"return 1, 2"}
    assert [one.file for one in check_bundle(sources, "legacy")] == ["main.lua"]


def test_a_broken_file_does_not_hide_the_others() -> None:
    sources = {"a.lua": b"x = ", "main.lua": b"spawn('m')"}
    assert [(one.file, one.rule) for one in check_bundle(sources, "legacy")] == [
        ("a.lua", "syntax"), ("main.lua", "only-here")
    ]  # fmt: skip


def test_names_that_the_process_has_are_known() -> None:
    assert check_bundle({"a": b"print(Foo)"}, "legacy", (), ["Foo"]) == []


def test_a_file_that_takes_the_place_of_aos_module_is_judged_by_itself() -> None:
    main = b"""local ao, process = require("ao"), require(".process")
    ao.send({ Target = "x", Amount = 1 }) process.drop("x") require(".process").waits()"""
    rules = {found.rule for found in check_bundle({"main.lua": main}, "legacy")}
    assert rules == {"tag-value", "only-here"}
    sources = {"ao.lua": b"return {}", "process.lua": b"return {}", "main.lua": main}
    assert not check_bundle(sources, "legacy", files={"ao": "ao.lua", ".process": "process.lua"})


def test_circles_are_found_in_what_runs_for_certain() -> None:
    sources = {
        "a.lua": b"local b = require('b')",
        "b.lua": b"\nreturn require('.a')",
        "main.lua": b"",
    }
    files = {"a": "a.lua", ".a": "a.lua", "b": "b.lua"}
    (found,) = check_bundle(sources, "hyperbeam", files=files)
    assert (found.rule, found.severity, found.file, found.line) == ("circle", "error", "b.lua", 2)
    assert found.message.endswith(": a.lua → b.lua → a.lua")
    sources["a.lua"] = b"function f() return require('b') end"
    assert not check_bundle(sources, "hyperbeam", files=files)


def test_of_many_circles_few_are_told() -> None:
    names = [f"m{n}" for n in range(60)]
    text = " ".join(f"require('{name}')" for name in names).encode()
    found = check_bundle(
        {f"{name}.lua": text for name in names}, "legacy", files={n: f"{n}.lua" for n in names}
    )
    assert len(found) == MOST_CIRCLES and max(len(one.message) for one in found) < 300


@pytest.mark.parametrize("source", ["require(name)", "pcall(require, 'x' .. y)", "require(f())"])
def test_computed_names_are_told(source: str) -> None:
    found = check_bundle({"main.lua": b"local name, y, f = ... " + source.encode()}, "legacy")
    assert [(one.rule, one.severity) for one in found] == [("module", "note")]
