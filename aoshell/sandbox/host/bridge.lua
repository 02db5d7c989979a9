-- Messages in, results out, as flat lists: one crossing between Python and Lua each way.
-- aoshell.sandbox.lua says what stands where.
local H, emit = ...
local raw = H.raw
local type, tostring, error = raw.type, raw.tostring, raw.error
local rawget, rawlen, raw_pcall = raw.rawget, raw.rawlen, raw.pcall
local pcall = pcall  -- the guarded one: running out of memory passes through
local unpack, sub = raw.table.unpack, raw.string.sub

-- Python functions that the environment can call stand behind Lua functions, so that no Python
-- object is ever a value of the guest's; an exception would be one too.

-- What is cut off here only misses from the prints of a message that is killed.
local MAX_PRINT = 1 << 20
local function told(text)
  if type(text) ~= "string" then return end
  if #text > MAX_PRINT then text = sub(text, 1, MAX_PRINT) end
  raw_pcall(emit, text)
end

-- Digests by the host, at the speed of C. What comes in is checked here, so that only texts and
-- integers cross; what a Python function raises is about memory, and stays a Lua error.
local PIECE = 1 << 20
local MAX_KEY = 1 << 20  -- bytes that pbkdf2 derives: they are made outside of the guest's memory
local math_type = raw.math.type

local function called(f, ...)
  local ok, result = raw_pcall(f, ...)
  if ok then return result end
  H.out_of_memory = true
  error(H.memory_error or "not enough memory", 0)
end

local function check(value, kind, what)
  local given = math_type(value) or type(value)
  if given ~= kind then error(what .. " must be " .. kind .. ", got " .. given, 0) end
end

local DIGESTS = {
  md5 = true, sha1 = true, sha256 = true, sha512 = true, sha3_256 = true, sha3_512 = true,
}

-- The digest of a text. blake2b has a size (1 to 64) and a key (up to 64 bytes).
local function digest(name, text, size, key)
  check(text, "string", "the text")
  if name == "blake2b" then
    check(size, "integer", "the size")
    check(key, "string", "the key")
    if size < 1 or size > 64 or #key > 64 then error("illegal parameters", 0) end
  elseif not DIGESTS[name] then
    error("no such digest", 0)
  end
  called(H.digests.begin, name, size or 0, key or "")
  for at = 1, #text, PIECE do called(H.digests.add, sub(text, at, at + PIECE - 1)) end
  return called(H.digests["end"])
end

local function pbkdf2(name, password, salt, iterations, length)
  check(password, "string", "the password")
  check(salt, "string", "the salt")
  check(iterations, "integer", "the number of iterations")
  check(length, "integer", "the length of the key")
  if name ~= "sha1" and name ~= "sha256" then error("no such digest", 0) end
  if iterations < 1 or iterations > 0x7FFFFFFF then
    error("the number of iterations is out of range", 0)
  end
  if length < 1 or length > MAX_KEY then error("the length of the key is out of range", 0) end
  if #password > PIECE or #salt > PIECE then error("the password or the salt is too long", 0) end
  return called(H.pbkdf2, name, password, salt, iterations, length)
end

-- How many named parameters a function has.
local getinfo = raw.debug.getinfo
local function parameters(f)
  check(f, "function", "the argument")
  return getinfo(f, "u").nparams
end

package.loaded[".host"] = {
  emit = told, digest = digest, pbkdf2 = pbkdf2, parameters = parameters, keys = H.keys,
}

local process, failed, env

local function tag_list(flat, from)
  local tags = {}
  for i = from, #flat, 2 do tags[#tags + 1] = { name = flat[i], value = flat[i + 1] } end
  return tags
end

function H.boot(id, owner, module, code, boot_id, boot_data, ...)
  env = {
    Process = { Id = id, Owner = owner, Tags = tag_list({ ... }, 1) },
    Module = { Id = module, Tags = {}, Code = code },
  }
  if boot_id then env.Boot = { Id = boot_id, Data = boot_data } end
  H.env = env
end

function H.set_env(restored)
  env = restored
  H.env = env
end

function H.start()
  process = require(".process")
  failed = process.failed  -- it runs without a time limit: scripts cannot put their own in its place
  H.process = process
end

-- What a guest left in its outbox is read raw: none of its metamethods runs here, and a list is as
-- long as it was at first sight.

-- Bytes of one text and of a whole result. sandbox.frames bounds what the shell takes accordingly.
local MAX_TEXT, MAX_RESULT = 10 << 20, 32 << 20
-- Bound of the stack that a result travels on; far above what a node would push.
local MAX_FIELDS = 200000
-- nodes.local.replaying.verify knows this text: errors of old logs end without it.
local FIELDS = ": a result has " .. MAX_FIELDS .. " fields at the most, five a message and two a tag"

local size  -- bytes of text in the result so far

local function text(value, what)
  local kind = type(value)
  if kind == "number" or kind == "boolean" then value = tostring(value)
  elseif kind ~= "string" then error(what .. " is a " .. kind .. " value, not text", 0) end
  size = size + #value
  if #value > MAX_TEXT then error(what .. " is larger than " .. (MAX_TEXT >> 20) .. " MB", 0) end
  if size > MAX_RESULT then error("the result is larger than " .. (MAX_RESULT >> 20) .. " MB", 0) end
  return value
end

local function optional(value, what)
  return value == nil and "" or text(value, what)
end

local function fields(value, what)
  if value == nil then return {} end
  if type(value) ~= "table" then error(what .. " is a " .. type(value) .. " value, not a table", 0) end
  return value
end

-- A list, its length, and that many times `each` fields more than n in the result.
local function list(value, what, n, each)
  value = fields(value, what)
  local count = rawlen(value)
  if n + count * each > MAX_FIELDS then error(what .. " is too long" .. FIELDS, 0) end
  return value, count
end

local function put(out, n, spawn, entry)
  entry = fields(entry, "a message in the outbox")
  local tags, count = list(rawget(entry, "Tags"), "Tags", n + 5, 2)
  local target = rawget(entry, "Target")
  out[n + 1] = spawn
  out[n + 2] = target ~= nil and text(target, "Target") or false
  out[n + 3] = optional(rawget(entry, "Data"), "Data")
  out[n + 4] = optional(rawget(entry, "Anchor"), "Anchor")
  out[n + 5] = count
  n = n + 5
  for i = 1, count do
    local tag = fields(rawget(tags, i), "a tag")
    out[n + 1] = text(rawget(tag, "name"), "a tag's name")
    out[n + 2] = text(rawget(tag, "value"), "a tag's value")
    n = n + 2
  end
  return n
end

local function put_assignments(out, n, value)
  local assignments, count = list(value, "Assignments", n, 2)
  out[n + 1] = count
  n = n + 1
  for i = 1, count do
    local entry = fields(rawget(assignments, i), "an assignment")
    local processes, many = list(rawget(entry, "Processes"), "Processes", n + 2, 1)
    out[n + 1] = text(rawget(entry, "Message"), "Message of an assignment")
    out[n + 2] = many
    n = n + 2
    for j = 1, many do out[n + j] = text(rawget(processes, j), "process of an assignment") end
    n = n + many
  end
  return n
end

local function flatten(result)
  size = 0
  local problem = rawget(result, "Error")
  -- Its end says why; what was printed stands in front.
  if type(problem) == "string" then problem = sub(problem, -MAX_TEXT) end
  local output = fields(rawget(result, "Output"), "Output")
  local resumed, count = list(rawget(result, "Resumed"), "Resumed", 5, 1)
  local out = {
    problem ~= nil and text(problem, "the error"),
    optional(rawget(output, "data"), "the output"),
    optional(rawget(output, "prompt"), "the prompt"),
    rawget(result, "Suspended") and true or false,
    count,
  }
  local n = 5
  for i = 1, count do out[n + i] = text(rawget(resumed, i), "Resumed") end
  n = n + count
  if out[1] then return out, n end
  local messages, sent = list(rawget(result, "Messages"), "Messages", n, 5)
  local spawns, spawned = list(rawget(result, "Spawns"), "Spawns", n, 5)
  out[n + 1] = sent + spawned
  n = n + 1
  for i = 1, sent do n = put(out, n, false, rawget(messages, i)) end
  for i = 1, spawned do n = put(out, n, true, rawget(spawns, i)) end
  return out, H.put_returned(out, put_assignments(out, n, rawget(result, "Assignments")), result)
end

function H.deliver(id, from, owner, target, data, anchor, timestamp, height, nonce, chain, cron,
                   read_only, ...)
  H.out_of_memory = false
  H.forget_walks()
  if H.forget_stacks then H.forget_stacks() end
  H.now = timestamp
  local msg = {
    Id = id, From = from, Owner = owner, Target = target, Data = data, Anchor = anchor,
    Timestamp = timestamp, ["Block-Height"] = height, Module = env.Module.Id, Cron = cron,
    Tags = tag_list({ ... }, 1),
  }
  local last = #msg.Tags  -- what stands behind the tags has no value: the request of a node's message
  if last > 0 and msg.Tags[last].value == nil then
    msg.Request, msg.Tags[last] = msg.Tags[last].name, nil
  end
  if not cron then
    msg.Nonce, msg.Epoch, msg["Hash-Chain"], msg["Forwarded-By"] = nonce, 0, chain, owner
  else
    msg.Id = nil
    msg.Data = nil
  end
  if read_only then msg["Read-Only"] = "true" end
  local ok, out, n = pcall(function() return flatten(process.handle(msg, env)) end)
  H.disarm_metatables()
  if H.out_of_memory then error("not enough memory", 0) end  -- whoever has swallowed that
  if ok then return unpack(out, 1, n) end
  out = type(out) == "string" and sub(out, 1, MAX_TEXT) or "(an error object that cannot be shown)"
  return out, "", "", false, 0
end

function H.failed(text) failed(text) end

-- At the end, as scripts of older environments can see the lines of what stands above.
-- What an Eval returned: behind all else, and only where the environment tells it.
local MAX_RETURNED = 1 << 13
function H.put_returned(out, n, result)
  local returned = rawget(result, "Returned")
  if type(returned) ~= "string" then return n end
  out[n + 1] = sub(returned, 1, MAX_RETURNED)
  return n + 1
end

H.called = called
