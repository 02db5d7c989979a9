"""Each rule on what it is about, and on what looks like it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aoshell.check import TARGETS, Finding, check

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = [
    path for path in sorted((ROOT / "examples").glob("*.lua")) if not path.stem.endswith("_test")
]


def rules(source: str, target: str, *modules: str) -> set[str]:
    return {finding.rule for finding in check(source.encode(), "x.lua", target, modules)}


def wrapped(body: str) -> str:
    """A handler with that body."""
    return f'Handlers.add("H", "H", function(msg) {body} end)'


# Functions of a script: one changes state, one checks who asks.
CREDIT = "Held = {} local function credit(who, n) local m = n Held[who] = m return m end "
OWNED = "local function owned(m) if m.From ~= Owner then error('no') end end "

BOTH = [
    ("send-loop", "M = {} " + wrapped("for k in pairs(M) do Send({ Target = k }) end")),
    ("send-loop", "M = {} " + wrapped("for _, m in ipairs(M.x) do ao.send({ Target = m }) end")),
    ("syntax", "x = = 1"),
    ("undefined-global", "print(Balances)"),
    ("undefined-global", "rawset(_G, 'Seen', 1) print(Unseen)"),
    ("undefined-global", "setmetatable({}, _G) print(Unseen)"),
    ("undefined-global", "rawset({}, 'Unseen', 1) print(Unseen)"),
    ("missing-member", "print(string.trim(Name))"),
    ("missing-member", "table.getn({})"),
    ("missing-member", "Handlers.ad('x', 'x', print)"),
    ("module", "local x = require('nowhere')"),
    ("handler-arguments", "Handlers.add(1, 'a', print)"),
    ("handler-arguments", "Handlers.add('a', true, print)"),
    ("handler-arguments", "Handlers.add('a', 'b', 'c')"),
    ("handler-arguments", "Handlers.add('a')"),
    ("handler-arguments", "Handlers.add({ action = 'x' }, function() end)"),
    ("handler-arguments", "Handlers.before('a').add('x', function() return true end)"),
    ("handler-replaced", "Handlers.add('a', 'x', print)\nHandlers.add('a', print)"),
    ("handler-reserved", "Handlers.add('_default', 'x', print)"),
    ("pattern-result", "Handlers.add('a', function(m) print(m) end, print)"),
    ("pattern-result", "local function p() return end Handlers.add('a', p, print)"),
    ("return-two", "return 1, 2"),
    ("error-table", "error({ code = 1 })"),
    ("print-arguments", "print(1, 2)"),
    ("only-here", "x = spawn('m')"),
    ("only-here", "x = MyModule"),
    ("only-here", "require('.process').waits()"),
]
LEGACY = [
    ("only-here", wrapped("msg.reply({ Data = json.encode(Inbox) })")),
    ("only-here", "local codec = require('json') x = base64.encode(codec.encode({}))"),
    ("only-here", "apm.install('x')"),
    ("module", "local json = require('.json')"),
    ("module", "require('.state')"),
    ("only-here", "Send({ Target = 'AOS', Action = 'Spawn', Module = 'm' })"),
    ("authority", "Spawn('m', { Name = 'x' })"),
    ("authority", "Spawn({})"),
    ("authority", "local s = ao.spawn; s('m', { Tags = { { name = 'A', value = 'b' } } })"),
    ("tag-value", "Send({ Target = 'x', Quantity = 5 })"),
    ("tag-value", wrapped("msg.reply({ Ok = true })")),
    ("tag-value", "local m = { Target = 'x' } m.Quantity = 5 Send(m)"),
    ("tag-value", "local t = { Quantity = 5 } Send({ Target = 'x', Tags = t })"),
    ("tag-value", "local t = {} t.Quantity = 5 ao.send({ Target = 'x', Tags = t })"),
    ("authority", "local r = {} Spawn('m', r)"),
    ("authority", "local t = {} Spawn('m', { Tags = t })"),
    ("tag-number", wrapped("if msg.Tags.Quantity > 0 then print(1) end")),
    ("tag-number", wrapped("if msg.Quantity <= tonumber(Name) then print(1) end")),
    ("tag-number", wrapped("local q = msg.Tags.Quantity if 5 < q then print(1) end")),
    ("tag-number", wrapped("if msg.Quantity == 5 then print(1) end")),
    ("tag-number", wrapped("if msg.Low < msg.High then print(1) end")),
    ("tag-number", wrapped("Total = Total + msg.Quantity")),
    ("tag-number", wrapped("for i = 1, msg.Count do print(i) end")),
    ("late-check", wrapped("Balances = {} assert(msg.From == Owner, 'no')")),
    ("late-check", wrapped("Inbox.x = msg.Data if msg.From ~= Owner then return end")),
    ("late-check", wrapped("table.insert(Inbox, 1) if Owner ~= msg.From then error('x') end")),
    ("late-check", wrapped("Inbox[msg.Id] = 1 local from = msg.From assert(from == ao.id)")),
    ("late-check", CREDIT + wrapped("credit(msg.Data, 1) assert(msg.From == Owner, 'no')")),
    ("late-check", CREDIT + wrapped("local n = credit(msg.Data, 1) assert(msg.From == Owner)")),
    (
        "late-check",
        f"local bank = {{}} {CREDIT} function bank.pay(m) credit(m.Data, 1) end "
        + wrapped("bank.pay(msg) if msg.From ~= Owner then error('no') end"),
    ),
    ("late-check", CREDIT + OWNED + wrapped("credit(msg.Data, 1) owned(msg)")),
    ("late-check", CREDIT + OWNED + wrapped("do credit(msg.Data, 1) end owned(msg)")),
    (
        "late-check",
        CREDIT
        + "local function isOwner(who) return who == Owner end "
        + wrapped("credit(msg.Data, 1) if not isOwner(msg.From) then return end"),
    ),
    ("tag-case", "local function h(msg) print(msg.Tags.my_tag) end Handlers.add('a', 'a', h)"),
    ("tag-case", "function h(msg) print(msg.Tags.my_tag) end Handlers.add('a', 'a', h)"),
    ("tag-case", "local m = {} function m.h(s) print(s.Tags.x_y) end Handlers.add('a', 'a', m.h)"),
    ("tag-case", "local m = { h = function(s) print(s.Tags.x_y) end } Handlers.add('a', 'a', m.h)"),
    (
        "tag-case",
        "local function add(n, h) Handlers.add(n, n, h) end "
        "add('a', function(msg) print(msg.Tags.x_y) end)",
    ),
    (
        "tag-case",
        "local function add(n, h) Handlers.add(n, n, function(m) pcall(h, m) end) end "
        "add('a', function(msg) print(msg.Tags.x_y) end)",
    ),
    (
        "tag-case",
        "local function safe(h) return function(m) h(m) end end "
        "Handlers.add('a', 'a', safe(function(msg) print(msg.Tags.x_y) end))",
    ),
    (
        "tag-case",
        "local function read(m) return m.Tags.x_y end "
        "Handlers.add('a', 'a', function(msg) print(read(msg)) end)",
    ),
    (
        "tag-case",
        "package.preload['m'] = function() return { h = function(s) "
        "print(s.Tags.x_y) end } end Handlers.add('a', 'a', require('m').h)",
    ),
    (
        "handler-replaced",
        "local function add(n, h) Handlers.add(n, n, h) end add('a', print) add('a', print)",
    ),
    ("tag-value", "ao.send({ Target = 'x', Tags = { A = {} } })"),
    ("tag-value", "local ao = require('ao') ao.send({ Target = 'x', Tags = { A = #Inbox } })"),
    ("tag-reserved", "Send({ Target = 'x', Type = 'Message' })"),
    ("tag-reserved", "Send({ Target = 'x', Tags = { { name = 'Owner', value = 'y' } } })"),
    ("tag-limit", "Send({ Target = 'x', A = '" + "v" * 3073 + "' })"),
    ("tag-limit", "Send({ Target = 'x', A = '" + "v" * 3000 + "' .. '" + "v" * 73 + "' })"),
    ("tag-limit", "Send({ Target = 'x', ['" + "n" * 1025 + "'] = '' })"),
    ("tag-limit", "Send({ Target = 'x', " + ",".join(f"A{i} = ''" for i in range(122)) + "})"),
    ("tag-case", wrapped("print(msg.Tags.my_tag)")),
    ("tag-case", "Handlers.add('a', { recipient = '_' }, print)"),
    ("tag-case", "Receive({ orderId = '_' })"),
    ("tag-case", "Handlers.add('a', Handlers.utils.hasMatchingTag('action', 'x'), print)"),
    ("message-key", wrapped("print(msg.action)")),
    ("message-key", wrapped("print(msg.body.quantity)")),
    ("patch", "Send({ device = 'patch@1.0', cache = { a = 1 } })"),
    ("module", "require('lsqlite3')"),
]
HYPERBEAM = [
    ("no-coroutines", "coroutine.wrap(print)"),
    ("no-coroutines", "Handlers.receive({ action = 'x' })"),
    ("no-coroutines", "x = Send({ target = 'x' }).receive()"),
    ("no-coroutines", wrapped("local r = msg.reply({}) r.receive()")),
    ("missing-name", "Receive({ action = 'x' })"),
    ("missing-name", "Assign({})"),
    ("missing-name", "x = json.encode({})"),
    ("missing-name", "xpcall(print, print)"),
    ("missing-member", "ao.assign({})"),
    ("missing-member", "x = string.pack('i4', 1)"),
    ("missing-member", "table.move({}, 1, 2, 3)"),
    ("missing-member", "x = debug.traceback()"),
    ("dropped", "Spawn('m', {})"),
    ("dropped", "ao.spawn('m', {})"),
    ("module", "local json = require('json')"),
    ("module", "require('.crypto')"),
    ("luerl-syntax", "goto on ::on::"),
    ("luerl-syntax", "x = '\\u{41}'"),
    ("luerl-syntax", "x = 'a\\\nb'"),
    ("luerl-syntax", "x = [====[a]====]"),
    ("luerl-syntax", "--[=[ a\n b ]=]"),
    ("luerl-load", "load('return a', 'x', 't', { a = 1 })"),
    ("luerl-load", "load(function() end)"),
    ("gmatch-limit", "for a in string.gmatch(Name, 'a*b*c*d*e*f*') do print(a) end"),
    ("unseeded-random", "x = math.random(6)"),
    ("block-time", "x = os.time()"),
    ("unseen-errors", "error('x')"),
    ("message-key", wrapped("print(msg.From)")),
    ("message-key", wrapped("print(msg.Tags.Recipient)")),
    ("message-key", wrapped("print(msg.action)")),
    ("message-key", wrapped("msg.forward('x')")),
    ("message-key", "Handlers.add('a', { Action = 'x' }, print)"),
    ("message-key", "Handlers.add('a', Handlers.utils.hasMatchingTag('Action', 'x'), print)"),
]
WRONG = (
    [(target, *case) for target in TARGETS for case in BOTH]
    + [("legacy", *case) for case in LEGACY]
    + [("hyperbeam", *case) for case in HYPERBEAM]
)


@pytest.mark.parametrize(("target", "rule", "source"), WRONG)
def test_a_rule_sees_what_it_is_about(target: str, rule: str, source: str) -> None:
    beside = {"unseen-errors"} - {rule}  # of each text that raises
    assert rules(source, target) - beside == {rule}


@pytest.mark.parametrize(("target", "rule", "source"), WRONG)
def test_no_rule_speaks_of_the_other_network(target: str, rule: str, source: str) -> None:
    other = next(one for one in TARGETS if one != target)
    own = {name for name, _ in (BOTH, LEGACY, HYPERBEAM)[1 + TARGETS.index(other)] + BOTH}
    assert rules(source, other) <= own, rule


FINE_ANYWHERE = [
    wrapped("for k in pairs({ 1, 2 }) do Send({ target = 'x' }) end"),
    wrapped("local few = { 1 } for k in pairs(few) do Send({ target = 'x' }) end"),
    "#!/usr/bin/env lua\nx = 1",
    "\ufeffx = 1",
    "Balances = Balances or {}",
    "if spawn then x = spawn('m') end",
    "spawn = spawn or function() end spawn('m')",
    "local spawn = print spawn('m')",
    "unpack = table.unpack or unpack",
    "local x = type(Limits) == 'table' and Limits.most or 1",
    "_G.Seen = {} print(Seen)",
    "rawset(_G, 'Seen', 1) print(Seen)",
    "rawset(_G, Name, 1) print(Anything)",
    "setmetatable(_G, { __index = print }) print(Anything)",
    "for k, v in pairs({}) do _G[k] = v end print(Anything)",
    "package.loaded['x.y'] = {} require('x.y')",
    "pcall(require, 'nowhere')",
    "function string.trim(s) return s end string.trim('')",
    "Handlers.mine = 1 print(Handlers.mine)",
    "if Name then Handlers.add('a', 'x', print) else Handlers.add('a', 'y', print) end",
    "Handlers.add('a', 'x', print) Handlers.remove('a') Handlers.add('a', 'y', print)",
    "Handlers.before('a').add('x', 'x', print) Handlers.before('a').add('x', 'x', print)",
    "Handlers.once('x', print) Handlers.once('x', print)",
    "Handlers.add('a', { 'x', [1] = 'y', [Name] = 'z' }, print)",
    "Handlers.add('a', { TagArray = '_', reply = '_', forward = '_' }, print)",
    "local function f(...) Handlers.add(...) end",
    "local function f(n, p, h) Handlers.add(n, p, h) end",
    "Handlers.add('a', function(m) if m then return true end end, print)",
    "Handlers.add('a', function() error('never') end and print, print)",
    "return pcall(print)",
    "local function print(...) end print(1, 2)",
    "local t = {} t.reply({ Ok = 1 and 'x' })",
    "local function f(...) Send(...) end",
    "x = [===[a]===] --[[ b ]] y = '\\z\n a\\x41\\065'",
    "local math = { random = print } math.random()",
]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("source", FINE_ANYWHERE)
def test_what_is_fine_is_let_be(source: str, target: str) -> None:
    assert rules(source, target) - {"unseen-errors"} == set()


@pytest.mark.parametrize(
    "source",
    [
        "Spawn('m', { Authority = ao.authorities[1] })",
        "Spawn('m', { Tags = { { name = 'Authority', value = 'x' } } })",
        "local r = {} pcall(r) Spawn('m', r)",
        "local r = {} for k, v in pairs(Inbox) do r[k] = v end Spawn('m', r)",
        "local r = { A = 1 } Send({ Target = 'x', Data = r })",
        "local r = { Target = 'x', A = 1 } for k, v in pairs(r) do r[k] = tostring(v) end Send(r)",
        "local r = { Target = 'x' } Send(r) r.A = 1",
        "local k = 'Authority' Spawn('m', { [k] = 'x' })",
        "local t = {} pcall(t) Spawn('m', { Tags = t })",
        "Send({ Target = 'x', Quantity = tostring(5), Data = { a = 1 } })",
        "Send({ Target = 'x', Assignments = { 'a', 'b' } })",
        "Send({ Target = 'x', " + ",".join(f"A{i} = ''" for i in range(121)) + "})",
        "Send({ Target = 'x', A = '" + "v" * 3072 + "' })",
        wrapped("msg.Tags.my_tag = 1 print(msg.Tags.my_tag)"),
        wrapped("msg.data = 1 print(msg.data)"),
        wrapped("if tonumber(msg.Quantity) > 0 then print(1) end"),
        wrapped("local q = msg.Quantity q = tonumber(q) if q > 0 then print(1) end"),
        wrapped("msg.Quantity = tonumber(msg.Quantity) if msg.Quantity > 0 then print(1) end"),
        wrapped("msg.Tags = clean(msg.Tags) if msg.Tags.Quantity > 0 then print(1) end clean = 1"),
        wrapped("for k in pairs(msg) do msg[k] = 1 end if msg.Quantity > 0 then print(1) end"),
        wrapped("if msg.Timestamp > 5 and msg['Block-Height'] > 5 then print(1) end"),
        wrapped("print(msg.Quantity .. 5)"),
        wrapped("assert(msg.From == Owner) Balances = {}"),
        wrapped("Seen = Seen + 1 assert(msg.From == Owner)") + " Seen = 0",
        wrapped("Balances = Balances or 0 assert(msg.From == Owner)"),
        wrapped("if msg.Data then Balances = {} end assert(msg.From == Owner)"),
        wrapped("local seen = 1 seen = 2 assert(msg.From == Owner)"),
        CREDIT + OWNED + wrapped("owned(msg) credit(msg.Data, 1) assert(msg.From == Owner)"),
        CREDIT + wrapped("assert(msg.From == Owner) credit(msg.Data, 1)"),
        CREDIT + wrapped("if msg.Data then credit(msg.Data, 1) end assert(msg.From == Owner)"),
        "local function note(n) local seen = {} seen[n] = 1 return seen end "
        + wrapped("note(1) assert(msg.From == Owner)"),
        "local function again(n) return again(n) end "
        + wrapped("again(1) assert(msg.From == Owner)"),
        "function once(n) return twice(n) end function twice(n) return once(n) end "
        + wrapped("once(1) assert(msg.From == Owner)"),
        # Whoever gets the message as a parameter of another name checks it before it changes.
        "local function set(m) assert(m.From == Owner) Price = m.Data end "
        + wrapped("set(msg) assert(msg.From == Owner)"),
        "local function add(n, h) Handlers.add(n, n, h) end add('a', print) add('b', print)",
        "local function f(m) print(m.Tags.x_y) end f({ Tags = {} })",
        wrapped("msg = {} print(msg.data)"),
        wrapped("msg = {} print(msg.Tags.my_tag)"),
        wrapped("print(msg.Tags['X-My-Tag'])"),
        wrapped("local m = { Tags = {} } print(m.Tags.my_tag)"),
        wrapped("local reply = Receive({ From = msg.From }) print(reply.TagArray)"),
        "goto on ::on:: x = string.pack('i4', coroutine.isyieldable() and 1 or 2)",
        'local json, bint = require("json"), require(".bint")(256)',
        'json = json or require("json") x = json.encode({})',
        "if json then x = json.encode({}) end",
        'local crypto = require(".crypto") require("ao") require(".utils")',
    ],
)
def test_what_is_fine_on_the_legacy_network(source: str) -> None:
    assert rules(source, "legacy") == set()


@pytest.mark.parametrize(
    "source",
    [
        wrapped("local q = msg.body Send({ target = q.from, count = 5, data = q.data })"),
        wrapped("msg.reply({ action = 'ok' })"),
        "function compute(base, req) base.results = { output = req.body.action } return base end",
        "Send({ target = 'x' }).onReply(function(req) print(req.body.data) end)",
        "load('return 1', 'x', 't', _G)",
        'local json = require(".json")',
        "x = unpack and unpack({}) or table.unpack({})",
        "for a in string.gmatch(Name, '%a+') do print(a) end",
        "Receive = Receive or function() end Receive({})",
    ],
)
def test_what_is_fine_on_hyperbeam(source: str) -> None:
    assert rules(source, "hyperbeam") == set()


def test_a_place_counts_characters() -> None:
    source = "local a = 'é€'; print('é', 1)\r\n\r\n\tprint(1, 2)\n".encode()
    found = check(source, "ü.lua", "legacy")
    assert [(one.file, one.line, one.column) for one in found] == [
        ("ü.lua", 1, 28), ("ü.lua", 3, 11)
    ]  # fmt: skip


def test_a_finding_reads_as_compilers_write_them() -> None:
    (found,) = check(b"x = spawn('m')", "a.lua", "legacy")
    assert found.severity == "error"
    assert str(found).startswith("a.lua:1:5: error: 'spawn' exists in this shell only")
    assert str(found).endswith("[only-here]")
    assert "Spawn(module, tags)" in found.advice


def test_text_that_is_no_lua_has_one_finding_with_lua_s_words() -> None:
    found = check(b"spawn('m')\nif x then\n\n", "a.lua", "legacy")
    assert [(one.rule, one.line) for one in found] == [("syntax", 4)]
    assert found[0].message == "'end' expected (to close 'if' at line 2) near <eof>"


def test_names_in_messages_are_text() -> None:
    (found,) = check("require('größe')".encode(), "a.lua", "legacy")
    assert "'größe'" in found.message


def test_an_unknown_name_is_told_once_a_file() -> None:
    assert len(check(b"print(Foo) print(Foo) print(Bar)", "a.lua", "legacy")) == 2


def test_patches_are_told_once_a_file() -> None:
    patch = b"Send({ device = 'patch@1.0', cache = { a = 1 } })\n"
    assert [one.line for one in check(patch * 3, "a.lua", "legacy")] == [1]


def test_a_name_that_was_hardly_meant_is_a_warning() -> None:
    by_name = {
        one.message.split("'")[1]: (one.severity, one.advice)
        for one in check(b"print(handlers) print(unpack) print(Balances)", "a.lua", "legacy")
    }
    assert by_name["handlers"] == ("warning", "is Handlers meant?")
    assert by_name["unpack"] == ("warning", "use table.unpack")
    assert by_name["Balances"][0] == "note"


@pytest.mark.parametrize(
    "source",
    [
        wrapped("print(msg.Tags.FQDN, msg.UserName)"),
        wrapped("print(msg.action)"),
        "Handlers.add('a', { recipient = '_' }, print)",
        "Handlers.add('a', Handlers.utils.hasMatchingTag('action', 'x'), print)",
    ],
)
def test_older_modules_keep_the_names_of_tags(source: str) -> None:
    assert rules(source, "2.0.1") - {"print-arguments"} == set()
    assert rules("print(Utils.normalize('x'))", "2.0.1") == {"missing-member"}


def test_a_boot_handler_is_lost_in_2_0_1_only() -> None:
    source = "Handlers.prepend('_boot', 'Boot', function() print('boots') end)"
    assert rules(source, "2.0.1") == {"handler-reserved"}
    assert rules(source, "legacy") == rules(source, "hyperbeam") == set()
    assert rules(source, "2.0.6") == rules(source, "legacy")


@pytest.mark.parametrize(
    "source",
    [
        "x = Name" + ".b" * 5_000,
        "x = Name" + ".b()" * 2_000,
        "x = 1" + " + 1" * 5_000,
        "x = {" + "{}," * 5_000 + "}",
        "x = " + "(" * 190 + "1" + ")" * 190,
        "".join(f"local a{i} = {f'a{i - 1}' if i else 'Name'} " for i in range(190)) + "a189()",
        "do local a = 1 end " * 2_000,
    ],
    ids=lambda source: source[:14],
)
def test_long_texts_are_no_trouble(source: str) -> None:
    for target in TARGETS:
        assert rules(source, target) == set()


def test_an_unknown_target_is_a_mistake_of_the_caller_s() -> None:
    with pytest.raises(ValueError, match="mainnet"):
        check(b"", "a.lua", "mainnet")


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: str(path.name))
def test_the_examples_are_fit_for_the_legacy_network(path: Path) -> None:
    known = {"only-here", "authority"}
    found = check(path.read_bytes(), path.name, "legacy")
    assert [str(one) for one in found if one.severity != "note" and one.rule not in known] == []


def test_the_rules_are_documented() -> None:
    text = (ROOT / "docs" / "check.md").read_text(encoding="utf-8")
    assert [rule for _, rule, _ in WRONG if f"| `{rule}` |" not in text] == []


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60), st.sampled_from(TARGETS))
def test_any_bytes_have_findings_that_can_be_shown(source: bytes, target: str) -> None:
    found: list[Finding] = check(source, "x", target)
    assert all(one.line >= 1 and one.column >= 1 for one in found)
    json.dumps([str(one) for one in found]).encode()
    "".join(map(str, found)).encode()


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_torn_rules_never_break(data: st.DataObject) -> None:
    sources = [source for _, _, source in WRONG]
    first, second = data.draw(st.sampled_from(sources)), data.draw(st.sampled_from(sources))
    cut = data.draw(st.integers(0, min(len(first), 300)))
    for target in TARGETS:
        check((first[:cut] + second).encode(), "x", target)


def test_short_names_are_not_guessed_at() -> None:
    """Of five letters, a name that differs in one is as likely another word."""
    (short,) = check(b"print(Names)", "x.lua", "legacy")
    (long,) = check(b"print(Handler)", "x.lua", "legacy")
    assert (short.severity, long.severity) == ("note", "warning")
    assert "Handlers" in long.advice and "meant" not in short.advice
