"""Forms in which the programs of the network are written: bundles, wrappers, notices, assignments."""

# ruff: noqa: E501 — a line of Lua reads best in one piece

from __future__ import annotations

from dataclasses import dataclass

Step = str | dict[str, str]


@dataclass(frozen=True, slots=True)
class Case:
    """Steps in one process: a line of its owner, or a message of its owner (tags, and Data).

    Later cases find the state that earlier ones left.
    """

    name: str
    steps: tuple[Step, ...]


def case(name: str, *steps: Step) -> Case:
    return Case(name, steps)


def message(action: str, data: str = "", **tags: str) -> dict[str, str]:
    """A message; a `_` in a tag's name stands for `-`."""
    named = {name.replace("_", "-"): value for name, value in tags.items()}
    return {"Action": action, "Data": data, **named}


FORMS = [
    # How the files of a program come into one text.
    case(
        "form: modules in package.preload that require each other",
        """do local load = load
        package.preload['app.add'] = function(...) local name = ... return function(a, b) return a + b end, name end
        package.preload['app.twice'] = function(...) local add = require('app.add') return function(a) return add(a, a) end end
        end
        return require('app.twice')(21) .. type(package.loaded['app.twice'])""",
    ),
    case(
        "form: modules in package.loaded",
        """local function part() local M = {} function M.name() return 'part' end return M end
        _G.package.loaded['.app.part'] = part()
        local function whole() local part = require('.app.part') return { say = function() return 'whole ' .. part.name() end } end
        _G.package.loaded['.app.whole'] = whole()
        return require('.app.whole').say()""",
    ),
    case(
        "form: aos by its modules",
        "local ao = require('ao') return tostring(ao == _G.ao and ao.id == require('.ao').id)",
        "local json, base64 = require('json'), require('.base64') return json.encode({ x = base64.encode('a') })",
        "return type(require('.process').handle) .. type(require('.handlers').evaluate) .. type(require('.utils').curry)",
        'return tostring(require".bint"(512)(2) ^ 100)',
        "ao = ao or require('ao') json = json or require('json') return type(json.encode)",
    ),
    # How handlers are wrapped.
    case(
        "form: a function that adds handlers, and says what went wrong",
        """local function create(name, run)
          Handlers.add(name, Handlers.utils.hasMatchingTag('Action', name), function(msg)
            local ok, why = pcall(run, msg)
            if not ok then
              ao.send({ Target = msg.From, Action = 'Invalid-' .. name .. '-Notice', Tags = { Error = 'yes' }, Data = tostring(why):match('[^:]*$') })
            end
          end)
        end
        create('Buy', function(msg)
          assert(type(msg.Tags.Quantity) == 'string', 'no quantity')
          msg.reply({ Action = 'Bought', Quantity = msg.Tags.Quantity })
        end)""",
        message("Buy", Quantity="5"),
        message("Buy"),
        "Handlers.remove('Buy') return true",
    ),
    case(
        "form: xpcall around a handler",
        """local _ Handlers.add('Deep', 'Deep', function(msg)
          local ok, why = xpcall(function() return msg.Data.x.y end, function(error) return 'caught: ' .. type(error) end)
          print(tostring(ok) .. ' ' .. why)
        end)""",
        message("Deep", "text"),
        "Handlers.remove('Deep') return true",
    ),
    case(
        "form: a handler in front that goes on",
        """Ticks = 0
        Handlers.prepend('tick', function() return 'continue' end, function(msg)
          Ticks = Ticks + 1
          msg.Tags.Quantity = msg.Tags.Quantity and tonumber(msg.Tags.Quantity) or nil
          msg.Seen = true
        end)
        Handlers.add('Ask', { Action = 'Ask' }, function(msg)
          print(math.type(msg.Tags.Quantity) .. tostring(msg.Seen) .. Ticks)
        end)""",
        message("Ask", Quantity="7"),
        "Handlers.remove('tick') Handlers.remove('Ask') return Ticks > 0",
    ),
    case(
        "form: patterns of functions and of several values",
        """local _ Handlers.add('Many', { Action = { 'One', 'Two' }, Kind = function(kind) return kind == 'good' end },
          function(msg) print('many ' .. msg.Action) end)""",
        message("One", Kind="good"),
        message("Two", Kind="good"),
        message("Two", Kind="bad"),
        "Handlers.remove('Many') return true",
    ),
    case(
        "form: answers of Handlers.utils",
        """local _ Handlers.add('Hello', 'Hello', Handlers.utils.reply('hello back'))
        Handlers.add('Told', 'Told', Handlers.utils.reply({ Action = 'Told-Back', Data = 'x' }))
        Handlers.add('On', Handlers.utils.continue({ Action = 'Hello' }), function() print('on') end)""",
        message("Hello"),
        message("Told"),
        "Handlers.remove('Hello') Handlers.remove('Told') Handlers.remove('On') return true",
    ),
    case(
        "form: handlers looked up in the list",
        """Handlers.add('Look', 'Look', print)
        local found for i, one in ipairs(Handlers.list) do if one.name == 'Look' then found = one end end
        Handlers.remove('Look') Handlers.remove('Look')
        return found.name .. type(found.handle) .. tostring(found.maxRuns) .. type(found.pattern)""",
    ),
    # What they send.
    case(
        "form: a notice with tags in a map, and one in a list",
        """local to = ao.id
        ao.send({ Target = to, Action = 'Note', Tags = { ['X-Kind'] = 'map', Count = tostring(3) }, Data = require('json').encode({ a = { 1 } }) })
        ao.send({ Target = to, Tags = { { name = 'Action', value = 'Note' }, { name = 'X-Kind', value = 'list' } } })""",
    ),
    case(
        "form: reply where there is one",
        """local _ Handlers.add('Info', 'Info', function(msg)
          local told = { Name = 'N', Ticker = 'T', Denomination = '12' }
          if msg.reply then msg.reply(told) else told.Target = msg.From Send(told) end
        end)""",
        message("Info"),
        "Handlers.remove('Info') return true",
    ),
    case(
        "form: numbers and booleans in tags",
        "return Send({ Target = ao.id, Action = 'N', N = 7, F = 1.5, Yes = true, No = false }).output",
    ),
    case("form: a whole float in a tag", "return Send({ Target = ao.id, Fee = 4 / 2 }).output"),
    case("form: a number as Data", "return Send({ Target = ao.id, Data = 5 }).output"),
    case(
        "form: a table as Data",
        "return Send({ Target = ao.id, Action = 'N', Data = { list = { 1, { 2 } } } }).output",
    ),
    case(
        "form: state as a patch beside an answer",
        """Held = { a = '1' }
        Handlers.add('Move', 'Move', function(msg)
          msg.reply({ Action = 'Moved' })
          Send({ device = 'patch@1.0', balances = Held })
        end)""",
        message("Move"),
        "Handlers.remove('Move') return true",
    ),
    case(
        "form: a message to nobody",
        "Send({ Action = 'Stored', Data = 'x' }) return #ao.outbox.Messages",
    ),
    case(
        "form: the outbox and the reference",
        """local before = tonumber(ao.reference)
        ao.send({ Target = ao.id, Action = 'N' }) ao.send({ Target = ao.id, Action = 'N' })
        return tonumber(ao.reference) - before .. ' ' .. #ao.outbox.Messages .. ' ' .. #ao.outbox.Spawns""",
    ),
    case("form: a result of its own", "return ao.result({ Output = 'x' }).Output"),
    case(
        "form: a process that asks itself",
        """local _ Handlers.add('Self', 'Self', function(msg) msg.reply({ Data = 'from self' }) end)
        Handlers.add('Go', 'Go', function() Got = Send({ Target = ao.id, Action = 'Self' }).receive().Data end)""",
        message("Go"),
        "Got",
        "Handlers.remove('Self') Handlers.remove('Go') return true",
    ),
    # Assignments.
    case("form: an assignment", "ao.assign({ Processes = { 'P1', 'P2' }, Message = 'M' })"),
    case(
        "form: what may be assigned",
        """ao.addAssignable('mine', { Action = 'A' }) ao.addAssignable(function(m) return m.Action == 'B' end)
        local msg = { Action = 'A', Target = 'T' }
        return #ao.assignables .. tostring(ao.isAssignable(msg)) .. tostring(ao.isAssignable({ Action = 'C' })) .. tostring(ao.isAssignment(msg))""",
        "ao.removeAssignable('mine') ao.removeAssignable(1) return #ao.assignables",
        "ao.addAssignable(7)",
    ),
    # What they read.
    case(
        "form: what a message is made of",
        """local _ Handlers.add('Parts', 'Parts', function(msg)
          print(table.concat({ type(msg.Timestamp), type(msg['Block-Height']), type(msg.TagArray), type(msg.Tags), type(msg.Id),
            #msg.Id, tostring(msg.Cron), type(msg.Nonce), tostring(os.time() == msg.Timestamp), tostring(msg.Module == ao._module or msg.Module ~= nil) }, ' '))
        end)""",
        message("Parts"),
        "Handlers.remove('Parts') return true",
    ),
    case(
        "form: who is who",
        "return ao.env.Process.Owner == Owner and ao.env.Process.Id == ao.id and ao.env.Process.Tags.Name",
        "return tostring(ao.isTrusted({ From = Owner, Owner = Owner }))",
        "table.insert(ao.authorities, 'F') local said = tostring(ao.isTrusted({ From = 'P', Owner = 'F' })) table.remove(ao.authorities) return said",
    ),
    case(
        "form: JSON that came and goes",
        """local _ Handlers.add('Put', 'Put', function(msg)
          local put = require('json').decode(msg.Data)
          msg.reply({ Data = require('json').encode({ list = put.list, none = put.none == nil, empty = {}, text = 'é"' }).sub('', 1) == '' and 'x' or tostring(#put.list) })
        end)""",
        message("Put", '{"list":[1,2,3],"none":null}'),
        message("Put", "no json"),
        "Handlers.remove('Put') return true",
    ),
    *(
        case(f"form: json {line}", f"require('json').encode({line})")
        for line in (
            "{ 1, { a = 'b' }, {} }",
            "{ n = 0.1 }",
            "{ m = 1e21 }",
            "{ [1] = 'a', [2] = 'b' }",
            "{ s = 'tab\\t line\\n' }",
            "{ ['1'] = 'a' }",
            "{ 1, nil, 3 }",
            "{ [1] = 'a', x = 'b' }",
            "print",
            "1 / 0",
            "nil",
        )
    ),
    # Amounts.
    case(
        "form: amounts as bints in texts",
        """local bint = require('.bint')(256)
        local utils = { add = function(a, b) return tostring(bint(a) + bint(b)) end, subtract = function(a, b) return tostring(bint(a) - bint(b)) end,
          toBalanceValue = function(a) return tostring(bint(a)) end, toNumber = function(a) return bint.tonumber(a) end }
        return table.concat({ utils.add('99999999999999999999', '1'), utils.subtract('5', '7'), utils.toBalanceValue(12), utils.toNumber('15'),
          tostring(bint.__le(bint('3'), bint('4'))), tostring(bint.__lt(0, bint('0'))), tostring(bint.ispos and true), tostring(bint('7') // 2),
          tostring(bint.ult(1, 2)), tostring(bint.ipow(2, 70)), tostring(bint.isbint(5)), tostring(bint.zero()) }, ' ')""",
        "require('.bint')(256)('1.5')",
        "require('.bint')(256)('x')",
        "tostring(require('.bint')(256).tobase(255, 16))",
    ),
    case(
        "form: numbers",
        "math.floor('7.9') .. ' ' .. math.floor(-1.5) .. ' ' .. math.modf(3.7) .. ' ' .. math.max(1, 2.5)",
        "tostring(tonumber('0x10')) .. tostring(tonumber('1e3')) .. tostring(tonumber('')) .. tostring(tonumber('5 '))",
        "math.floor('x')",
        "tostring(math.tointeger('8')) .. tostring(3 | 0) .. 7 // 2 .. string.format('%.2f %d', 1 / 3, 3.0)",
        "string.format('%d', 3.5)",
        "'10' + 5",
        "10 .. ''",
    ),
    # Tables and texts.
    case(
        "form: a page of a sorted table",
        """local rows = {} for i = 1, 12 do rows[i] = { name = 'n' .. i % 5, at = i } end
        table.sort(rows, function(a, b) if a.name == b.name then return a.at < b.at end return a.name < b.name end)
        local page = {} for i = 3, 6 do page[#page + 1] = rows[i].name .. rows[i].at end
        return table.concat(page, ',')""",
    ),
    case(
        "form: a deep copy with metatables",
        """local function copy(of, seen) if type(of) ~= 'table' then return of end if seen[of] then return seen[of] end
          local made = {} seen[of] = made for k, v in next, of, nil do made[copy(k, seen)] = copy(v, seen) end return setmetatable(made, getmetatable(of)) end
        local one = setmetatable({ a = { b = 1 } }, { __index = { c = 2 }, __tostring = function() return 'one' end }) one.self = one
        local two = copy(one, {}) two.a.b = 9
        return one.a.b .. two.a.b .. two.c .. tostring(two) .. tostring(two.self == two)""",
    ),
    case(
        "form: texts",
        "local parts = {} for part in string.gmatch(' a, b ,c', '[^,]+') do parts[#parts + 1] = part:match('^%s*(.-)%s*$') end return table.concat(parts, '|')",
        "return (('someTag-name'):gsub('(%a)([%w_]*)', function(a, b) return a:upper() .. b:lower() end))",
        "string.find('abc_DEF-123', '^[%w_-]+$') and #('x'):rep(43)",
        "tostring(('x'):byte()) .. ('%x'):format(255) .. ('a'):lower():upper() .. select('#', ('a b'):gsub(' ', ''))",
        "utf8 and utf8.len('é€') .. ' ' .. #'é€'",
    ),
    case(
        "form: Utils",
        "Utils.curry(function(a, b) return a + b end, 2)(1)(2)",
        "Utils.concat({ 1 }, { 2 })[2] .. #Utils.keys({ a = 1, b = 2 }) .. Utils.prop('a')({ a = 'p' })",
        "tostring(Utils.includes('b', { 'a', 'b' })) .. tostring(Utils.find(function(x) return x > 9 end, { 1 }))",
        "Utils.reduce(function(sum, x) return sum + x end)(0)({ 1, 2, 3 })",
        "Utils.map(1, 2)",
    ),
    case(
        "form: code that is loaded",
        "return load('return 1 + 1')() .. load('x = ... return x', 'chunk', 't', {})('y')",
        "return select(2, load('return +', '=chunk'))",
        "local env = setmetatable({}, { __index = _G }) load('y = 5 z = tostring(y)', 'c', 't', env)() return tostring(_G.z) .. env.z",
    ),
    case(
        "form: coroutines",
        """local made = coroutine.create(function(a) local b = coroutine.yield(a + 1) return b * 2 end)
        local _, first = coroutine.resume(made, 1) local _, second = coroutine.resume(made, 10)
        return first .. ' ' .. second .. ' ' .. coroutine.status(made) .. ' ' .. select(2, coroutine.resume(made)) .. ' ' .. type(coroutine.running())""",
    ),
    case(
        "form: a class",
        """local Queue = {} Queue.__index = Queue
        function Queue.new() return setmetatable({ first = 1, last = 0 }, Queue) end
        function Queue:push(v) self.last = self.last + 1 self[self.last] = v return self end
        function Queue:pop() local v = self[self.first] self[self.first] = nil self.first = self.first + 1 return v end
        local q = Queue.new():push('a'):push('b') return q:pop() .. q:pop() .. tostring(q:pop())""",
    ),
    case(
        "form: goto continue",
        "local seen = {} for i = 1, 6 do if i % 2 == 0 then goto continue end seen[#seen + 1] = i ::continue:: end return table.concat(seen)",
    ),
    case(
        "form: state that is there already",
        "Settings = Settings or { fee = 1 } Settings.fee = Settings.fee + 1",
        "Settings = Settings or { fee = 1 } return Settings.fee",
        "if not Never then Never = 'now' end return Never",
    ),
    case(
        "form: a strict environment",
        """setmetatable(_G, { __index = function(_, name) error('unknown name ' .. name, 2) end })
        local ok, why = pcall(function() return NoSuchName end) setmetatable(_G, nil)
        return tostring(ok) .. why:match('unknown name %w+')""",
    ),
    case(
        "form: a traceback", "local function here() return debug.traceback('x') end return here()"
    ),
    case("form: where a function stands", "return debug.getinfo(function() end).short_src"),
]
