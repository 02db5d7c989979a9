"""Bundles, run by Lua itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lupa.lua53 import LuaError, LuaRuntime

from aoshell.errors import AoError
from aoshell.protocol.message import raw
from aoshell.shell.bundle import bundle, literal, quote
from aoshell.shell.files import read
from aoshell.shell.program import lines_of


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
    assert run(b"return " + quote(plain)) == plain


@pytest.mark.parametrize("data", [b"]", b"]]", b"]=", b"]=]]", b"\n", b"[[", b"\0\xff", b"]==]]=]"])
def test_brackets_close_nothing_early(data: bytes) -> None:
    assert run(b"return " + quote(data)) == data


@given(st.text())
def test_literals_come_back(said: str) -> None:
    try:
        data = raw(said)
    except UnicodeEncodeError:
        return
    assert run(b"return " + literal(said)) == data


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
    assert list(lines_of(program.program)) == [
        "main.lua",
        "├─ sub/b.lua",
        "│  └─ a.lua",
        "├─ a.lua",
        "└─ c.lua",
    ]


def test_what_is_not_local_is_taken_as_there(tmp_path: Path) -> None:
    program = bundle(write(tmp_path, main='return type(require("string"))'))
    assert run(program.source) == b"table"
    assert list(lines_of(program.program))[1] == "└─ string (not a local file)"


def test_cycles_end(tmp_path: Path) -> None:
    late = "return {{get = function() return require('{}').name end, name = '{}'}}"
    main = write(
        tmp_path,
        main='return require("a").get() .. require("b").get()',
        a=late.format("b", "A"),
        b=late.format("a", "B"),
    )
    assert run(bundle(main).source) == b"BA"


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
    twice = b"load(%s)() return load(%s)()" % (quote(source), quote(source))
    assert run(twice) == 2


@pytest.mark.parametrize("name", ["absent.lua", "."])
def test_a_file_that_cannot_be_read(tmp_path: Path, name: str) -> None:
    with pytest.raises(AoError, match="load:"):
        bundle(tmp_path / name)


def test_a_syntax_error_names_the_file_alone(tmp_path: Path) -> None:
    main = write(tmp_path, main="require('part')", part="\nx = = 1")
    with pytest.raises(LuaError, match=r"^part\.lua:2: unexpected symbol near '='"):
        run(bundle(main).source)


@pytest.mark.parametrize("size, fits", [(8, True), (9, False)])
def test_what_is_too_large_is_not_read(tmp_path: Path, size: int, fits: bool) -> None:
    file = tmp_path / "x"
    file.write_bytes(b"x" * size)
    if fits:
        assert read(file, 8) == b"x" * 8
    else:
        with pytest.raises(AoError, match="larger than"):
            read(file, 8)
