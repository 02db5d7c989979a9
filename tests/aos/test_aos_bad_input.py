"""What nobody should send: each has a defined answer, and the process goes on."""

import json

import pytest

JSON = {"Content-Type": "application/json"}


def shown(process, code, action="A"):
    """What a handler prints of a message."""
    process.run(f'Handlers.add("shown", "{action}", function(m) print({code}) end)')


@pytest.mark.parametrize(
    ("tags", "code", "text"),
    [
        ([("", "empty")], 'm.Tags[""]', "empty"),
        ([("N", "")], "#m.Tags.N .. #m.N", "00"),
        ([("a b!", "v"), ("\xff\x00", "w")], 'm.Tags["A b!"] .. m.Tags["\\xff\\0"]', "vw"),
        ([("x" * 5000, "v" * 100_000)], '#m.Tags["X" .. ("x"):rep(4999)]', "100000"),
        ([("reply", "evil"), ("forward", "evil")], "type(m.reply) .. type(m.forward)",
         "functionfunction"),
        ([("tags", "evil"), ("tagArray", "evil")], "type(m.Tags) .. #m.TagArray", "table3"),
        ([("data", "evil"), ("from", "evil"), ("owner", "evil"), ("target", "evil")],
         "m.Data .. m.From .. m.Owner .. #m.Target", "dFREDFRED43"),
        ([("__index", "evil"), ("__name", "evil")], 'm.Tags["--Index"]', "evil"),
        # Of duplicates, the table has the first and the field the last.
        ([("K", "1"), ("k", "2"), ("K", "3")], "m.Tags.K .. m.K .. #m.TagArray", "134"),
        ([("Action", "B"), ("action", "C")], "m.Tags.Action .. m.Action", None),
    ],
)  # fmt: skip
def test_malformed_and_duplicate_tags(process, tags, code, text):
    shown(process, f"tostring({code})")
    output = process.send("A", "d", tags=tags)["Output"]["data"]
    # The last Action is the one that handlers go by.
    assert output.replace("\x1b[32m", "") == text if text else "Action = \x1b[34mC" in output


def test_more_tags_than_the_network_allows(process):
    shown(process, "#m.TagArray .. m.N999 .. m.Tags.N0")
    tags = [(f"n{i}", str(i)) for i in range(1000)]
    assert process.send("A", tags=tags)["Output"]["data"] == "10019990"
    (message,) = process.eval("""
        local tags = {}
        for i = 1, 1000 do tags[i] = { name = "N" .. i, value = i } end
        Send({ Target = "T", Tags = tags })
    """)["Messages"]
    assert len(message["Tags"]) == 1004


def test_large_data(process):
    size = 10 << 20
    shown(process, "#m.Data")
    assert process.send("A", "x" * size)["Output"]["data"] == f"\x1b[32m{size}\x1b[0m"
    assert process.send("B", "x" * size)["Output"]["data"].endswith("x" * 20 + "\x1b[0m") is False
    assert process.run("#Inbox[#Inbox].Data") == str(size)
    (message,) = process.eval('Send({ Target = "T", Data = Inbox[#Inbox].Data })')["Messages"]
    assert len(message["Data"]) == size


def test_binary_data(process):
    every = bytes(range(256)).decode("latin-1")
    process.run('Handlers.add("echo", "A", function(m) m.reply({ Data = m.Data, T = m.T }) end)')
    (message,) = process.send("A", every, tags={"T": every})["Messages"]
    assert (message["Data"], process.tags(message)["T"]) == (every, every)
    shown(process, "base64.encode(m.Data)", "B")
    assert len(process.send("B", every)["Output"]["data"]) == 344


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/octet-stream", "", "APPLICATION/JSON",
             "application/json; charset=utf-8", "\xff"]
)  # fmt: skip
def test_an_unknown_content_type_leaves_text(process, kind):
    shown(process, "type(m.Data) .. m.Data")
    output = process.send("A", '{"a":1}', tags={"Content-Type": kind})["Output"]["data"]
    assert output == 'string{"a":1}'


@pytest.mark.parametrize(
    "text",
    [
        "[" * 5000 + "]" * 5000, '{"a":' * 5000 + "1" + "}" * 5000, "[NaN]", "NaN", "Infinity",
        "-Infinity", "{'a': 1}", "{a: 1}", '{"a":1,}', "[1,]", "", " ", "nul", '"\\', "\x00",
        "\xff", "1e999", "0x1", '{"a":1}}',
    ],
)  # fmt: skip
def test_json_that_is_none_stays_text(process, text):
    shown(process, "type(m.Data) .. #m.Data")
    output = process.send("A", text, tags=JSON)["Output"]["data"]
    assert output == f"string{len(text)}"
    assert "Error" not in process.send("B", text, tags=JSON)


@pytest.mark.parametrize("text", ["null", "true", "7", '"s"', "[]", '{"a": null}'])
def test_json_that_is_no_table(process, text):
    shown(process, "type(m.Data)")
    kinds = {"null": "nil", "true": "boolean", "7": "number", '"s"': "string"}
    assert process.send("A", text, tags=JSON)["Output"]["data"] == kinds.get(text, "table")
    assert "New Message" in process.send("B", text, tags=JSON)["Output"]["data"]


@pytest.mark.parametrize(
    "value", ["0/0", "1/0", "-1/0", "{ 0/0 }", "(function() local t = {} t.t = t return t end)()"]
)
def test_what_json_cannot_say_is_refused_by_name(process, value):
    error = process.eval(f"local t = json.encode({value})")["Error"]
    assert '[string "aos"]:1: ' in error and ("number value" in error or "circular" in error)


@pytest.mark.parametrize(
    "pattern",
    [
        "function() error('raised') end",
        "function() return nil end",
        "{ Action = function() error('raised') end }",
        "{ Action = '%' }",
        "{ Action = '[' }",
        "setmetatable({}, { __pairs = function() error('raised') end })",
    ],
)
def test_a_pattern_that_raises(process, pattern):
    process.run(f'Handlers.prepend("bad", {pattern}, function() end)')
    result = process.send("A")
    assert set(result) == {"Error"}
    assert "raised" in result["Error"] or "pattern" in result["Error"].lower()
    # The owner gets through to take it away.
    output = process.run('Handlers.remove("bad") return "removed"')
    assert output.endswith("removed")
    assert "New Message" in process.send("A")["Output"]["data"]


@pytest.mark.parametrize(
    ("code", "ran"),
    [
        ('Handlers.remove("one")', "one two three"),
        ('Handlers.remove("two")', "one three"),
        ('Handlers.remove("three")', "one two"),
        ('Handlers.remove("one") Handlers.remove("two")', "one three"),
        ("Handlers.list = {}", "one"),
        ("for i = #Handlers.list, 1, -1 do table.remove(Handlers.list, i) end", "one"),
        ('Handlers.remove("_default")', "one two three"),
        (
            'Handlers.prepend("zero", function() return 1 end, function() print("zero") end)',
            "one two three",
        ),
    ],
)
def test_handlers_are_removed_while_they_run(process, code, ran):
    process.run("""
        function go_on() return "continue" end
        for _, name in ipairs { "one", "two", "three" } do
          Handlers.add(name, go_on, function()
            print(name)
            if name == "one" then """ + code + """ end
          end)
        end
    """)  # fmt: skip
    lines = process.send("Zzz")["Output"]["data"].split("\n")
    assert " ".join(line for line in lines if "New Message" not in line) == ran
    assert process.run("1 + 1").endswith("2")


def test_a_coroutine_that_is_never_resumed(process):
    """It stays among those that wait, holds nothing up, and can be dropped."""
    process.eval('Handlers.receive({ Action = "never" })', id="never")
    process.eval("coroutine.yield()", id="bare")
    process.run("held = coroutine.create(function() coroutine.yield() end) coroutine.resume(held)")
    for _ in range(50):
        assert "New Message" in process.send("A")["Output"]["data"]
    assert [wait["id"] for wait in process.waits] == ["never", "bare"]
    assert process.host.drop("never") and process.host.drop("bare")
    assert process.waits == [] and process.run("coroutine.status(held)") == "suspended"


def test_data_that_is_missing(process):
    shown(process, "tostring(m.Data)")
    assert process.send("A", None)["Output"]["data"] == "nil"
    assert process.send(None, None)["Output"]["data"].endswith("Data = \x1b[34m\x1b[0m")


@pytest.mark.parametrize(
    "text", ["x " * 50_000, "\x00\x1bLua", "\xef\xbb\xbfreturn 1", "((((" * 300]
)
def test_an_eval_that_is_no_lua(process, text):
    assert set(process.eval(text)) == {"Error"}
    assert process.run("1 + 1") == "2"


def test_a_json_eval_is_refused(process):
    result = process.eval(json.dumps(["x"]), tags=JSON)
    assert result["Error"].endswith("Eval takes Lua text as Data, got a table")
