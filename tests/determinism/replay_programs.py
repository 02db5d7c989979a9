"""Programs for the replay-equality harness: messages for one process, drawn by hypothesis.

Each piece of Lua works on a few globals (`a` to `d`, tables, and what other pieces left there), so
that pieces meet each other's state, and prints what plain Lua would leave to chance.

What is not drawn, because no rule holds there (see `order.lua`): the length of tables with holes
from whose hash part keys were removed, and whether two closures of one function, made without
upvalues of their own, are the same object.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from hypothesis import strategies as st
from replay_runner import OWNER, PROCESS, TAGS

Draw = Callable[[st.SearchStrategy[Any]], Any]

TABLES = "abcd"
table = st.sampled_from(TABLES)
small = st.integers(0, 12)
scalar = st.sampled_from(
    ["1", "2", "3", "7", "-1", "0", "2.5", "1e100", "-0.0", "2^53", "math.maxinteger", "1/0",
     "'x'", "'y'", "'Zz'", "'\\0'", "'\\xff'", "true", "false"]
)  # fmt: skip
word = st.text("abcxyzABC_019", min_size=1, max_size=6)


def choice(draw: Draw, options: Sequence[str]) -> str:
    picked: str = draw(st.sampled_from(options))
    return picked


def show(name: str) -> str:
    """Lua that prints all of a table in traversal order; keys of any kind."""
    return (
        f"for k, v in pairs({name}) do print(tostring(k) .. '=' .. tostring(v)) end "
        f"print('#' .. #{name})"
    )


# Pieces --------------------------------------------------------------------------------------


def holes(draw: Draw) -> str:
    t, size = draw(table), draw(st.integers(1, 20))
    gone = draw(st.lists(st.integers(1, size), max_size=6))
    later = draw(st.lists(st.integers(1, 40), max_size=6))
    build = draw(
        st.sampled_from(
            [
                f"{t} = {{{', '.join(str(i) for i in range(1, size + 1))}}}",
                f"{t} = {{}} for i = 1, {size} do {t}[i] = i end",
                f"{t} = {{}} for i = {size}, 1, -1 do {t}[i] = i end",
                f"{t} = table.pack(table.unpack({{}}, 1, {size})) {t}.n = nil",
            ]
        )
    )
    removed = " ".join(f"{t}[{i}] = nil" for i in gone)
    # Keys beyond the list are only ever added.
    added = " ".join(f"{t}[{i}] = 'new'" for i in later)
    return f"{build} {removed} print(#{t}) {added} {show(t)}"


def grow(draw: Draw) -> str:
    t, count = draw(table), draw(st.integers(1, 30))
    return f"for i = 1, {count} do {t}[#{t} + 1] = i * {draw(small)} end {show(t)}"


def set_key(draw: Draw) -> str:
    t, key, value = draw(table), draw(scalar), draw(scalar)
    return f"{t}[{key}] = {value} {show(t)}"


def many_strings(draw: Draw) -> str:
    t, count, step = draw(table), draw(st.integers(20, 60)), draw(st.integers(1, 7))
    prefix = draw(word)
    return (
        f"for i = 1, {count} do {t}['{prefix}' .. (i * {step} % 61)] = i end "
        f"local n = 0 for k, v in pairs({t}) do n = n + 1 if n % 9 == 0 then print(k) end end"
    )


def delete_in_loop(draw: Draw) -> str:
    t, every = draw(table), draw(st.integers(1, 4))
    new = draw(st.booleans())
    add = f"{t}['added' .. n] = n" if new else ""
    return (
        f"local n = 0 for k, v in pairs({t}) do n = n + 1 print(k) "
        f"if n % {every} == 0 then {t}[k] = nil {add} end end"
    )


def walk_next(draw: Draw) -> str:
    t, key = draw(table), draw(scalar)
    return (
        f"print(tostring(next({t}, {key}))) local k, n = nil, 0 "
        f"repeat k = next({t}, k) n = n + 1 "
        f"if n == {draw(small)} and k ~= nil then {t}[k] = nil end print(tostring(k)) "
        "until k == nil or n > 200"
    )


def object_keys(draw: Draw) -> str:
    t, count = draw(table), draw(st.integers(1, 5))
    made = draw(
        st.sampled_from(
            ["{ i }", "function() return i end", "coroutine.create(function() return i end)",
             "setmetatable({ i }, { __tostring = function(o) return 'object ' .. o[1] end })",
             "{}", "setmetatable({}, { __eq = function() return true end })"]
        )
    )  # fmt: skip
    early = draw(st.sampled_from(["", "print(tostring(o))", "if i % 2 == 0 then tostring(o) end"]))
    return f"for i = 1, {count} do local o = {made} {early} {t}[o] = i end {show(t)}"


def twins(draw: Draw) -> str:
    """Keys that nothing tells apart but the name under which they are known elsewhere."""
    t, count = draw(table), draw(st.integers(2, 5))
    order = draw(st.permutations(range(1, count + 1)))
    fill = " ".join(f"{t}[Twins[{i}]] = true" for i in order)
    return (
        f"Twins = {{}} for i = 1, {count} do Twins[i] = {{}} end {fill} "
        f"for k in pairs({t}) do for i = 1, {count} do if k == Twins[i] then print(i) end end end"
    )


def twin_locals(draw: Draw) -> str:
    made = draw(st.sampled_from(["{}", "{ {} }", "coroutine.create(print)"]))
    return (
        f"local x, y, z = {made}, {made}, {made} "
        "for k in pairs({ [y] = 1, [x] = 1, [z] = 1 }) do "
        "print(k == x and 'x' or k == y and 'y' or 'z') end"
    )


def serials(draw: Draw) -> str:
    t = draw(table)
    return f"Seen = {{}} print(Seen) print(tostring({t}) .. string.format('%s', print))"


def sort_ties(draw: Draw) -> str:
    count, ties = draw(st.integers(2, 700)), draw(st.integers(1, 9))
    compare = draw(
        st.sampled_from(["x.k < y.k", "x.k > y.k", "x.k <= y.k", "true", "x.k ~= y.k", "nil"])
    )
    return (
        f"local l = {{}} for i = 1, {count} do l[i] = {{ k = i * 7 % {ties}, i = i }} end "
        f"print(tostring((pcall(table.sort, l, function(x, y) return {compare} end)))) "
        "local s = 0 for i, e in ipairs(l) do s = (s * 31 + e.i) % 1000003 end print(s)"
    )


def sort_mixed(draw: Draw) -> str:
    items = ", ".join(draw(st.lists(scalar, max_size=8)))
    return (
        f"local l = {{ {items} }} local ok, why = pcall(table.sort, l) print(tostring(why)) "
        "for i, v in ipairs(l) do print(tostring(v)) end"
    )


def closures(draw: Draw) -> str:
    start = draw(small)
    return choice(
        draw,
        [
            f"local n = {start} Up = function() n = n + 1 return n end "
            "Down = function() n = n - 1 return n end",
            "if Up then print(Up() + Up() - Down()) end",
            f"local shared = {{ {start} }} F = {{}} "
            "for i = 1, 3 do F[i] = function(x) shared[1] = shared[1] + i + x "
            "return shared[1] end end",
            f"if F then print(F[1]({start}) .. F[2](1) .. F[3](2)) end",
            "local function self(n) return n == 0 and 0 or n + self(n - 1) end Rec = self",
            f"if Rec then print(Rec({start})) end",
            "Gen = load('local x = ... return function() x = x + 1 return x end')(1)",
            "if Gen then print(Gen() .. ' ' .. Gen()) end",
        ],
    )


def metatables(draw: Draw) -> str:
    t = draw(table)
    field = draw(
        st.sampled_from(
            ["__index = function(_, k) return tostring(k) .. '!' end",
             "__newindex = function(o, k, v) rawset(o, k, v) print('set ' .. tostring(k)) end",
             "__len = function() return 42 end", "__call = function(_, x) return x end",
             "__name = 'Named'", "__metatable = 'locked'",
             "__pairs = function(o) return function(_, k) if not k then return 1, o end end, o end"]
        )
    )  # fmt: skip
    use = draw(st.sampled_from([f"print(tostring({t}.zz))", f"{t}.new = 1", f"print(#{t})"]))
    return (
        f"if type(getmetatable({t})) ~= 'string' then setmetatable({t}, {{ {field} }}) end {use} "
        f"Objects = Objects or {{}} Objects[#Objects + 1] = {t} {t} = {{}}"
    )


def coroutines(draw: Draw) -> str:
    return choice(
        draw,
        [
            "Co = coroutine.create(function(x) while true do x = coroutine.yield(x + 1) "
            "end end) print(tostring(coroutine.resume(Co, 1)))",
            "if Co then print(tostring(select(2, coroutine.resume(Co, 5)))) end",
            "Co = coroutine.create(function() error({ 'boom' }) end) coroutine.resume(Co)",
            "Co = nil",
            "for k in coroutine.wrap(function() for k in pairs({ z = 1, y = 2, [3] = 4 }) do "
            "coroutine.yield(k) end end) do print(k) end",
            "local r = Receive({ Action = 'Ping' }) print('got ' .. r.From) a.last = r.Data",
            "local r = Receive(function(m) return m.Data == 'x' end) print(#Inbox)",
            "Held = coroutine.running() print(tostring(coroutine.yield()))",
            "if Held then print(tostring(coroutine.resume(Held, 'on'))) end",
            "Iterator, State = pairs(a)",
            "Iterator = nil",
            "Wrapped = coroutine.wrap(function() coroutine.yield(1) end) print(Wrapped())",
            "Wrapped = nil",
        ],
    )


def failing(draw: Draw) -> str:
    t = draw(table)
    how = draw(
        st.sampled_from(
            ["error('boom')", "error({ 1, 2, x = {} })", "error(setmetatable({}, { __tostring = "
             "function() return 'shown' end }))", "local x = nil .. 'y'", "error()", "error(print)",
             "local function f() return f() + 1 end f()", "string.rep(1, -1, {})()",
             "table.sort({ 3, 'x', {} })", "setmetatable(1, {})", "next(1)", "a.b.c.d()"]
        )
    )  # fmt: skip
    caught = draw(st.booleans())
    body = f"{t}.half = ({t}.half or 0) + 1 {how} {t}.whole = 1"
    if caught:
        return f"local ok, why = pcall(function() {body} end) print(tostring(why))"
    return body


def handlers(draw: Draw) -> str:
    name, action = (
        draw(st.sampled_from(["h1", "h2", "h3"])),
        draw(st.sampled_from(["Ping", "Pong"])),
    )
    body = draw(
        st.sampled_from(
            ["print(m.Data) Count = (Count or 0) + 1", "m.reply({ Data = tostring(Count) })",
             "Count = -1 error('handler')", "Inbox[#Inbox + 1] = m", "Handlers.remove('h2')",
             "Send({ Target = m.From, Action = 'Echo', Data = m.Data, ['X-' .. #Inbox] = 'y' })",
             "local r = Receive({ Action = 'Pong' }) print(r.Id)", "while true do end",
             "print(m) for k in pairs(m.Tags) do print(k) end"]
        )
    )  # fmt: skip
    add = draw(st.sampled_from(["add", "once", "prepend", "append"]))
    return choice(draw, [f"Handlers.{add}('{name}', '{action}', function(m) {body} end)",
             f"Handlers.remove('{name}')",
             "for i, h in ipairs(Handlers.list) do print(h.name) end"])  # fmt: skip


def host_things(draw: Draw) -> str:
    return choice(draw, [
                "print(math.random()) print(math.random(10)) print(math.random(3, 9))",
                "print(os.time()) print(os.date()) print(os.clock())",
                "print(collectgarbage('count')) collectgarbage()",
                "for k in pairs(_G) do if #k < 5 then print(k) end end",
                "for k, v in pairs(string) do print(k) end",
                "print(tostring(print) .. tostring(Handlers) .. tostring(coroutine.running()))",
                "math.floor = nil", "string.shout = string.upper print(('x'):shout())",
                "Inbox = {}", "Inbox[2] = nil print(#Inbox)", "Errors[3] = 'e' print(#Errors)",
                "print(Errors)", "print(Inbox[#Inbox])", "print(debug.traceback('here'))",
                "Name = 'other'", "Prompt = function() return 'p' .. #Inbox end",
                "Prompt = nil", "ao.send = nil", "Colors.red = nil", "Utils = nil",
                "return { 1, 2, { a = 1, b = {} } }", "return _G.a", "print(Handlers.list)",
                "Spawn('MODULE-ID', { Tags = { A = 'b' } })", "Assign({ Processes = { 'P' }, "
                "Message = 'M' })", "Send({ Target = 'T', Data = 'd', A = 'b', C = 'd' })",
            ])  # fmt: skip


def structures(draw: Draw) -> str:
    t, u = draw(table), draw(table)
    return choice(draw, [f"{t}.self = {t} {t}.other = {u}", f"{t} = {{}} {u}.child = {t}",
             f"{t}[{t}] = {u}", f"{u} = {t}", f"{t} = nil {t} = {{ {u} }}",
             f"{t} = {{ text = string.rep('long ', 30), bytes = '\\0\\1\\xfe' }}",
             f"table.insert({u}, 1, 'first') table.remove({t}) {show(t)}",
             f"print(json.encode({{ z = 1, a = {{ 1, 2 }}, m = #{t} }}))"])  # fmt: skip


ENDLESS = "a.half = 1 while true do end"
OUT_OF_MEMORY = (
    "a.half = 2 local t = {} pcall(function() for i = 1, 1e9 do t[i] = { i } end end) print('no')"
)

PIECES = [
    holes, grow, set_key, many_strings, delete_in_loop, walk_next, object_keys, twins, twin_locals,
    serials, sort_ties, sort_mixed, closures, closures, metatables, coroutines, failing, handlers,
    handlers, host_things, host_things, structures,
]  # fmt: skip


# Messages ------------------------------------------------------------------------------------


def message(index: int, source: str, data: str, *tags: str) -> list[Any]:
    ident = PROCESS if index == 0 else f"MESSAGE-{index}"
    moment = 1_700_000_000_000 + 1000 * index
    return [ident, source, source, PROCESS, data, "", moment, 100 + index, index, f"chain-{index}",
            False, False, *tags]  # fmt: skip


def first() -> list[Any]:
    return message(0, OWNER, "", *TAGS)


def evaluation(index: int, code: str) -> list[Any]:
    return message(index, OWNER, code, "Action", "Eval")


@st.composite
def chunks(draw: Draw) -> str:
    """One to three pieces of Lua, each in a block of its own."""
    pieces = draw(st.lists(st.sampled_from(PIECES), min_size=1, max_size=3))
    return " ".join(f"do {piece(draw)} end" for piece in pieces)


@st.composite
def programs(draw: Draw, *, stopped: bool) -> list[list[Any]]:
    """Messages for a process, its definition first. `stopped`: with endless and greedy ones."""
    messages = [first(), evaluation(1, "a, b, c, d = {}, {}, {}, {}")]
    for index in range(2, 2 + draw(st.integers(2, 9))):
        kind = draw(st.integers(0, 9))
        if kind < 7:
            messages.append(evaluation(index, draw(chunks())))
        elif kind < 9 or not stopped:
            action = draw(st.sampled_from(["Ping", "Pong", "Other"]))
            source = draw(st.sampled_from(["FRIEND-1", "FRIEND-2", OWNER]))
            data = draw(st.sampled_from(["x", "", '{"json": [1, 2]}']))
            messages.append(message(index, source, data, "Action", action, "Tag", "value"))
        else:
            messages.append(evaluation(index, draw(st.sampled_from([ENDLESS, OUT_OF_MEMORY]))))
    return messages
