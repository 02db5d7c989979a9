"""Bundles, run by Lua itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lupa.lua53 import LuaError, LuaRuntime

from aoshell.errors import AoError
from aoshell.lua.compiling import find_requires, without_tail_calls
from aoshell.protocol.message import raw
from aoshell.shell.code.bundle import bundle, long_string, refuse_unloadable, short_string
from aoshell.shell.code.files import read_file
from aoshell.shell.code.program import DRAWN_LEVELS, tree_lines


def run(source: bytes) -> Any:
    lua = LuaRuntime(encoding=None, register_eval=False, register_builtins=False)
    answer = lua.globals()[b"load"](source, b"=bundle", b"t")
    assert not isinstance(answer, tuple), answer
    return answer()


def write(folder: Path, **files: str | bytes) -> Path:
    for name, content in files.items():
        path = folder / (name.replace("__", "/") + ".lua")
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder / "main.lua"


@given(st.binary())
def test_quoted_bytes_come_back(data: bytes) -> None:
    plain = data.replace(b"\r", b"")
    assert run(b"return " + long_string(plain)) == plain


@pytest.mark.parametrize("data", [b"]", b"]]", b"]=", b"]=]]", b"\n", b"[[", b"\0\xff", b"]==]]=]"])
def test_brackets_close_nothing_early(data: bytes) -> None:
    assert run(b"return " + long_string(data)) == data


@given(st.text())
def test_literals_come_back(said: str) -> None:
    try:
        data = raw(said)
    except UnicodeEncodeError:
        return
    assert run(b"return " + short_string(said)) == data


def test_modules_come_before_those_that_require_them(tmp_path: Path) -> None:
    main = write(
        tmp_path,
        main='local b = require("sub.b")\nreturn b.name .. require "a" .. tostring(require("c"))',
        a='return "A"',
        sub__b='return {name = "B" .. require("a")}',
        c="C = 1",
    )
    program = bundle(main)
    assert run(program.source) == b"BAAtrue"
    assert list(program.files) == ["a.lua", "sub/b.lua", "c.lua", "main.lua"]
    assert list(tree_lines(program.program)) == [
        "main.lua",
        "├─ sub/b.lua",
        "│  └─ a.lua",
        "├─ a.lua",
        "└─ c.lua",
    ]


def test_what_is_not_local_is_taken_as_there(tmp_path: Path) -> None:
    program = bundle(write(tmp_path, main='return type(require("string"))'))
    assert run(program.source) == b"table"
    assert list(tree_lines(program.program))[1] == "└─ string (not a local file)"


SPELLINGS = 'return require(".a.b").n .. require("a.b").n .. require("a/b").n .. require("./a/b").n'


def test_all_spellings_are_one_module_that_runs_once(tmp_path: Path) -> None:
    keys = (
        "local l = package.loaded return tostring(l['.a.b'] == l['a/b'] and l['./a/b'] == l['a.b'])"
    )
    main = write(
        tmp_path,
        main=f'X = (function() {SPELLINGS} end)() return X .. require("c")',
        a__b="Runs = (Runs or 0) + 1 return { n = Runs, name = ... }",
        c=f'assert(require(".a.b") == require("a.b")) {keys}',
    )
    assert run(bundle(main).source) == b"1111true"


@pytest.mark.parametrize(
    ("module", "value"),
    [
        ("", b"true"),
        ("return nil", b"true"),
        ("return false", b"false"),
        ("return 7", b"7"),
        ("package.loaded['.m'] = 8", b"8"),
        ("package.loaded[...] = 9", b"9"),
    ],
)
def test_what_a_module_is_worth(tmp_path: Path, module: str, value: bytes) -> None:
    loaded = "return tostring(package.loaded['.m']) .. tostring(package.loaded.m)"
    main = write(tmp_path, main=f"if false then require('.m') require('m') end {loaded}", m=module)
    assert run(bundle(main).source) == value + value


def test_a_module_is_told_its_name(tmp_path: Path) -> None:
    main = write(tmp_path, main='return require("a.b")', a__b="return table.concat({...}, ' ')")
    assert run(bundle(main).source) == b"a.b"


def test_a_load_that_fails_leaves_the_modules_that_were_there(tmp_path: Path) -> None:
    main = write(tmp_path, main="return require('m')", m="error('no')")
    source = bundle(main).source
    kept = b"package.loaded.m = 1 pcall(load(%s)) return package.loaded.m" % long_string(source)
    assert run(kept) == 1


def test_circles_that_lua_runs_run(tmp_path: Path) -> None:
    late = "return {{get = function() return require('{}').name end, name = '{}'}}"
    main = write(
        tmp_path,
        main='return require("a").get() .. require("b").get() .. require("c").name',
        a=late.format("b", "A"),
        b=late.format("c", "B"),
        c='local a = require(".a") return { name = a.name .. a.get() }',
    )
    assert run(bundle(main).source) == b"BCABAB".replace(b"BCABAB", b"B" + b"AB" + b"AB")


def test_a_circle_may_lead_through_the_main_file(tmp_path: Path) -> None:
    main = write(
        tmp_path,
        main="local part = require('part') Main = (Main or 0) + 1 return { part = part, n = Main }",
        part="return { main = function() return require('.main').n end }",
    )
    whole = b"local main = load(%s)() return main.part.main() + Main" % long_string(
        bundle(main).source
    )
    assert run(whole) == 2


def test_require_is_as_it_was_behind_a_circle(tmp_path: Path) -> None:
    main = write(
        tmp_path,
        main="return require('a')",
        a="if Fail then error('no') end return function() return require('b') end",
        b="return require('a')",
    )
    source = long_string(bundle(main).source)
    for fail in (b"", b"Fail = true "):
        kept = b"local before = require %s pcall(load(%s)) return require == before" % (
            fail,
            source,
        )
        assert run(kept) is True


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"main": "require('a')", "a": "\nrequire('.a')"}, "a.lua:2: {}: a.lua → a.lua"),
        (
            {"main": "require('a')", "a": "require('b')", "b": "\nlocal x = require('.a')"},
            "b.lua:2: {}: a.lua → b.lua → a.lua",
        ),
        (
            {"main": "require('a')", "a": "require('b')", "b": "require('c')", "c": "require 'a'"},
            "c.lua:1: {}: a.lua → b.lua → c.lua → a.lua",
        ),
        ({"main": "require('a')", "a": "return require('main')"}, "main.lua:1: {}: {}"),
    ],
)
def test_a_true_circle_is_named(tmp_path: Path, files: dict[str, str], said: str) -> None:
    circle = "files require each other in a circle"
    source = bundle(write(tmp_path, **files)).source
    with pytest.raises(LuaError) as caught:
        run(source)
    expected = said.replace("{}", circle, 1).replace("{}", "a.lua → main.lua → a.lua")
    # lupa reads the text of an error as latin-1.
    first = str(caught.value).split("\n")[0]
    assert first.encode("latin-1").decode() == expected


def test_a_module_that_catches_the_circle_goes_on(tmp_path: Path) -> None:
    main = write(
        tmp_path,
        main="return require('a')",
        a="return require('b')",
        b="local ok, why = pcall(function() return (require('a')) end) return tostring(ok) .. why",
    )
    said = run(bundle(main).source).decode()
    assert said.startswith("falseb.lua:1: ") and said.endswith("circle: a.lua → b.lua → a.lua")


@pytest.mark.parametrize("where", ["package.loaded['a']", "package.loaded[...]"])
def test_a_module_that_puts_itself_in_place_first_ends_the_circle(
    tmp_path: Path, where: str
) -> None:
    main = write(
        tmp_path,
        main="return require('a').name .. require('b')",
        a=f"M = M or {{ name = 'A' }} {where} = M M.b = require('b') return M",
        b="return require('.a').name",
    )
    program = bundle(main)
    refuse_unloadable(program)
    source = long_string(program.source)
    assert run(b"load(%s)() return load(%s)()" % (source, source)) == b"AA"


def test_files_may_put_their_own_in_the_place_of_globals(tmp_path: Path) -> None:
    lost = "load, error, pcall, ipairs, rawequal, select, table, string = nil"
    main = write(
        tmp_path,
        main="require('a') return require('b')()",
        a=f"{lost} return function() return require('b') end",
        b="local a = require('a') return function() return 7 end",
    )
    assert run(bundle(main).source) == 7


def test_a_circle_that_fails_leaves_the_modules_that_were_there(tmp_path: Path) -> None:
    main = write(tmp_path, main="return require('a')", a="require('b')", b="require('a')")
    source = long_string(bundle(main).source)
    kept = b"local l = package.loaded l.a, l.b = 1, 2 pcall(load(%s)) return l.a + l.b" % source
    assert run(kept) == 3


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"main": "require('a')", "a": "\nlocal a = require('.a')"}, "a.lua:2: .* a.lua → a.lua"),
        (
            {
                "main": "do require('a') end",
                "a": "return { b = (require('b')).x }",
                "b": "require 'a'",
            },
            "b.lua:1: .* a.lua → b.lua → a.lua",
        ),
        ({"main": "require('a')", "a": "function f() require('a') end"}, ""),
        ({"main": "require('a')", "a": "if x then require('a') end"}, ""),
        ({"main": "require('a')", "a": "if x then return 1 end require('a')"}, ""),
        ({"main": "require('a')", "a": "goto out do require('a') end ::out::"}, ""),
        ({"main": "require('a')", "a": "package.loaded.a = 1 require('a')"}, ""),
        ({"main": "require('a')", "a": "local x = y and require('a')"}, ""),
        ({"main": "require('a')", "a": "local require = print require('a')"}, ""),
        ({"main": "x = = 1"}, "main.lua:1: unexpected symbol"),
    ],
)
def test_what_no_process_can_load_is_refused(
    tmp_path: Path, files: dict[str, str], said: str
) -> None:
    program = bundle(write(tmp_path, **files))
    if said:
        with pytest.raises(AoError, match=said):
            refuse_unloadable(program)
    else:
        refuse_unloadable(program)


def test_long_chains_load(tmp_path: Path) -> None:
    count = 600
    for n in range(count):
        (tmp_path / f"m{n}.lua").write_text(f"return require('m{n + 1}') + 1")
    (tmp_path / f"m{count}.lua").write_text("return 0")
    program = bundle(write(tmp_path, main="return require('m0')"))
    assert run(program.source) == count
    assert len(list(tree_lines(program.program))) == DRAWN_LEVELS + 2


def test_places_are_those_of_the_files(tmp_path: Path) -> None:
    """Of what a module says of its caller, and of calls that leave nothing of their line."""
    main = write(
        tmp_path,
        main="\nlocal one = require('one')\nreturn one",
        one="return select(2, pcall(function()\n  return require('two')\nend))",
        two="error('two', 2)",
    )
    with pytest.raises(LuaError, match=r"^one\.lua:2: two"):
        run(bundle(main).source)
    write(tmp_path, two="error(debug.traceback(''), 0)")
    with pytest.raises(LuaError) as caught:
        run(bundle(main).source)
    frames = str(caught.value).split("\n\t")[1:]
    ours = [frame for frame in frames if ".lua:" in frame]
    assert ours[:2] == ["two.lua:1: in main chunk", "one.lua:2: in main chunk"]


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_errors_name_file_and_line(tmp_path: Path, ending: str) -> None:
    lines = ["#!/usr/bin/lua", "", 'error("here")', ""]
    main = write(tmp_path, main='return pcall(require("m").f)', m="x")
    write(tmp_path, m="local M = {}\nfunction M.f()\n  error('there')\nend\nreturn M")
    assert run(bundle(main).source) == (False, b"m.lua:3: there")
    main.write_bytes(ending.join(lines).encode())
    with pytest.raises(Exception, match=r"main\.lua:3: here"):
        run(bundle(main).source)
    main.write_text("x = = 1")
    with pytest.raises(Exception, match=r"main\.lua:1: unexpected symbol near '='"):
        run(bundle(main).source)


def test_bytes_that_are_no_text_stay(tmp_path: Path) -> None:
    main = write(tmp_path, main=b"\xef\xbb\xbfreturn '\xff\\0'")
    assert run(bundle(main).source) == b"\xff\0"


def test_loading_again_runs_again(tmp_path: Path) -> None:
    main = write(tmp_path, main="return require('m')", m="N = (N or 0) + 1 return N")
    source = bundle(main).source
    twice = b"load(%s)() return load(%s)()" % (long_string(source), long_string(source))
    assert run(twice) == 2


@pytest.mark.parametrize("name", ["absent.lua", "."])
def test_a_file_that_cannot_be_read(tmp_path: Path, name: str) -> None:
    with pytest.raises(AoError, match="load:"):
        bundle(tmp_path / name)


def test_line_ends_marks_and_first_lines_change_no_line(tmp_path: Path) -> None:
    files = {
        "m": b"\xef\xbb\xbf#!/bin/lua require('x')\r\n\r\nreturn { at = function() error('x') end }"
    }
    main = write(tmp_path, main=b"#!lua\r\nlocal m = require('m')\r\nreturn m.at", **files)
    assert [file.path for file in bundle(main).program.files] == ["m.lua", "main.lua"]
    whole = b"return select(2, pcall(load(%s)()))" % long_string(bundle(main).source)
    assert run(whole) == b"m.lua:3: x"


@pytest.mark.parametrize(
    ("source", "same"),
    [
        ("return require('a')", "return (require('a'))"),
        ("return require 'a' -- x", "return (require 'a') -- x"),
        ("return\n  require((n)) ;", "return\n  (require((n))) ;"),
        ("if x then return require'a' end", "if x then return (require'a') end"),
        ("if x then return require[[a]] else return require(b) end", ""),
        ("return require('a').b", "return require('a').b"),
        ("return require('a'), 1", "return require('a'), 1"),
        ("return require('a')()", "return require('a')()"),
        ("return require('a') .. 'b'", "return require('a') .. 'b'"),
        ("return require { 'a' }", "return require { 'a' }"),
        ("return find_requires('a')", "return find_requires('a')"),
        ("local x = require('a')", "local x = require('a')"),
        ("-- return require('a')", "-- return require('a')"),
        ("return require(", "return require("),
    ],
)
def test_tail_calls_of_require(source: str, same: str) -> None:
    both = "if x then return (require[[a]]) else return (require(b)) end"
    assert without_tail_calls(source, find_requires(source)) == (same or both)


def test_a_syntax_error_names_the_file_alone(tmp_path: Path) -> None:
    main = write(tmp_path, main="require('part')", part="\nx = = 1")
    with pytest.raises(LuaError, match=r"^part\.lua:2: unexpected symbol near '='"):
        run(bundle(main).source)


@pytest.mark.parametrize("size, fits", [(8, True), (9, False)])
def test_what_is_too_large_is_not_read(tmp_path: Path, size: int, fits: bool) -> None:
    file = tmp_path / "x"
    file.write_bytes(b"x" * size)
    if fits:
        assert read_file(file, 8) == b"x" * 8
    else:
        with pytest.raises(AoError, match="larger than"):
            read_file(file, 8)
