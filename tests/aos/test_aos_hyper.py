"""Modules for lua@5.3a: functions of (base, request, options) as HyperBEAM calls them."""

import json

import pytest

COUNTER = """
count = 0
function compute(base, req, opts)
  count = count + 1
  base.total = (base.total or 0) + (tonumber(req.body.amount) or 0)
  base.results = {
    output = { data = "total " .. base.total },
    outbox = { ["1"] = { target = req.body.from, action = "Total", data = tostring(base.total) } },
  }
  return base
end
"""
TAGS = {"execution-device": "lua@5.3a", "Name": "hyper", "Authority": "AUTH"}


@pytest.fixture
def start(new):
    """A process of some code."""

    def started(code, tags=(), **options):
        return new(tags={**TAGS, **dict(tags)}, code=code, **options)

    return started


def test_the_base_is_carried_on(start):
    process = start(COUNTER)
    process.send("Add", tags={"Amount": "3"})
    result = process.send("Add", tags={"Amount": "4"})
    assert result["Output"]["data"] == "total 7"
    (message,) = result["Messages"]
    assert (message["Target"], message["Data"]) == ("FRED", "7")
    assert process.tags(message) == {"action": "Total"}
    assert process.value("count") == 3  # the definition is computed too


def test_a_request(start):
    process = start("""
        function compute(base, req, opts)
          base.results = { output = { data = table.concat({
            req.body.action, req.body["x-y"], req.body.data, req.body.from,
            tostring(req.body["from-process"]), req.slot, req["block-height"],
            req["block-timestamp"], req.path, req.process == base.process.id and "own" or "",
            #ao.get("committers", req.body),
            base.process.name, base.name, base.process.authority[1], type(opts), os.time(),
          }, "|") } }
          return base
        end
    """)
    result = process.send("A", "d", tags={"X-Y": "v", "x-y": "second"}, Nonce=7, owner="AUTH")
    assert result["Output"]["data"] == (
        "A|v|d|FRED|FRED|7|1000|1700000000|compute|own|1|hyper|hyper|AUTH|table|1700000000"
    )


def test_a_request_names_its_function(start):
    process = start("""
        function greet(base, req) return "ok", "hello " .. req.body.name end
        function add(a, b) return a + b end
        function fail() return "error", "no luck" end
        function compute(base) return base end
    """)
    assert process.send(tags={"Function": "greet", "Name": "me"})["Output"]["data"] == "hello me"
    tags = {"Function": "add", "Parameters": "[2, 3]"}
    assert process.send(tags=tags)["Output"]["data"] == "5"
    assert process.send(tags={"Function": "fail"})["Error"].endswith("no luck")
    missing = process.send(tags={"Function": "nothing"})["Error"]
    assert missing.endswith("the module has no function nothing")


SCRIPTS = [
    ["function helper() return 'first' end",
     {"name": "main", "body": "function compute(b) b.results = {output = helper()} return b end"}],
    {"a.lua": {"content-type": "application/lua", "body": "function helper() return 'first' end"},
     "b.lua": {"data": "function compute(b) b.results = {output = helper()} return b end"}},
    {"content-type": "application/lua",
     "body": "function compute(b) b.results = {output = 'first'} return b end"},
]  # fmt: skip


@pytest.mark.parametrize("scripts", SCRIPTS)
def test_a_module_of_several_scripts(start, scripts):
    assert start(json.dumps(scripts)).send()["Output"]["data"] == "first"


def test_scripts_start_with_the_bare_language(start):
    process = start("""
        local names = {}
        for name in pairs(_G) do names[#names + 1] = name end
        for name in pairs(package.loaded) do names[#names + 1] = "+" .. name end
        world = table.concat(names, " ")
        before = tostring(ao)
        function compute(b) b.results = { output = world .. " " .. before } return b end
    """)
    world = process.send()["Output"]["data"].split()
    assert world[-1] == "nil"  # ao exists only once the scripts are loaded
    assert not {"Handlers", "Send", "Inbox", "coroutine", "json", "+.ao", "+.handlers"} & set(world)
    assert {"string", "print", "require", "+string"} <= set(world)


def test_the_library(start):
    process = start("""
        ao = { mine = 1 }
        function compute(base, req)
          local m = { a = { b = { "x", "y" } }, n = 0 }
          local changed = ao.set(m, "a/c", 5)
          local both = ao.set(m, { n = 1, ["a/d"] = 2 })
          local status, value = ao.resolve(m, "a/b/2")
          local missing, why = ao.resolve(m, "a/z")
          local twice, deep = ao.resolve({ "as", "message@1.0", m }, "a", { path = "b/1" })
          base.results = { output = table.concat({
            ao.mine, ao.get("a/b/1", m), tostring(ao.get("a/q", m)), ao.get("q", m, "default"),
            changed.a.c, tostring(m.a.c), both.n, both.a.d, status, value, missing, why, deep,
            ao.event("x"), ao.event("group", { "y" }),
          }, " ") }
          return base
        end
    """)
    assert process.send()["Output"]["data"] == (
        "1 x nil default 5 nil 1 2 ok y error not_found x ok ok"
    )


def test_the_option_sandbox(start):
    code = """
        local held = load
        function compute(b)
          b.results = { output = type(load) .. type(require) .. type(package) .. type(held) }
          return b
        end
    """
    assert start(code).send()["Output"]["data"] == "functionfunctiontablefunction"
    result = start(code, {"sandbox": "true"}).send()
    assert result["Output"]["data"] == "stringstringstringfunction"


PATCH = """
function compute(base, req)
  base.results = { outbox = {
    { device = "patch@1.0",
      cache = { [req.body.key or "k"] = req.body.value or "v", list = { 1, 2 } } },
    { target = "T", data = "d" },
  } }
  return base
end
"""


def read(process, path):
    tags = {"Exposed-Path": path}
    return process.send(tags=tags, **{"Read-Only": "true"})["Output"]["data"]


def test_patches_are_kept_in_the_base(start):
    process = start(PATCH)
    result = process.send(tags={"key": "a", "value": "1"})
    patch, message = result["Messages"]
    assert message["Target"] == "T" and "Target" not in patch
    tags = {tag["name"]: tag["value"] for tag in patch["Tags"]}
    assert tags == {"device": "patch@1.0", "cache": '{"a":"1","list":[1,2]}'}
    process.send(tags={"key": "b", "value": "2"})
    assert read(process, "cache/a") == "1"
    assert json.loads(read(process, "cache")) == {"a": "1", "b": "2", "k": "v", "list": [1, 2]}
    assert read(process, "cache/list/2") == "2"
    assert read(process, "cache/none") == read(process, "x/y/z") == ""


def test_patches_of_a_process_with_handlers(process):
    result = process.eval("""
        local balances = { me = "5", you = "7" }
        Send({ device = "patch@1.0", cache = { balances = balances, supply = 12 } })
        balances.me = "changed"
        ao.send({ device = "patch@1.0", cache = { balances = { you = "8" } }, Target = ao.id })
    """)
    first, second = result["Messages"]
    assert process.tags(first)["cache"] == '{"balances":{"me":"5","you":"7"},"supply":12}'
    assert "Target" not in first and second["Target"] == process.id
    assert result["Output"]["data"].startswith("WARN: No target specified for message.")
    assert json.loads(read(process, "cache/balances")) == {"me": "5", "you": "8"}
    assert read(process, "cache/supply") == "12"
    assert process.run("Inbox[#Inbox].Tags['Exposed-Path'] == nil and 'kept out'") == "kept out"


def test_only_a_dry_run_reads(process):
    process.eval('Send({ device = "patch@1.0", cache = { a = "1" } })')
    assert "New Message" in process.send(tags={"Exposed-Path": "cache/a"})["Output"]["data"]


def test_prints_and_outputs(start):
    process = start("""
        function compute(base, req)
          print("printed")
          base.results = { output = { data = { a = 1 }, prompt = "p> ", print = true } }
          return base
        end
    """)
    output = process.send()["Output"]
    assert output["data"].startswith("printed\n{") and output["prompt"] == "p> "


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("function compute() error('raised') end", "MODULE-I:1: raised"),
        ("function compute() error({ code = 7 }) end", "code"),
        ("function compute(b) b.results = { error = 'told' } return b end", "told"),
        ("function compute(b) b.results = { outbox = { 5 } } return b end", "is no table"),
        ("x y", "MODULE-I:1: syntax error"),
        ("error('while loading')", "while loading"),
        ("x = 1", "the module has no function compute"),
        ("[1, 2]", "script 1 of the module has no body"),
        ("{", "expected string for key"),
    ],
)
def test_errors(start, code, error):
    first = start(code).first
    assert set(first) == {"Error"} and error in first["Error"]


@pytest.mark.parametrize("result", ["nil", "5", "'text'", "true", "{}"])
def test_what_is_no_message(start, result):
    process = start(f"function compute() return {result} end")
    assert process.first["Output"]["data"] == ("" if result in ("nil", "{}") else result.strip("'"))


def test_without_the_tag_it_is_a_script_for_handlers(new):
    process = new(code=COUNTER)
    assert process.run("type(compute) .. type(Handlers)") == "functiontable"


def test_the_tag_alone_changes_nothing(new):
    process = new(tags=TAGS)
    assert process.run("type(Handlers)") == "table"


def test_an_empty_table_is_a_message_without_keys(start):
    process = start("""
        function compute(base, req)
          base.none, base.deep = {}, { list = { {} }, map = { x = {} } }
          base.results = { outbox = {
            { target = "T", data = {}, field = {} }, { target = "U", data = { list = {} } },
          } }
          return base
        end
    """)
    first, second = process.send()["Messages"]
    assert first["Data"] == "{}" and second["Data"] == '{"list":{}}'
    assert first["Tags"] == [{"name": "field", "value": "{}"}]
    assert read(process, "none") == "{}"
    assert read(process, "deep") == '{"list":[{}],"map":{"x":{}}}'
