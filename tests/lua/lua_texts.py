"""Lua texts to try, whole and torn, and Lua's own compiler as the judge."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from hypothesis import strategies as st

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / "aoshell" / "sandbox").rglob("*.lua")) + sorted(
    (ROOT / "examples").rglob("*.lua")
)


def _loader() -> Callable[[bytes, bytes, bytes], object]:
    from lupa.lua53 import LuaRuntime

    runtime = LuaRuntime(encoding=None, register_eval=False)
    load: Callable[[bytes, bytes, bytes], object] = runtime.globals()[b"load"]
    return load


LOAD = _loader()


def lua_says(source: bytes) -> str:
    """Lua's message with its line, "" where it compiles."""
    answer = LOAD(source, b"=x", b"t")
    return answer[1].decode("latin-1") if isinstance(answer, tuple) else ""


NAMES = st.sampled_from(["a", "b", "msg", "_x9"])
LITERALS = st.sampled_from(
    [
        "nil", "true", "1", "0x7fffffffffffffffff", "3.5e-2", ".5", "0x.8p1", "1e400", "{}", "...",
        "'a\\n\\065'", '"\\x41\\u{20AC}\\z \n b"', '"\\\n"', "'é'", "[[\nlong]]", "[==[ ]] ]==]",
    ]
)  # fmt: skip
BINARY = st.sampled_from(
    ["+", "-", "*", "/", "//", "%", "^", "..", "==", "~=", "<", ">=", "and", "or", "&", "|", "~",
     "<<", ">>"]
)  # fmt: skip


def _expressions(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.tuples(inner, BINARY, inner).map(" ".join),
        inner.map("({})".format),
        st.tuples(st.sampled_from(["not ", "- ", "#", "~ "]), inner).map("".join),
        st.tuples(NAMES, NAMES).map("{0[0]}.{0[1]}".format),
        st.tuples(NAMES, inner).map("{0[0]}[{0[1]}]".format),
        st.tuples(NAMES, NAMES, inner).map("{0[0]}:{0[1]}({0[2]})".format),
        st.tuples(NAMES, inner, inner).map("{{{0[0]} = {0[1]}, [{0[2]}] = 1; 2, }}".format),
        st.tuples(NAMES, inner).map("function({0[0]}, ...) return {0[1]} end".format),
    )


EXPRESSIONS = st.recursive(st.one_of(LITERALS, NAMES), _expressions, max_leaves=6)


def _statements(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    block = st.lists(inner, max_size=3).map("\n".join)
    return st.one_of(
        st.tuples(EXPRESSIONS, block, block).map("if {0[0]} then {0[1]} else {0[2]} end".format),
        st.tuples(EXPRESSIONS, block).map("while {0[0]} do {0[1]} break end".format),
        st.tuples(block, EXPRESSIONS).map("repeat {0[0]} until {0[1]}".format),
        st.tuples(NAMES, EXPRESSIONS, block).map("for {0[0]} = 1, {0[1]} do {0[2]} end".format),
        st.tuples(NAMES, EXPRESSIONS, block).map("for k, {0[0]} in {0[1]} do {0[2]} end".format),
        st.tuples(NAMES, block).map("local function {0[0]}(...) {0[1]} end".format),
        st.tuples(NAMES, NAMES, block).map("function {0[0]}.{0[1]}:m(a, ...) {0[2]} end".format),
        block.map("do {} end".format),
        block.map("while a do {} goto on ::on:: end".format),
    )


SIMPLE = st.one_of(
    st.tuples(NAMES, EXPRESSIONS).map("{0[0]} = {0[1]};".format),
    st.tuples(NAMES, NAMES, EXPRESSIONS).map("local {0[0]}, {0[1]} = {0[2]};".format),
    st.tuples(NAMES, EXPRESSIONS).map("{0[0]}({0[1]});".format),
    st.sampled_from([";", "-- note\n", "--[=[ ]] ]=]", "goto up", "::up::", "break", "f{}"]),
)
PROGRAMS = st.lists(st.recursive(SIMPLE, _statements, max_leaves=8), max_size=6).map("\n".join)

_PIECES = """and break do else elseif end false for function goto if in local nil not or repeat
    return then true until while + - * / // % ^ # & ~ | << >> == ~= <= >= < > = ( ) { } [ ] :: ; : ,
    . .. ... a b 1 0x 3..2 1e 0x1p .0x 08 'a' " ' [[ ]] [= [=[ ]=] --[[ -- \\ \\x4 \\u{ \\400 é $"""
PIECES = st.sampled_from([*_PIECES.split(), "\n", "\r\n", "\0"])
