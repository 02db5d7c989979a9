"""Which handlers a message goes to, in which order, and what the list looks like."""

import pytest

NEW_FROM_FRED = "\x1b[90mNew Message From \x1b[32mFRE...RED\x1b[90m: \x1b[90m"


@pytest.mark.parametrize(
    ("pattern", "message", "matches"),
    [
        ('"Ping"', {"action": "Ping"}, True),
        ('"Ping"', {"action": "ping"}, False),
        ('{ Action = "ping" }', {"action": "PING"}, True),
        ('{ Action = "ping" }', {"action": "pings"}, False),
        ('{ Action = "ping" }', {}, False),
        ('{ Action = "_" }', {"action": "anything"}, True),
        ('{ Action = "_" }', {}, False),
        ('{ Action = "^P.ng$" }', {"action": "ping"}, True),
        ('{ Action = "p-ng" }', {"action": "png"}, False),
        ('{ N = "^%D+$" }', {"tags": {"N": "12"}}, True),  # lower-cased: %D is %d
        ('{ N = "^%d+$" }', {"tags": {"n": "12"}}, True),
        ('{ Action = { "a", "b" } }', {"action": "b"}, True),
        ('{ Action = { "a", "b" } }', {"action": "c"}, False),
        ("{ N = function(v) return tonumber(v) > 5 end }", {"tags": {"N": "7"}}, True),
        ("{ N = function(v) return tonumber(v) > 5 end }", {"tags": {"N": "3"}}, False),
        (
            "{ N = function(v, msg) return msg.Data == v end }",
            {"data": "x", "tags": {"N": "x"}},
            True,
        ),
        ('{ From = "FRED", Data = "hi" }', {"data": "HI"}, True),
        ('{ From = "JANE", Data = "hi" }', {"data": "hi"}, False),
        ('{ Action = "a", N = "1" }', {"action": "a", "tags": {"N": "2"}}, False),
        ("{}", {}, True),
        ('{ Cron = "true" }', {"Cron": True}, True),
        ('function(msg) return msg.Data == "hi" end', {"data": "hi"}, True),
        ('Handlers.utils.hasMatchingTag("Type", "test")', {"tags": {"type": "test"}}, True),
        ('Handlers.utils.hasMatchingTag("N", "1")', {"tags": {"N": "2"}}, False),
        ('Handlers.utils.hasMatchingTagOf("N", { "1", "2" })', {"tags": {"N": "2"}}, True),
        ('Handlers.utils.hasMatchingTagOf("N", { "1", "2" })', {"tags": {"N": "3"}}, False),
        ('Handlers.utils.hasMatchingData("hi")', {"data": "hi"}, True),
        ('Handlers.utils.hasMatchingData("hi")', {"data": "Hi"}, False),
        # A key without "Action" that is a JSON table never equals a text.
        ('{ Data = "x" }', {"data": "[1]", "tags": {"Content-Type": "application/json"}}, False),
    ],
)
def test_patterns(process, pattern, message, matches):
    process.run(f'Handlers.add("h", {pattern}, function() print("hit") end)')
    data = process.send(**message)["Output"]["data"]
    assert (data == "hit") is matches, data
    assert ("New Message" in data) is not matches


@pytest.mark.parametrize(
    ("answer", "runs", "later"),
    [
        ("true", True, False),
        ('"break"', True, False),
        ("-1", True, False),
        ("-7.5", True, False),
        ('"continue"', True, True),
        ("1", True, True),
        ("3", True, True),
        ("false", False, True),
        ("0", False, True),
        ('"skip"', False, True),
        ('"whatever"', False, True),
    ],
)
def test_what_a_pattern_answers(process, answer, runs, later):
    process.run(f'Handlers.add("a", function() return {answer} end, function() print("a") end)')
    process.run('Handlers.add("b", function() return true end, function() print("b") end)')
    expected = (["a"] if runs else []) + (["b"] if later else [])
    assert process.send()["Output"]["data"].split("\n") == expected


@pytest.mark.parametrize("answer", ["nil", "{}", "print"])
def test_an_invalid_answer_is_an_error(process, answer):
    process.run(f'Handlers.add("a", function() return {answer} end, function() end)')
    error = process.send()["Error"]
    assert error.endswith("Pattern result is not valid, it MUST be string, number, or boolean")


def test_the_default_runs_behind_handlers_that_only_continue(process):
    process.run("""
        for _, name in ipairs { "one", "two" } do
          Handlers.add(name, function() return "continue" end, function() print(name) end)
        end
        Handlers.add("three", function() return "skip" end, function() print("three") end)
    """)
    expected = f"one\ntwo\n{NEW_FROM_FRED}Data = \x1b[34mping\x1b[0m"
    assert process.send(data="ping")["Output"]["data"] == expected


def test_what_is_not_handled_goes_to_the_inbox(process):
    result = process.send("A-rather-long-name-of-an-action", "text")
    shown = "A-rather-long-name-of-an-action"[:20]
    assert result["Output"]["data"] == f"{NEW_FROM_FRED}Action = \x1b[34m{shown}\x1b[0m"
    assert process.run("Inbox[#Inbox].Data") == "text"
    assert "[Inbox:\x1b[31m2" in result["Output"]["prompt"]


def test_an_announced_table_is_shown_as_json(process):
    data = process.send(data='{"a": 1}', tags={"Content-Type": "application/json"})["Output"][
        "data"
    ]
    assert data == NEW_FROM_FRED + 'Data = \x1b[34m{"a":1}\x1b[0m'


def names(process):
    return process.value("Utils.map(function(h) return h.name end, Handlers.list)")


def test_the_list_in_order(process):
    assert names(process) == ["_eval", "_default"]
    process.run("""
        local function f() end
        Handlers.add("a", f)
        Handlers.append("b", "B", f)
        Handlers.prepend("c", "C", f)
        Handlers.once("d", "D", f)
        Handlers.once("E", f)
        Handlers.once("F", f)
        Handlers.before("a").add("before a", "x", f)
        Handlers.after("a").add("after a", "x", f)
        Handlers.after("a").add("a", "x", f)
        Handlers.before("missing").add("nowhere", "x", f)
    """)
    assert names(process) == [
        "_once_1", "_once_0", "d", "c", "_eval", "_default", "before a", "a", "a", "after a", "b",
    ]  # fmt: skip
    process.run('Handlers.remove("c") Handlers.remove("missing")')
    assert "c" not in names(process)


@pytest.mark.parametrize("verb", ["add", "append", "prepend"])
def test_a_handler_of_the_same_name_is_replaced_in_place(process, verb):
    process.run('Handlers.add("a", function() end) Handlers.add("b", function() end)')
    before = names(process)
    process.run(f'Handlers.{verb}("a", "New", function() print("new") end)')
    assert names(process) == before
    assert process.send("New")["Output"]["data"] == "new"
    assert "New Message" in process.send("a")["Output"]["data"]


def test_add_tells_how_many_there_are(process):
    assert process.run('return Handlers.add("a", function() end)') == "3"


@pytest.mark.parametrize(
    "call", ['add(1, "x", print)', 'add("x", 1, print)', 'add("x", "y", 1)', "add()"]
)
def test_arguments_are_checked(process, call):
    assert (
        "Invalid arguments given. Expected: \n\tname : string"
        in process.eval("Handlers." + call)["Error"]
    )


def test_a_handler_leaves_after_its_runs(process):
    process.run('Handlers.add("a", "A", function() print("a") end, 2)')
    process.run('Handlers.add("b", "B", function() print("b") end, "inf")')
    process.run('Handlers.once("c", "C", function() print("c") end)')
    assert [process.send("A")["Output"]["data"] for _ in range(2)] == ["a", "a"]
    assert "New Message" in process.send("A")["Output"]["data"]
    assert [process.send("B")["Output"]["data"] for _ in range(3)] == ["b", "b", "b"]
    assert process.send("C")["Output"]["data"] == "c"
    assert "New Message" in process.send("C")["Output"]["data"]


def test_a_handler_may_put_itself_up_again(process):
    process.run("""
        function again() print("once") Handlers.once("o", "O", again) end
        again()
    """)
    assert [process.send("O")["Output"]["data"] for _ in range(3)] == ["once"] * 3


def test_a_table_as_handle_calls_the_first_that_fits(process):
    process.run("""
        Handlers.add("a", { Action = "_" }, {
          [{ N = "1" }] = function() print("one") end,
          [{ N = "2" }] = function() print("two") end,
        })
    """)
    assert process.send("x", tags={"N": "2"})["Output"]["data"] == "two"
    assert process.send("x", tags={"N": "3"})["Output"]["data"] == ""


def test_continue_of_handlers_utils(process):
    process.run("""
        Handlers.add("log", Handlers.utils.continue({ Action = "A" }), function() print("log") end)
        Handlers.add("A", function() print("a") end)
    """)
    assert process.send("A")["Output"]["data"] == "log\na"
    assert "log" not in process.send("B")["Output"]["data"]


def test_handlers_that_change_the_list_while_it_runs(process):
    process.run("""
        local function go_on() return "continue" end
        Handlers.add("once", go_on, function() print("once") end, 1)
        Handlers.add("adder", go_on, function()
          print("adder")
          Handlers.once("Later", function() end)
        end)
        Handlers.add("remover", go_on, function() print("remover") Handlers.remove("remover") end)
        Handlers.add("last", go_on, function() print("last") end)
    """)
    ran = process.send()["Output"]["data"].split("\n")[:-1]
    assert ran == ["once", "adder", "remover", "last"]
    assert process.send()["Output"]["data"].split("\n")[:-1] == ["adder", "last"]


def test_reply_of_handlers_utils(process):
    process.run("""
        Handlers.add("A", Handlers.utils.reply("text"))
        Handlers.add("B", Handlers.utils.reply({ Data = "table", Tags = { X = "1" } }))
    """)
    assert process.send("A")["Messages"][0]["Data"] == "text"
    # The table given once must serve every sender.
    for sender in ("FRED", "JANE"):
        (message,) = process.send("B", from_=sender)["Messages"]
        assert (message["Target"], message["Data"], process.tags(message)["X"]) == (
            sender,
            "table",
            "1",
        )


def test_a_script_may_wrap_evaluate(process):
    process.run("""
        local inner = Handlers.evaluate
        function Handlers.evaluate(msg, env) print("wrapped") return inner(msg, env) end
    """)
    assert process.eval("1")["Output"]["data"] == "wrapped\n1"
    process.run("Handlers.evaluate = nil")
    assert process.run("2") == "2"
