"""The lexer against Lua's own compiler, and on text that no compiler would take."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lua_texts import FILES, PIECES, PROGRAMS, lua_says

from aoshell.lua.compiling import find_requires
from aoshell.lua.lexer import BREAK, Token, find_name, pieces, tokens
from aoshell.lua.parser import parse
from aoshell.shell.lines import multiline
from aoshell.shell.lines.multiline import Assembler, Depth

ANY_TEXT = st.one_of(
    st.text(),
    st.text(alphabet="[]=-\"'\\\r\n xz0.e()"),
    st.lists(PIECES, max_size=12).map("".join),
)


@cache
def _compiler() -> Callable[[bytes], object]:
    from lupa.lua53 import LuaRuntime

    runtime = LuaRuntime(encoding=None, register_eval=False)
    compiled: Callable[[bytes], object] = runtime.eval(
        b'function(s) local f = load(s, "=x", "t") return f and string.dump(f, true) end'
    )
    return compiled


def retold(source: str) -> str:
    """A text with one space for each space or comment between its tokens, on the same lines."""
    return "".join(
        " " + "\n" * len(BREAK.findall(piece.text))
        if piece.kind in ("space", "comment")
        else piece.text
        for piece in pieces(source)
    )


def check_that_the_tokens_mean_the_text(source: bytes) -> None:
    code = _compiler()(source)
    assert code is None or code == _compiler()(retold(source.decode("latin-1")).encode("latin-1"))


@given(ANY_TEXT)
def test_pieces_are_the_text_without_a_gap(source: str) -> None:
    found = list(pieces(source))
    assert "".join(piece.text for piece in found) == source
    assert [piece.end for piece in found][:-1] == [piece.start for piece in found][1:]
    assert all(piece.kind in ("string", "comment") for piece in found if piece.unfinished)


@given(ANY_TEXT, ANY_TEXT)
def test_a_text_can_be_cut_from_a_token_on(source: str, more: str) -> None:
    found = list(tokens(source + more))
    for at, token in enumerate(found[:5]):
        assert list(tokens(source + more, token.start)) == found[at:]


@settings(max_examples=60)
@given(PROGRAMS)
def test_tokens_mean_what_the_program_means(program: str) -> None:
    check_that_the_tokens_mean_the_text(program.encode())


@settings(max_examples=200)
@given(st.sampled_from(FILES), st.integers(0, 10**6), st.integers(0, 300))
def test_tokens_mean_what_a_part_of_a_file_means(path: Path, start: int, length: int) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    first = start % len(lines)
    check_that_the_tokens_mean_the_text(b"".join(lines[first : first + length]))


def test_whole_files(shared: Path) -> None:
    files = [*FILES, *shared.rglob("*.lua")]
    assert len(files) > len(FILES)
    for path in files:
        source = path.read_bytes()
        check_that_the_tokens_mean_the_text(source)
        assert lua_says(source) == "" and parse(source.decode("latin-1"))


@given(ANY_TEXT)
def test_an_open_end_is_what_lua_waits_for(source: str) -> None:
    """Lua names the end of the text for an open long bracket, and for a backslash at the end."""
    last = ([*pieces(source)] or [Token("space", "", 0)])[-1]
    is_long = last.level is not None
    if last.unfinished and (is_long or last.kind == "string"):
        text = source.encode("utf-8", "surrogatepass")
        assert lua_says(text) != ""
    if last.unfinished and is_long:
        closed = f"{source}]{'=' * (last.level or 0)}]"
        assert not [*pieces(closed)][-1].unfinished


@pytest.mark.parametrize(
    ("source", "kinds"),
    [
        ("a.b:c(...)", "name symbol name symbol name symbol symbol symbol"),
        ("local x <= 1..2", "keyword name symbol number"),
        ("a..5 // .5", "name symbol number symbol number"),
        ("0x.8p+1x 3e-2", "number name number"),
        ("x -- [[ no\n[==[ ]] ]==]", "name string"),
        ("--[=[ ]] ]=] x --[=x\ny", "name name"),
        ('"a\\"b" \'\\\\\' "\\z \n x"', "string string string"),
        ("@name $ é", "symbol name symbol symbol"),
        ("goto continue ::continue::", "keyword name symbol name symbol"),
    ],
)
def test_kinds(source: str, kinds: str) -> None:
    assert [token.kind for token in tokens(source)] == kinds.split()
    assert not any(piece.unfinished for piece in tokens(source))


@pytest.mark.parametrize(
    ("source", "last"),
    [
        ('x = "abc', Token("string", '"abc', 4, True)),
        ('x = "a\\', Token("string", '"a\\', 4, True)),
        ('x = "a\\"', Token("string", '"a\\"', 4, True)),
        ("'a\\\r\nb", Token("string", "'a\\\r\nb", 0, True)),
        ("[==[ ]]", Token("string", "[==[ ]]", 0, True)),
        ("[[ ]", Token("string", "[[ ]", 0, True)),
        ("--[[ a\n", Token("comment", "--[[ a\n", 0, True)),
        ("x --[==", Token("comment", "--[==", 2, True)),
        ("x -- y", Token("comment", "-- y", 2, True)),
        ("-- y\r", Token("space", "\r", 4)),
        ("--[[ a ]]", Token("comment", "--[[ a ]]", 0)),
    ],
)
def test_unfinished(source: str, last: Token) -> None:
    assert [*pieces(source)][-1] == last


def test_the_end_of_a_line_ends_a_string() -> None:
    for end in ("\n", "\r", "\r\n"):
        first, *_, name = tokens(f'"a{end}b')
        assert (first.text, first.unfinished, name.text) == ('"a', True, "b")


def test_levels() -> None:
    found = [piece.level for piece in pieces("[[a]] [==[b]==] --[=[c]=] --[=d\n '[[' x")]
    assert [level for level in found if level is not None] == [0, 2, 1]


def test_find_name_passes_strings_and_comments_over() -> None:
    source = 'f -- f\n\'f\' [[f]] f.f ff _f f1 --[[ f ]] "\\"f" f'
    at = [token.start for token in tokens(source) if token.text == "f"]
    assert list(find_name(source, "f")) == at and len(at) == 4


@given(
    st.lists(st.sampled_from(["f", "-- ", "'", '"', "[[", "]]", "\n", "\\", "\\z", " ", "=", "."]))
)
def test_find_name_finds_the_tokens_of_that_name(parts: list[str]) -> None:
    source = "".join(parts)
    found = [token.start for token in tokens(source) if token.text == "f"]
    assert list(find_name(source, "f")) == found


def test_a_comment_ends_at_any_end_of_line() -> None:
    """As Lua counts lines: text saved with CR alone has code behind its comments, too."""
    (found,) = find_requires('-- it\'s\rrequire("x")')
    assert (found.name, found.line) == ("x", 2)


@pytest.mark.parametrize(
    ("source", "name", "tail"),
    [
        ('require "a"', "a", ""), ('return require("a.b"); x', "a.b", 'require("a.b")'),
        ('return require "a" + 1', "a", ""), ('return require("a"), 1', "a", ""),
        ("return require(((('x'))))", "x", "require(((('x'))))"),
        ('if a then return require "a" end', "a", 'require "a"'), ("x..require 'a'", "a", ""),
        ("require [==[\na]==]", "a", ""), ('f{return require("a"))', "a", ""),
        (f'require("{"a" * 255}")', "a" * 255, ""), (f'require("{"a" * 256}")', None, ""),
        ('require("")', None, ""), ('require("\x01")', None, ""), ('require "a\\n"', None, ""),
        ('require("a" .. b)', None, ""), ('require(("a") .. b)', None, ""),
        ('require(a)("b")', None, ""), ("require()", None, ""), ("require", None, ""),
        ('require("a', None, ""), ('require "a', None, ""), ("require {}", None, ""),
    ],
)  # fmt: skip
def test_a_required_name_is_known_where_it_is_written_out(
    source: str, name: str | None, tail: str
) -> None:
    (found,) = find_requires(f"-- require 'b'\n{source}")
    assert (found.name, found.line) == (name, 2)
    assert f"-- require 'b'\n{source}"[found.start : max(found.start, found.end)] == tail


def test_a_field_of_that_name_requires_nothing() -> None:
    assert not [*find_requires("a.require 'x' a:require 'x' a . require 'x' 'require'")]
    assert [one.name for one in find_requires("require('a') require 'b'")] == ["a", "b"]


@pytest.mark.parametrize(
    "part",
    ["[=", '"\\', "--[=", '["', "[[]", "--[[]", '"', "'\n", "=", "]=", "\\z ", "[=[", "0x", "."],
)
def test_hostile_text_is_cut_in_time(part: str) -> None:
    """Where a token were looked at again for each of its characters, this would take minutes."""
    source = part * ((1 << 17) // len(part))
    for begin in ("", "[=["):
        assert sum(len(piece.text) for piece in pieces(begin + source)) == len(begin + source)


# Lines --------------------------------------------------------------------------------------------


def chunks_of(lines: list[str]) -> list[str | None]:
    assembler = Assembler()
    return [*(assembler.add(line) for line in lines), assembler.rest()]


def without_the_short_cut(lines: list[str], checked: int) -> list[str | None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(multiline, "_CHECKED", checked)
        return chunks_of(lines)


@given(st.one_of(PROGRAMS, st.sampled_from(FILES).map(Path.read_text)))
def test_what_lua_takes_as_a_whole_leaves_nothing_open(program: str) -> None:
    """Of long chunks not each line is parsed: the count of what is open must hold none back."""
    depth = Depth()
    for line in program.split("\n"):
        depth.add(line)
    assert not depth.open or lua_says(program.encode())


@pytest.mark.parametrize(
    "program",
    [
        'f("a\\\n{ ( function", 1)',
        "f('a\\z\n\n  { [[', 1)",
        'f("\\\\z", {\n})',
        "f([==[ ]] {\n ]==] , 1)",
        "--[[ {\n]] x = 1",
        "-- [[ {\nx = 1",
        "x = '{' -- (\ny = 2",
        "x = a ==\nb",
        "x = a //\nb",
        "x = a ..\n'b'",
    ],
)
def test_brackets_in_strings_over_lines_open_nothing(program: str) -> None:
    lines = program.split("\n")
    found = without_the_short_cut(lines, 0)
    assert found == without_the_short_cut(lines, len(lines)) and found[-1] is None
