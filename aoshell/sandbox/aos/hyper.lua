-- Processes with the execution device lua@5.3a, as HyperBEAM runs them: the module's scripts define
-- functions, and each message calls the one that it names, `compute` where it names none, with
-- (base, request, {}). What it returns is the base of the next message; `base.results` says what
-- to tell the world. Scripts start with the bare language and their own `ao`.
local error, load, pairs, pcall, select, tonumber, tostring, type, xpcall, _G =
  error, load, pairs, pcall, select, tonumber, tostring, type, xpcall, _G
local gmatch, lower, match, sort, sub, unpack = string.gmatch, string.lower, string.match,
  table.sort, string.sub, table.unpack
local os, package, rawget = os, package, rawget
local chance = require(".chance")
local encode = require(".encode")
local exposed = require(".exposed")
local failure = require(".failure")
local json = require(".json")
local library = require(".hyper-ao")
local node = require(".hyper-node")
local output = require(".output")
local stringify = require(".stringify")

local base  -- nil until the scripts are loaded
local text, compiled = node and node.text or tostring, node and node.load or load

-- Messages ---------------------------------------------------------------------------------------

-- Tags by their names in lower case, of which the first counts.
local function fields_of(tags, fields)
  for i = 1, #tags do
    local name = lower(tags[i].name)
    if fields[name] == nil then fields[name] = tags[i].value end
  end
  return fields
end

local function commitments(id, owner)
  return {
    [id] = { alg = "rsa-pss-sha512", committer = owner, ["commitment-device"] = "ans104@1.0" },
  }
end

local function body_of(msg)
  local body = {
    id = msg.Id, from = msg.From, target = msg.Target, data = msg.Data,
    commitments = commitments(msg.Id or "", msg.Owner),
  }
  if msg.From ~= msg.Owner then body["from-process"] = msg.From end
  if msg.Anchor and msg.Anchor ~= "" then body.anchor = msg.Anchor end
  return fields_of(msg.Tags, body)
end

local function request_of(msg, env)
  return {
    path = "compute", method = "POST", type = "Assignment", process = env.Process.Id,
    slot = msg.Nonce, epoch = "0", timestamp = msg.Timestamp,
    ["block-timestamp"] = msg.Timestamp // 1000, ["block-height"] = msg["Block-Height"],
    body = body_of(msg),
  }
end

-- Whom the process trusts is a list, also where it is one.
local function authorities_of(tags)
  local list = {}
  for i = 1, #tags do
    if lower(tags[i].name) == "authority" then
      for authority in gmatch(tags[i].value, "[^,%s]+") do list[#list + 1] = authority end
    end
  end
  return list
end

-- The process's definition, and once more as its field `process`.
local function first_base(env)
  local function definition()
    local id, owner = env.Process.Id, env.Process.Owner
    local fields = { id = id, commitments = commitments(id, owner) }
    fields.authority = authorities_of(env.Process.Tags)
    return fields_of(env.Process.Tags, fields)
  end
  local result = definition()
  result.process, result.results = definition(), {}
  return result
end

-- Scripts ----------------------------------------------------------------------------------------

-- {name, source} of each script of a module: it is one, or JSON with a list or a map of them, each
-- a text or a message that has it as its body or data.
local function scripts_of(module)
  local code, name = module.Code, sub(module.Id or "module", 1, 8)
  if not match(code, "^%s*[%[{]") then return { { name, code } } end
  local list, keys, scripts = json.decode(code), {}, {}
  if list.body or list.data then list = { list } end
  for key in pairs(list) do keys[#keys + 1] = key end
  if #list == 0 then sort(keys) end
  for i = 1, #keys do
    local script = list[keys[i]]
    if type(script) ~= "table" then script = { body = script } end
    local source = script.body or script.data
    local title = script.name or (type(keys[i]) == "string" and keys[i]) or name .. ":" .. i
    if type(source) ~= "string" then error("script " .. keys[i] .. " of the module has no body", 0) end
    scripts[i] = { title, source }
  end
  return scripts
end

local LUA = {}
for name in gmatch([[_G _VERSION assert collectgarbage debug error getmetatable ipairs load math next
    os package pairs pcall print rawequal rawget rawlen rawset require select setmetatable string
    table tonumber tostring type utf8 xpcall]], "%S+") do
  LUA[name] = true
end

-- No environment but the language, without coroutines, which the network's Lua does not have.
local function strip(of)
  local names = {}
  for name in pairs(of) do
    if not LUA[name] then names[#names + 1] = name end
  end
  for i = 1, #names do of[names[i]] = nil end
end

local SANDBOXED = { "package", "loadfile", "require", "dofile", "load", "loadstring", "io", "file" }
local SANDBOXED_OS = { "execute", "exit", "getenv", "remove", "rename", "tmpname" }

-- With the option `sandbox`, behind the loading of the scripts: what a name held is a text then.
local function sandbox()
  for i = 1, #SANDBOXED do _G[SANDBOXED[i]] = "sandboxed" end
  for i = 1, #SANDBOXED_OS do _G.os[SANDBOXED_OS[i]] = "sandboxed" end
end

-- Life of a process ------------------------------------------------------------------------------

-- A node draws other numbers each time; these are the same wherever the log is replayed.
local function random(...)
  local count = select("#", ...)
  if count == 1 then return chance.integer(1, (...)) end
  if count == 2 then return chance.integer(...) end
  return chance.random()
end

local function boot(env, request)
  local scripts = scripts_of(env.Module)
  strip(_G)
  strip(package.loaded)
  _G.math.random = random
  if node then node.install(_G) end
  for i = 1, #scripts do
    local f, problem = compiled(scripts[i][2], "@" .. scripts[i][1], "t", _G)
    if not f then error(problem, 0) end
    f()
  end
  local first = node and node.first_base(request) or first_base(env)
  if lower(tostring(first.sandbox or "false")) == "true" then sandbox() end
  local ao = type(_G.ao) == "table" and _G.ao or {}
  if node then ao = node.library(ao) end
  for name, f in pairs(library) do ao[name] = f end
  _G.ao = ao
  base = first
end

local function parameters_of(body, request)
  if type(body.parameters) == "string" then
    local ok, list = pcall(json.decode, body.parameters)
    if ok and type(list) == "table" then return list, #list end
  end
  return { node and node.copy(base) or base, request, {} }, 3
end

local function work(msg, env)
  local request = node and node.request(msg, env) or request_of(msg, env)
  if not base then boot(env, request) end
  local name = request.body["function"] or base["function"] or "compute"
  local f = rawget(_G, name)
  if type(f) ~= "function" then error("the module has no function " .. tostring(name), 0) end
  local list, count = parameters_of(request.body, request)
  local status, result = "ok", nil
  local function answered(...)
    if select("#", ...) > 1 then status, result = ... else result = ... end
  end
  answered(f(unpack(list, 1, count)))
  if status == "error" then error(result, 0) end
  return result
end

-- Results ----------------------------------------------------------------------------------------

local FIELDS = { target = "Target", data = "Data", anchor = "Anchor" }
local UNSENT = { tags = true, commitments = true, body = true }
local EMPTY = "{}"  -- an empty table is a message without keys

local function sent(entry)
  local message, tags, names = { Tags = {} }, {}, {}
  for name, value in pairs(entry) do
    local field = type(name) == "string" and FIELDS[lower(name)]
    if field then message[field] = value
    elseif type(value) ~= "function" and not UNSENT[name] then
      names[#names + 1] = tostring(name)
      tags[names[#names]] = type(value) == "table" and encode(value, EMPTY) or text(value)
    end
  end
  sort(names)
  for i = 1, #names do message.Tags[i] = { name = names[i], value = tags[names[i]] } end
  for _, tag in pairs(type(entry.tags) == "table" and entry.tags or {}) do
    message.Tags[#message.Tags + 1] = { name = tag.name, value = tag.value }
  end
  if message.Data == nil and type(entry.body) == "string" then message.Data = entry.body end
  if type(message.Data) == "table" then message.Data = encode(message.Data, EMPTY) end
  return message
end

local function in_order(a, b)
  local x, y = tonumber(a), tonumber(b)
  if x and y then return x < y end
  if x or y then return x ~= nil end
  return tostring(a) < tostring(b)
end

-- The outbox as a list; patches among it are laid over the base.
local function messages_of(outbox)
  local keys, messages = {}, {}
  if type(outbox) ~= "table" then return messages end
  for key in pairs(outbox) do keys[#keys + 1] = key end
  sort(keys, in_order)
  for i = 1, #keys do
    local entry = outbox[keys[i]]
    if type(entry) ~= "table" then error("a message in the outbox is no table", 0) end
    local taken = exposed.is_patch(entry) and (not node or node.patches(base))
    if taken then exposed.patch(base, entry) end
    if not (taken and node) then messages[#messages + 1] = sent(entry) end  -- a node takes it out
  end
  return messages
end

local function shown(value)
  if type(value) == "table" then return stringify.format(value) end
  return text(value)
end

local function result_of(result, msg)
  if type(result) ~= "table" then
    if result ~= nil then output.add(text(result)) end
    return { Output = { data = output.text(), print = true }, Messages = {} }
  end
  base = node and node.behind(node.copy(result), msg) or result
  local results = type(result.results) == "table" and result.results or {}
  if results.error ~= nil then return { Error = failure.layout(output.text(), shown(results.error)) } end
  local out = results.output
  if out == nil then out = {} elseif type(out) ~= "table" then out = { data = out } end
  local data = out.data or out.body
  if data ~= nil and data ~= "" then output.add(shown(data)) end
  return {
    Output = { data = output.text(), prompt = out.prompt, print = out.print },
    Messages = messages_of(results.outbox),
  }
end

return function(msg, env)
  output.clear()
  local seconds = msg.Timestamp // 1000
  os.time = function() return seconds end
  local path = msg["Read-Only"] == "true" and exposed.asked(msg.Tags)
  if path then return { Output = { data = exposed.text(exposed.at(base, path), EMPTY) } } end
  local ok, result = xpcall(work, failure.caught, msg, env)
  if ok then ok, result = pcall(result_of, result, msg) end
  if ok then return result end
  return { Error = failure.layout(output.text(), failure.text(result)) }
end
