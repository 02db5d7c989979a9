"""The parser against Lua's own: it takes what Lua compiles, and refuses the rest in its words."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lua_texts import FILES, PIECES, PROGRAMS, lua_says

from aoshell.lua import syntax as tree
from aoshell.lua.parser import parse
from aoshell.lua.strict import LuaSyntaxError, number


def we_say(source: bytes) -> str:
    try:
        parse(source.decode("latin-1"))
    except LuaSyntaxError as error:
        return f"x:{error.line}: {error.message}"
    return ""


@settings(max_examples=150, deadline=None)
@given(PROGRAMS)
def test_it_agrees_with_lua_on_programs(program: str) -> None:
    source = program.encode()
    assert we_say(source) == lua_says(source)


@settings(max_examples=300, deadline=None)
@given(st.lists(PIECES, max_size=12), st.sampled_from(["", " "]))
def test_it_agrees_with_lua_on_rubbish(pieces: list[str], between: str) -> None:
    source = between.join(pieces).encode()
    assert we_say(source) == lua_says(source)


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(FILES), st.integers(0, 10**6), st.integers(0, 300), st.integers(0, 300), PIECES
)
def test_it_agrees_with_lua_on_torn_files(
    path: Path, start: int, length: int, cut: int, piece: str
) -> None:
    whole = path.read_bytes()
    part = whole[start % len(whole) :][:length]
    source = part[:cut] + piece.encode() + part[cut:]
    assert we_say(source) == lua_says(source)


@pytest.mark.parametrize(
    "source",
    [
        "local a, b <const> = 1, 2", "x = 08a", "x = 9223372036854775808", "goto on local a ::on::",
        "do goto on; local a; ::on:: end", "do goto on; local a; ::on:: a = 1 end",
        "repeat goto on; local a; ::on:: until a", "::a:: ::a::", "::a:: do ::a:: goto a end",
        "break", "while true do local function f() break end end", "return 1 return 2", "return;;",
        "function f() return ... end", "(a) = 1", "f() = 1", "a.b:c = 1", "f\n(g)()", "x = 1 .. 2",
        "if a\nthen\n", "f(\n1\n2", 'x = "\\u{110000}"', 'x = "\\300"', 'x = "\\', "x = 'a\n'",
        'x = "\\u{}"', 'x = "\\u{g}"', 'x = "\\u{1', 'x = "\\u', 'x = "\\x"', 'x = "\\xg1"',
        'x = "\\x1',
        "x = [==[ ]=]", "--[[ never", "x = \0", "goto", "::", "x =", "\xff",
        "local " + ",".join(f"a{i}" for i in range(200)), "local " + ",".join("a" * 201),
        "x = " + "(" * 197 + "1" + ")" * 197, "x = " + "(" * 198 + "1" + ")" * 198,
        "do " * 199 + "end " * 199, "do " * 200 + "end " * 200,
        "x = " + "function() return " * 98 + "1 " + "end " * 98, "x = " + "{" * 300,
    ],
)  # fmt: skip
def test_it_agrees_with_lua_on_corners(source: str) -> None:
    raw = source.encode("latin-1")
    assert we_say(raw) == lua_says(raw)


@pytest.mark.parametrize(
    ("begin", "end", "inside"),
    [
        ("x = (", ")", "1"), ("x = {", "}", "1"), ("x = a[", "]", "1"), ("a(", ")", ""),
        ("x = function() return ", " end", "1"), ("x = - ", "", "1"), ("x = not ", "", "a"),
        ("x = 1 .. ", "", "1"), ("x = 2 ^ ", "", "1"), ("x = {[", "] = 1}", "1"),
        ("do ", " end", ""), ("while a do ", " end", ""), ("repeat ", " until a", ""),
        ("if a then ", " end", ""), ("if a then else ", " end", ""),
        ("for i = 1, 2 do ", " end", ""), ("for k in a do ", " end", ""),
        ("local function f() ", " end", ""), ("function f() ", " end", ""),
        ("function a.b:c() ", " end", ""),
    ],
)  # fmt: skip
def test_nesting_ends_where_lua_ends_it(begin: str, end: str, inside: str) -> None:
    def nested(depth: int) -> bytes:
        first = "x = " if begin.startswith("x = ") else ""
        return f"{first}{begin.removeprefix(first) * depth}{inside}{end * depth}".encode()

    deepest = next(depth for depth in range(250, 0, -1) if not lua_says(nested(depth)))
    assert 40 < deepest < 250
    for depth in (deepest, deepest + 1, 2000):
        assert we_say(nested(depth)) == lua_says(nested(depth))


def test_nesting_is_counted_anew_for_each_statement() -> None:
    deep = "x = " + "(" * 150 + "1" + ")" * 150 + "\ndo " + "do " * 150 + "end " * 151
    assert we_say((deep * 5).encode()) == lua_says((deep * 5).encode()) == ""


@settings(max_examples=200, deadline=None)
@given(st.from_regex(r"(0x)?[0-9a-f]{0,20}\.?[0-9a-f]{0,4}([ep][+-]?[0-9]{1,4})?", fullmatch=True))
def test_numerals_have_lua_s_value(numeral: str) -> None:
    check_numeral(numeral)


@pytest.mark.parametrize(
    "numeral",
    [
        *(
            f"0x1p{power}"
            for power in (899, 900, 1023, 1024, 1025, 4000, -999, -1000, -1074, -1075)
        ),
        *("0x0p99999", "0x.8p1024", "0x.8p1025", "0x1.8p-1074", "0x3p-1075", "0x1p-99999"),
        *("0x" + "f" * 224 + ".p0", "0x" + "f" * 225 + ".p0", "0x" + "f" * 256 + ".0"),
        *("0x" + "f" * 300 + "p-1200", "0x" + "f" * 300 + "p-300", "0xffffffffffffffff1"),
        *("9223372036854775807", "9223372036854775808", "0x8000000000000000", "1e309", "08"),
    ],
)
def test_numerals_at_the_ends_of_their_range(numeral: str) -> None:
    check_numeral(numeral)


@cache
def to_number() -> Callable[[bytes], object]:
    from lupa.lua53 import LuaRuntime

    found: Callable[[bytes], object] = LuaRuntime(encoding=None, register_eval=False).globals()[
        b"tonumber"
    ]
    return found


def check_numeral(numeral: str) -> None:
    ours, lua_s = number(numeral), to_number()(numeral.encode())
    assert (ours, type(ours)) == (lua_s, type(lua_s))


# Trees --------------------------------------------------------------------------------------------


def test_variables_are_resolved() -> None:
    main, _ = parse("local a = a; function f(b) return a + b + c end; do local c end; return c")
    names = {
        (node.name, node.local is None) for node in tree.walk(main) if isinstance(node, tree.Name)
    }
    assert names == {("a", True), ("f", True), ("a", False), ("b", False), ("c", True)}


def test_each_statement_and_expression_has_its_tree() -> None:
    main, _ = parse(
        "local function f(...) return ... end function a.b:c(x) end local x, y = 1, nil; "
        "for i = 1, 2, 3 do break end for k, v in pairs(a) do end while a do end "
        "repeat until a if a then elseif b then else end do end goto on ::on:: ::off:: "
        "a.b[1], c = (a), not a f() a:b 'c' return {1, d = 2, [3] = 4; f {}}"
    )
    assert [type(one).__name__ for one in main.body.statements] == [
        "LocalFunction", "Assign", "LocalAssign", "NumericFor", "GenericFor", "While", "Repeat",
        "If", "Do", "Goto", "Label", "Label", "Assign", "CallStatement", "CallStatement", "Return",
    ]  # fmt: skip
    found = {type(node): node for node in tree.walk(main) if not isinstance(node, tree.Name)}
    local = main.body.statements[0]
    assert isinstance(local, tree.LocalFunction) and local.local.name == "f"
    assert local.function.is_vararg and not local.function.parameters
    method = main.body.statements[1]
    assert isinstance(method, tree.Assign) and isinstance(method.values[0], tree.Function)
    assert [one.name for one in method.values[0].parameters] == ["self", "x"]
    branches = found[tree.If].branches
    assert [one.condition is None for one in branches] == [False, False, True]
    fields = [node for node in tree.walk(main) if isinstance(node, tree.Field)]
    keys = [one.key.value if isinstance(one.key, tree.Constant) else one.key for one in fields]
    assert keys == [None, "d", 3, None]
    assert {tree.Vararg, tree.Parenthesis, tree.Unary, tree.MethodCall, tree.Index} <= {*found}


def test_a_repeat_condition_sees_the_block() -> None:
    main, _ = parse("repeat local a until a")
    (name,) = [node for node in tree.walk(main) if isinstance(node, tree.Name)]
    assert name.local is not None


def test_operators_hold_as_in_lua() -> None:
    main, _ = parse("return not a == b .. c .. d ^ -e ^ f")
    (statement,) = main.body.statements
    assert isinstance(statement, tree.Return)
    match statement.values[0]:
        case tree.Binary(
            operator="==",
            left=tree.Unary(operator="not"),
            right=tree.Binary(
                operator="..",
                left=tree.Name(name="b"),
                right=tree.Binary(
                    operator="..",
                    right=tree.Binary(
                        operator="^",
                        right=tree.Unary(operand=tree.Binary(operator="^")),
                    ),
                ),
            ),
        ):
            return
    pytest.fail("another tree")


def test_strings_are_their_bytes() -> None:
    main, _ = parse('return "\\x41\\u{20AC}\\z  \n b\\065", [[\r\nx\r\ny]]')
    (statement,) = main.body.statements
    assert isinstance(statement, tree.Return)
    values = [node.value for node in statement.values if isinstance(node, tree.Constant)]
    assert values == ["A\xe2\x82\xacbA", "x\ny"]


def test_the_recursion_limit_is_as_before() -> None:
    import sys

    before = sys.getrecursionlimit()
    with pytest.raises(LuaSyntaxError, match="C levels"):
        parse("x = " + "(" * 5000)
    assert sys.getrecursionlimit() == before
