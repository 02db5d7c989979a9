"""What a dry run that asks why is told, in a bare process; and what counts as a run."""

from __future__ import annotations

import json
from typing import Any

import pytest

KEPT = """(function()
  local count = 0
  for _ in pairs(require(".why").hits) do count = count + 1 end
  return count
end)()"""
AT = ("Asked-Why", "1700000000123 77 5")


def why(process: Any, action: str | None = None, **fields: Any) -> dict[str, Any]:
    tags = [*fields.pop("tags", ()), AT]
    result = process.send(action, tags=tags, **{"Read-Only": "true", **fields})
    assert "Error" not in result, result
    found: dict[str, Any] = json.loads(result["Output"]["data"])
    return found


def answers(found: dict[str, Any]) -> dict[str, str]:
    return {one["name"]: one.get("answer", "") for one in found["asked"]}


def test_every_kind_of_pattern_and_answer(process):
    process.run("""
        local function answering(value) return function() return value end end
        Handlers.add("text", "Other", print)
        local function yes() return true end
        Handlers.add("table", { Action = "Go", N = { "1", "2" }, F = yes }, print)
        Handlers.add("zero", answering(0), print)
        Handlers.add("on", answering("continue"), print)
        Handlers.add("one", answering(1), print)
        Handlers.add("stop", answering("break"), print)
        Handlers.add("never", "Go", print)
    """)
    found = why(process, "Go", tags=[("N", "3")])
    assert answers(found) == {
        "_eval": "false", "text": "false", "table": "false", "zero": "0", "on": "continue",
        "one": "1", "stop": "break",
    }  # fmt: skip
    asked = {one["name"]: one for one in found["asked"]}
    assert asked["text"]["misfit"] == {"key": "Action", "wanted": "Other", "found": "Go"}
    assert asked["table"]["misfit"]["key"] in "FN"  # there is no F, and N is another
    for part in ("Action = Go", "F = function", "N = { 1, 2 }"):
        assert part in asked["table"]["pattern"]
    found = why(process, "Go", tags=[("N", "3"), ("F", "x")])
    table = next(one for one in found["asked"] if one["name"] == "table")
    assert table["misfit"] == {"key": "N", "wanted": "{ 1, 2 }", "found": "3"}
    assert [one["verdict"] for one in found["asked"]][-3:] == [1, 1, -1]
    assert "error" not in found and not found["inbox"]


def test_the_default_the_inbox_and_what_is_sent(process):
    found = why(process, "Unheard")
    assert found["inbox"] and found["asked"][-1]["name"] == "_default"
    process.run('Handlers.add("echo", "Echo", function(m) m.reply({ Data = m.Data }) end)')
    found = why(process, "Echo", data="x")
    assert (found["sent"], found["inbox"], found["suspended"]) == (1, False, False)


def test_the_message_is_the_one_that_it_was(process):
    process.run("""
        Handlers.add("see", "See", function(m)
          print(m.Timestamp .. " " .. m["Block-Height"] .. " " .. m.Nonce .. " " .. os.time())
          print(tostring(m["Read-Only"]) .. tostring(m.Tags["Asked-Why"]) .. #m.TagArray)
          error(table.concat({ m.Timestamp, m["Block-Height"], m.Nonce, os.time(), #m.TagArray,
            tostring(m["Read-Only"]), tostring(m.Tags["Asked-Why"]) }, " "), 0)
        end)
    """)
    found = why(process, "See")
    assert "1700000000123 77 5 1700000000123 1 nil nil" in found["error"]


def test_an_error_in_a_pattern_and_in_a_handler(process):
    process.run('Handlers.add("bad", "Bad", function() error("in the handler") end)')
    found = why(process, "Bad")
    assert found["asked"][-1]["verdict"] == -1 and "in the handler" in found["error"]
    process.run('Handlers.prepend("raises", function() error("in it") end, print)')
    found = why(process, "Bad")
    assert found["asked"][-1] == {"name": "raises", "pattern": "function"}
    assert "in it" in found["error"]
    process.run('Handlers.add("raises", function() return nil end, print)')
    found = why(process, "Bad")
    assert found["asked"][-1]["answer"] == "nil" and "verdict" not in found["asked"][-1]


def test_who_is_not_trusted(process):
    found = why(process, "Go", from_="A-PROCESS", owner="SOMEBODY")
    assert found["refused"] == "trust" and found["asked"] == []
    assert (found["from"], found["owner"], found["authorities"]) == ("A-PROCESS", "SOMEBODY", [])
    process.run('table.insert(ao.authorities, "SOMEBODY")')
    found = why(process, "Go", from_="A-PROCESS", owner="SOMEBODY")
    assert "refused" not in found and found["authorities"] == ["SOMEBODY"]


def test_what_nobody_takes_that_is_assigned(process):
    found = why(process, "Go", target="ELSEWHERE")
    assert (found["refused"], found["target"]) == ("assignment", "ELSEWHERE")
    process.run('ao.addAssignable("all", function() return true end)')
    assert "refused" not in why(process, "Go", target="ELSEWHERE")


def test_a_script_with_its_own_evaluate(process):
    process.run("Own = Handlers.evaluate Handlers.evaluate = function(m, e) return Own(m, e) end")
    found = why(process, "Go")
    assert found["evaluate"] == "replaced" and answers(found)["_eval"] == "false"


@pytest.mark.parametrize("read_only", ["false", None])
def test_a_live_message_with_that_tag_is_a_message(process, read_only):
    process.run('Handlers.add("go", "Go", function(m) print(m.Tags["Asked-Why"]) end)')
    fields = {} if read_only is None else {"Read-Only": read_only}
    assert process.send("Go", tags=[AT], **fields)["Output"]["data"] == AT[1]


def test_runs_are_counted(process):
    process.run("""
        Handlers.add("go", "Go", function() end)
        Handlers.once("rare", "Rare", function() end)
        Handlers.add("twice", "Twice", function() end, 2)
        function Hits(name)
          local hits = require(".why").hits
          for _, h in ipairs(Handlers.list) do if h.name == name then return hits[h] or 0 end end
        end
    """)
    for action in ("Go", "Go", "Rare", "Twice", "None"):
        process.send(action)
    assert process.value("Hits('go')") == 2
    assert process.value("Hits('twice')") == 1
    assert process.value("Hits('rare')") is None
    assert process.value("Hits('_default')") == 1
    process.send("Twice")
    process.run("Handlers.remove('go')")
    assert process.value(KEPT) == 2  # of _eval and _default: nothing is kept of those that left
    process.run("Handlers.add('go', 'Go', print)")
    assert process.value("Hits('go')") == 0


def test_nothing_is_kept_of_those_that_waited(process):
    process.run("""
        Handlers.add("ask", "Ask", function(m) Receive({ Action = "Answer" }) end)
    """)
    for _ in range(5):
        process.send("Ask")
        process.send("Answer")
    assert process.value(KEPT) == 2  # ask and _eval
