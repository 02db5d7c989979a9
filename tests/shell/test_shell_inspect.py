"""`.inspect` and `.json`: values of a real process, read raw."""

from __future__ import annotations

import json

import pytest
from shell_typing import Typing, Use

SETUP = """
T = { 1, 2, { a = 1, ["b c"] = "x\\ny", f = function() return 1 end }, n = 1.5, big = 1 << 60 }
T.self, Touched = T, 0
setmetatable(T, { __index = function() Touched = Touched + 1 end, __pairs = error })
Twice = {} Both = { Twice, Twice }
Deep = {} local at = Deep for i = 1, 200 do at.next = {} at = at.next end
Odd = { [true] = 1, [1.5] = 2, [{}] = 3, inf = math.huge, nan = 0/0 }
Odd.bytes, Odd.red = "\\255", "\\27[31m"
return "ok"
"""


def test_a_tree(typing: Use) -> None:
    async def body(typed: Typing) -> None:
        await typed(SETUP)
        assert (await typed.text(".inspect T")).split("\n") == [
            "T  {6 fields}",
            "├─ [1]  1",
            "├─ [2]  2",
            "├─ [3]  {3 fields}",
            "│  ├─ a  1",
            '│  ├─ ["b c"]  "x\\ny"',
            '│  └─ f  function [string "aos"]:2',
            "├─ big  1152921504606846976",
            "├─ n  1.5",
            "├─ self  → T",
            "└─ (metatable)  {2 fields}",
            '   ├─ __index  function [string "aos"]:4',
            "   └─ __pairs  function (built in)",
        ]
        assert (await typed.text(".inspect T depth 1")).split("\n")[3] == "├─ [3]  {3 fields} …"
        assert await typed.text(".inspect T[3].f") == 'T[3].f  function [string "aos"]:2'
        assert await typed.text(".inspect nil") == "nil  nil"
        assert await typed.text(".inspect {}") == "{}  {}"
        assert await typed.value("tostring(Touched)") == "0"
        assert "→ Both[1]" in await typed.text(".inspect Both")
        assert '"\\27[31m"' in await typed.text(".inspect Odd")
        tree = await typed.value(".inspect T.self")
        json.dumps(tree)
        assert (tree["kind"], tree["size"]) == ("table", 6)

    typing(body)


def test_what_is_large_is_cut(typing: Use) -> None:
    async def body(typed: Typing) -> None:
        await typed("L = {} for i = 1, 1000 do L[i] = i end")
        lines = (await typed.text(".inspect L")).split("\n")
        assert lines[0] == "L  {1000 items}"
        assert (len(lines), lines[-1]) == (202, "└─ … 800 more")
        assert len(await typed.value(".json L")) == 1000
        cut = await typed.text('.inspect string.rep("ä", 500)')
        assert cut.endswith('ä…" (1000 bytes)') and len(cut) < 120

    typing(body)


def test_json(typing: Use) -> None:
    async def body(typed: Typing) -> None:
        await typed(SETUP)
        found = await typed.value(".json T")
        assert found == {
            **{"1": 1, "2": 2, "3": {"a": 1, "b c": "x\ny", "f": None}},
            **{"n": 1.5, "big": 1 << 60, "self": None},
        }
        seen = await typed.seen(".json T")
        assert "null instead: T.3.f is a function; T.self is T again" in seen
        assert await typed.value(".json Both") == [[], []]
        odd = await typed.value(".json Odd")
        assert odd == {
            **{"1.5": 2, "true": 1, "table": 3},
            **{"inf": None, "nan": None, "bytes": "\udcff", "red": "\x1b[31m"},
        }
        assert await typed.value('.json "text"') == "text"
        assert await typed.seen('.json "ü"') == '"ü"\n'
        for text in ('"a\\xffb"', '"\\xc2\\x9b\\27"'):  # no UTF-8, and controls
            assert json.loads(await typed.seen(f".json {text}"))
        assert "too deep" in await typed.seen(".json Deep")
        assert (await typed.json(".json 1 + 1")) == {"ok": True, "value": 2}

    typing(body)


def test_looking_changes_nothing(typing: Use) -> None:
    async def body(typed: Typing) -> None:
        await typed("x = 1")
        slots = await typed.session.node.slots(typed.session.attached.id)
        assert await typed.value('.json (function() x = 2 print("said") return x end)()') == 2
        assert await typed.value("tostring(x)") == "1"
        await typed.text(".inspect _G depth 5")
        assert await typed.session.node.slots(typed.session.attached.id) == slots + 1

    typing(body)


@pytest.mark.parametrize(
    ("line", "output"),
    [
        ("debug.getinfo(print).what .. debug.getinfo(pcall).what", "CC"),
        ("debug.getinfo(Handlers.add).linedefined", "-1"),
        ("debug.getinfo(debug.getinfo).short_src", "[C]"),
        ("local i = debug.getinfo(function()\nend) return i.linedefined + i.lastlinedefined", "3"),
        ("pcall(debug.getinfo, 1)", "false"),
        ("pcall(debug.getinfo)", "false"),
    ],
)
def test_a_script_learns_of_its_own_functions_only(typing: Use, line: str, output: str) -> None:
    async def body(typed: Typing) -> None:
        assert await typed.value(f"tostring({line})" if "local" not in line else line) == output

    typing(body)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (".inspect", ".help inspect"),
        (".inspect T depth 0", ".help inspect"),
        (".inspect T depth 61", ".help inspect"),
        (".inspect depth 2", "no process 'depth'"),
        (".inspect 1 +", "give one Lua expression"),
        (".inspect x = 1", "give one Lua expression"),
        (".inspect nothing.at.all", "attempt to index a nil value (global 'nothing')"),
        ('.inspect error("no", 0)', "query: no"),
        (".json", ".help json"),
        (".json )", "give one Lua expression"),
        (".json (function() while true do end end)()", "query: "),
    ],
)
def test_no_value(typing: Use, line: str, said: str) -> None:
    async def body(typed: Typing) -> None:
        await typed(".limits seconds 0.5")
        assert said in await typed.seen(line)

    typing(body)
