"""Lines and messages that every aos answers, and which answers of ours are different on purpose."""

# ruff: noqa: E501 — a line of Lua reads best in one piece

from __future__ import annotations

from aos_forms import FORMS, Case, case, message
from aos_lines import CUT, ERRORS, MODULES, VALUES

from aoshell.blueprints import SHIPPED

__all__ = ["BLUEPRINTS", "CASES", "DIFFERENT", "OLDER", "Case"]

# Texts that are no JSON, most of them cut off.
CASES = [
    *FORMS,
    *(case(f"value: {line}", line) for line in VALUES),
    *(case(f"module: {line}", line) for line in MODULES),
    *(case(f"error: {line}", line) for line in ERRORS),
    case("print: several", "print('a') print('b') return 'c'"),
    case("print: values", "print(1)", "print(true)", "print({1})", "print(nil)", "print('a', 'b')"),
    case("print: before an error", "print('seen') error('then')"),
    case("two values", "return 1, 2"),
    case("error: a table", "error({code = 7})"),
    case("error: nothing", "error()"),
    case(
        "handlers: their order",
        """Handlers.add('one', 'Go', function() print('one') end)
        Handlers.prepend('two', 'Go', function() print('two') end)
        Handlers.append('three', function(m) return m.Action == 'Go' and 'continue' or 'skip' end,
          function() print('three') end)
        local names = {} for i, h in ipairs(Handlers.list) do names[i] = h.name end
        return table.concat(names, ' ')""",
        message("Go"),
        "Handlers.remove('two')",
        message("Go"),
        "Handlers.remove('one')",
        message("Go"),
        "Handlers.remove('three')",
    ),
    case(
        "handlers: once and maxRuns",
        "Handlers.once('rare', 'Rare', function() print('rare') end)",
        message("Rare"),
        message("Rare"),
        "Handlers.add('twice', 'Twice', function() print('twice') end, 2)",
        message("Twice"),
        message("Twice"),
        message("Twice"),
    ),
    case(
        "handlers: tables",
        """Handlers.add('spec', { Action = 'Spec', N = '%d+' }, {
          [{ N = '1' }] = function() print('first') end,
          [{ N = '2' }] = function() print('second') end })""",
        message("Spec", N="1"),
        message("Spec", N="2"),
        message("Spec", N="x"),
        "Handlers.remove('spec')",
    ),
    case(
        "handlers: before and after",
        """Handlers.add('mid', 'Mid', print)
        Handlers.before('mid').add('pre', 'Mid', print)
        Handlers.after('mid').add('post', 'Mid', print)
        local names = {} for i, h in ipairs(Handlers.list) do names[i] = h.name end
        Handlers.remove('mid') Handlers.remove('pre') Handlers.remove('post')
        return table.concat(names, ' ')""",
    ),
    case(
        "handlers: one that raises",
        "Handlers.add('bad', 'Bad', function() Half = 1 error('in a handler') end)",
        message("Bad"),
        "Handlers.remove('bad')",
        "tostring(Half)",
    ),
    case(
        "messages: fields and tags",
        """Handlers.add('show', 'Show', function(m)
          print(table.concat({ m.Action, m.Data, m.From, m.Owner, m.Target, m.Tags.Action,
            m.Lower_case or '-', m['Lower-Case'] or '-', m['X-Y'] or '-' }, '|')) end)""",
        message("Show", "body", **{"lower-case": "v", "x-y": "w"}),
        "Handlers.remove('show')",
    ),
    case(
        "handlers: the case of values",
        """Handlers.add('title', { Action = 'Cased' }, function() print('in any case') end)
        Handlers.add('lower', { Action = 'cased' }, function() print('in lower case') end)""",
        message("cased"),
        "Handlers.remove('title')",
        "Handlers.remove('lower')",
    ),
    case(
        "handlers: what patterns answer",
        """Kinds = { run = -1, go = 1, skip = 0, yes = true, no = false, stop = 'break',
          on = 'continue', other = 'word', off = 'skip' }
        Handlers.add('kinds', function(m) return Kinds[m.Kind or ''] or 0 end,
          function(m) print('kinds ' .. m.Kind) end)""",
        *(
            message("Kinds", Kind=kind)
            for kind in ("run", "go", "skip", "yes", "no", "stop", "on", "other", "off")
        ),
        "Handlers.remove('kinds')",
        "#Inbox",
    ),
    case(
        "handlers: a pattern that answers nothing",
        """Handlers.add('nothing', function(m) if m.Action ~= 'Odd' then return false end end,
          print)""",
        message("Odd"),
        "Handlers.remove('nothing')",
        "Handlers.list[1].name",
    ),
    case(
        "handlers: a pattern that raises",
        """Handlers.add('raises', function(m) return m.Action == 'Odd' and error('odd') end,
          print)""",
        message("Odd"),
        "Handlers.remove('raises')",
    ),
    case(
        "handlers: in place of one another",
        """Handlers.add('same', 'Same', function() print('old') end)
        Handlers.add('same', 'Same', function() print('new') end)""",
        message("Same"),
        "Handlers.remove('same')",
    ),
    case(
        "trust: a sender who is not who signed",
        {"Action": "Forged", "From-Process": "F" * 43, "Data": "x"},
        "#Inbox",
    ),
    case("messages: into the Inbox", message("Unheard", "kept"), "Inbox[#Inbox].Data"),
    case("messages: without Action", {"Data": "plain text"}, "Inbox[#Inbox].Data"),
    case(
        "messages: JSON",
        {"Action": "Json", "Content-Type": "application/json", "Data": '{"a":[1,2]}'},
        "type(Inbox[#Inbox].Data)",
    ),
    case("messages: an Eval that fails", message("Eval", "error('in eval')")),
    case("module: .json", "(pcall(require, '.json'))"),
    case(
        "module: math of Lua 5.2",
        """local out = {} for _, x in ipairs({ 0.75, -3, 1e-9, 12.5, '7' }) do
          for _, name in ipairs({ 'cosh', 'sinh', 'tanh' }) do
            out[#out + 1] = string.format('%.12g', math[name](x))
          end
          local fraction, exponent = math.frexp(x)
          out[#out + 1] = table.concat({ fraction, exponent, math.ldexp(x, -1070), math.pow(x, 3),
            math.log10(math.abs(x)), math.atan2(x, -1) }, ' ')
        end return table.concat(out, '; ')""",
    ),
    case(
        "error: math of Lua 5.2",
        """local out = {} for _, call in ipairs({ "pow()", "pow(1, {})", "ldexp(1, 0.5)", "frexp(nil)",
            "cosh('x')", "log10(true)" }) do
          out[#out + 1] = select(2, pcall(load("math." .. call, "=x")))
        end return table.concat(out, '; ')""",
    ),
    case(
        "math of Lua 5.2: exact",
        """local said = {} for _, x in ipairs({ 0, 1, -3, 10, 0.1, 1e300, 5e-324, 1 / 0 }) do
          local part, exponent = math.frexp(x)
          said[#said + 1] = ('%.17g %.17g'):format(part, x == 1 / 0 and 0 or exponent)
          for _, by in ipairs({ -1100, -1060, -3, 0, 5, 1000 }) do
            said[#said + 1] = ('%.17g'):format(math.ldexp(x, by)) end
          said[#said + 1] = math.pow(x, 2) .. ' ' .. math.log10(x * x) .. ' ' .. math.atan2(x) end
        return table.concat(said, ' ')""",
    ),
    case(
        "math of Lua 5.2: 14 digits",
        """local said = {} for x = -8, 8, 0.37 do for _, name in ipairs({ 'cosh', 'sinh', 'tanh' }) do
          said[#said + 1] = math[name](x) .. ' ' .. math[name](x * 100) end
          said[#said + 1] = math.pow(1.7, x) .. ' ' .. math.log10(x * x) .. ' ' .. math.atan2(x, 3) end
        return table.concat(said, ' ')""",
    ),
    case(
        "package: texts",
        "package.path = package.path .. ';x' package.cpath = package.cpath .. ';x'",
        "type(package.path) .. type(package.cpath)",
    ),
    case(
        "sort: elements that differ",
        """local list = {} for i = 1, 120 do list[i] = { key = i * 37 % 121 } end
        table.sort(list, function(a, b) return a.key < b.key end)
        for i, one in ipairs(list) do list[i] = one.key end return table.concat(list, ' ')""",
    ),
    case(
        "sort: equal elements",
        """local out = {} for _, n in ipairs({ 2, 3, 9, 120, 256, 257, 700 }) do
          local list, sum = {}, 0 for i = 1, n do list[i] = { key = i * 37 % 11, at = i } end
          table.sort(list, function(a, b) return a.key < b.key end)
          for i, one in ipairs(list) do sum = (sum * 31 + one.at) % 1000003 end
          out[#out + 1] = sum
        end return table.concat(out, ' ')""",
    ),
    case(
        "sort: an order that is none",
        """local out = {} for _, n in ipairs({ 1, 2, 3, 4, 90, 400 }) do
          local list = {} for i = 1, n do list[i] = i end
          local ok, why = pcall(table.sort, list, function() return true end)
          out[#out + 1] = tostring(ok) .. ' ' .. tostring(why)
        end return table.concat(out, '; ')""",
    ),
    case(
        "sort: many lists with equal elements, also of a metatable",
        """local said, seed = {}, 1
        for count = 1, 250, 7 do
          local list = {} for i = 1, count do seed = (seed * 1103515245 + 12345) % 2147483648
            list[i] = { key = seed // 65536 % (count // 5 + 2), at = i } end
          if count % 2 == 0 then setmetatable(list, {}) end
          table.sort(list, function(a, b) return a.key < b.key end)
          for i, one in ipairs(list) do list[i] = one.at end
          said[count // 7 + 1] = table.concat(list, ' ')
        end return table.concat(said, ',')""",
    ),
    case("error: bit32.band({})", "bit32.band({})"),
    case(
        "error: a reply that is a text",
        """Handlers.add('text', 'Text', function(m)
          local _, problem = pcall(m.reply, 'x') print((problem:gsub('^.-%d: ', ''))) end)""",
        message("Text"),
        "Handlers.remove('text')",
    ),
    case(
        "error: a handler without a handle",
        "Handlers.add('none', 'None', nil)",
        "Handlers.remove('none')",
    ),
    case(
        "globals: functions put into aos's tables",
        """Kept = { list = Handlers.list, evaluate = Handlers.evaluate, send = ao.send }
        Handlers.list = { table.unpack(Handlers.list) }
        Handlers.evaluate = function(m, e) print('evaluates') return Kept.evaluate(m, e) end
        ao.send = function(m) m.Extra = 'more' return Kept.send(m) end
        Handlers.add('in', 'In', function(m) m.reply({ Data = 'x' }) end)""",
        message("In"),
        "Handlers.list, Handlers.evaluate, ao.send = Kept.list, Kept.evaluate, Kept.send",
    ),
    case(
        "globals: Handlers, replaced as a whole",
        """Handlers.add('whole', 'Whole', function() print('aos') end)
        Kept = Handlers
        Handlers = setmetatable({}, { __index = Kept })
        Handlers.evaluate = function() Handlers = Kept print('the script') end""",
        message("Whole"),
        "Handlers = Kept Handlers.remove('whole')",
    ),
    case(
        "send: its tags",
        "#ao.send({Target = 'T', Action = 'A', N = 7, Tags = {B = 'c'}, Data = 'd'}).Tags",
    ),
    case("send: Send", "Send({Target = 'T', Data = 'd'}).output"),
    case("send: without Target", "Send({Data = 'd'}).output"),
    case("send: a table as Data", "Send({Target = 'T', Data = {1, 2}}).output"),
    case("spawn: its tags", "ao.spawn('MODULE', {Tags = {Name = 'child'}, Data = 'code'}).Data"),
    case("assign", "Assign({Message = 'M', Processes = {'P'}})"),
    case(
        "reply and forward",
        """Handlers.add('ask', 'Ask', function(m) m.reply({Data = 'answer', N = m.N})
          m.forward('ELSE', {Added = 'yes'}) end)""",
        message("Ask", "question", N="3", X_Note="kept"),
        "Handlers.remove('ask')",
    ),
    case(
        "receive",
        """Handlers.add('waits', 'Waits', function(m) local got = Receive({Action = 'Now'})
          print('got ' .. got.Data) end)""",
        message("Waits"),
        message("Now", "it"),
        "Handlers.remove('waits')",
    ),
    case("randomness", "math.random(1000000)", "math.random() < 1", "type(math.random(5, 6))"),
    case("time", "type(os.time())", "os.date('!%Y', 0)"),
    case("send: what it returns", "type(ao.send({Target = 'T', N = 7}).Tags[5].value)"),
    case(
        "globals: which there are",
        """local found = {}
        local names = 'ao Handlers Utils Dump json base64 bit32 apm Colors Bell Tab Inbox Errors'
          .. ' Seeded Send Spawn Receive Assign Prompt Version Owner Name Members'
        for name in string.gmatch(names, '%w+') do
          if _G[name] ~= nil then found[#found + 1] = name end
        end
        return table.concat(found, ' ')""",
    ),
    case("globals: Errors", "#Errors"),
    case("globals", "Name", "Owner", "type(Colors.red)", "Version()", "type(Tab)", "Bell"),
    case(
        "self", "ao.id", "ao.env.Process.Id", "ao.env.Process.Tags.Name", "type(ao.outbox.Messages)"
    ),
    case("prompt", "Prompt()"),
    *(
        case(
            f"json: {text!r}",
            f"""local ok, said = pcall(require('json').decode, [==[
{text}]==])
            return ok and tostring(said) or said:match(': (.*)$')""",
        )
        for text in CUT
    ),
    case("send: a patch", "Send({ device = 'patch@1.0', balances = { a = '1' } }).output"),
    case(
        "send: a list in a tag",
        "ao.send({ Target = 'T', Assignments = { 'p1', 'p2' } }).Target",
        """for _, tag in ipairs(ao.send({ Target = 'T', Assignments = { 'p1', 'p2' } }).Tags) do
          if tag.name == 'Assignments' then return tag.value[2] end
        end""",
    ),
    case("send: a table in Tags", "ao.send({ Target = 'T', Tags = { Map = { a = 1 } } }).Target"),
    case(
        "send: a boolean, as it comes back",
        """for _, tag in ipairs(ao.send({ Target = 'T', Flag = true }).Tags) do
          if tag.name == 'Flag' then return type(tag.value) end
        end""",
    ),
    case(
        "require: preload",
        """package.preload['lib.answer'] = function(name) return { value = 42, name = name } end
        local lib = require('lib.answer')
        return lib.value .. lib.name .. tostring(require('lib.answer') == lib)""",
    ),
    case("require: none", "require('nope')"),
    case("require: nothing", "require()"),
    case(
        "package",
        "package.config",
        "type(package.preload)",
        "tostring(package.loaded.package == package)",
    ),
    case(
        "package: searchers",
        """table.insert(package.searchers, 2, function(name)
          if name == 'found.here' then return function(n, extra) return n .. extra end, '!' end
        end)
        return require('found.here')""",
    ),
    case("os.getenv", "tostring(os.getenv('NO_SUCH_VARIABLE'))", "os.getenv({})"),
    case(
        "libraries: which there are",
        "type(io) .. type(loadfile) .. type(string.dump) .. type(debug.getlocal)",
    ),
    case("globals: HANDLER_PRINT_LOGS", "type(HANDLER_PRINT_LOGS)"),
    *(
        case(f"place: {line}", line)
        for line in (
            "string.format('%d', 'x')",
            "('%d'):format('x')",
            "setmetatable(nil, {})",
            "coroutine.resume(nil)",
            "os.date('%Y', 'x')",
            "load(nil)",
            "error('x', 2)",
            "tostring()",
            "for _ in pairs(nil) do end",
            "return select(2, pcall(string.rep))",
            "coroutine.wrap(function() error('in') end)()",
            "return select(2, pcall(error, 'not enough memory', 0))",
            "table.sort({ 1, 'x' })",
            "return select('#', pcall(table.unpack, {}, 1, 100000))",
            "next({}, 'x')",
        )
    ),
]


def _loaded(name: str) -> str:
    return (SHIPPED / f"{name}.lua").read_text(encoding="utf-8")


BLUEPRINTS = [
    case(
        "token",
        _loaded("token"),
        message("Mint", Quantity="1000"),
        message("Balances"),
        message("Transfer", Quantity="10", Recipient="R" * 43, X_Memo="rent"),
        message("Transfer", Quantity="10.5", Recipient="R" * 43),
        message("Info"),
        message("Balance"),
        message("Total-Supply"),
        "TotalSupply",
    ),
    case(
        "staking",
        _loaded("staking"),
        "UnstakeDelay = 0",
        message("Stake", Quantity="100"),
        message("Unstake", Quantity="40"),
        message("Withdraw"),
        message("Stakes"),
    ),
    case(
        "voting",
        _loaded("voting"),
        message("Propose", Title="first", Duration="100000000"),
        message("Vote", Proposal="1", Side="yay"),
        message("Tally", Proposal="1"),
        "Proposals[1].title",
    ),
    case(
        "chatroom",
        _loaded("chatroom"),
        message("Register", Nickname="ann"),
        message("Broadcast", "hello"),
        message("Members"),
        message("Unregister"),
    ),
]

# Case → the row of a table in docs/environment.md that says how ours differs.
DIFFERENT = {
    "value: {'a', nil, 'c'}": "mixed tables, when printed",
    "module: require('.stringify').format({1, 'a', x = {true}})": "mixed tables, when printed",
    "value: pcall(error, 'no')": "`return a, b` in an Eval",
    "two values": "`return a, b` in an Eval",
    "error: a table": "`error({…})` and `error()`",
    "error: nothing": "`error({…})` and `error()`",
    "error: ao.spawn()": "`ao.spawn` with too few arguments",
    "error: ao.spawn('M')": "`ao.spawn` with too few arguments",
    "error: Send({Target = 'T', Data = print})": "a function as Data",
    "send: what it returns": "numbers and booleans in the tags of the table that `ao.send` returns",
    "send: a boolean, as it comes back": "numbers and booleans in the tags of the table that `ao.send` returns",
    "json: '1.'": "numbers that are invalid JSON (`01`, `1.`)",
    "json: '01'": "numbers that are invalid JSON (`01`, `1.`)",
    "libraries: which there are": "`io`, `loadfile` and others",
    "place: next({}, 'x')": "`next` with a key that is not there",
    "globals: HANDLER_PRINT_LOGS": "`HANDLER_PRINT_LOGS`",
    "globals: which there are": "`json`, `base64` and `apm` as globals",
    "globals: Errors": "a handler's error",
    "form: a whole float in a tag": "a whole float in a tag",
    "form: a traceback": "a traceback",
    "module: .json": "the modules `.json` and `.apm`",
    "error: bit32.band({})": "wrong arguments of aos's functions",
    "error: a reply that is a text": "wrong arguments of aos's functions",
    "error: a handler without a handle": "wrong arguments of aos's functions",
    "globals: Handlers, replaced as a whole": "aos's globals that a script replaces as a whole",
}

# Case → such a row, and the versions of aos that differ from the newest one there.
_BOOT = ("`_boot` in the list of handlers", ("aos2_0_1",))
_VERSION = ("the version that it reports", ("aos2_0_1", "aos2_0_3"))
OLDER = {
    "handlers: the case of values": (
        "the case of values in a pattern's table",
        ("aos2_0_1", "aos2_0_3", "aos2_0_4_32"),
    ),
    "handlers: their order": _BOOT,
    "handlers: once and maxRuns": _BOOT,
    "handlers: tables": _BOOT,
    "handlers: before and after": _BOOT,
    "handlers: one that raises": _BOOT,
    "handlers: a pattern that answers nothing": _BOOT,
    "handlers: a pattern that raises": _BOOT,
    "trust: a sender who is not who signed": (
        "a sender who is not trusted",
        ("aos2_0_1", "aos2_0_3", "aos2_0_4_32"),
    ),
    "reply and forward": _BOOT,
    "receive": _BOOT,
    "globals": _VERSION,
    "prompt": _VERSION,
    "messages: fields and tags": (
        "names of tags",
        ("aos2_0_1", "aos2_0_3", "aos2_0_4_32"),
    ),
    "module: Utils.matchesSpec({Data = 'a1'}, {Data = '%a%d'})": (
        "a Lua pattern for a field of a message that has no Action",
        ("aos2_0_3", "aos2_0_4_32"),
    ),
}
