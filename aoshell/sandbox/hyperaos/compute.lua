-- The environment as a module for the device lua@5.3a of HyperBEAM: the device calls `compute` with
-- the state of the process and an assignment, and takes the new state, whose `results` tell the
-- world. Messages come as maps with keys in lower case, whose commitments say who signed them.
local byte, find, gsub, lower, sub = string.byte, string.find, string.gsub, string.lower, string.sub
local concat = table.concat
local pairs, sort, tonumber, tostring, type = pairs, table.sort, tonumber, tostring, type
local process = require(".process")
local utils = require(".utils")
local own_ao = require(".ao")
local exposed = require(".exposed")
local reason_of = require(".failure").reason

-- Who signed a message, and its id: of the signature that names its signer.
local function signed(message)
  for id, commitment in pairs(type(message.commitments) == "table" and message.commitments or {}) do
    if type(commitment) == "table" and commitment.committer then return commitment.committer, id end
  end
  return "", ""
end

local function keys_of(map)
  local keys = {}
  for key in pairs(map) do
    if type(key) == "string" then keys[#keys + 1] = key end
  end
  sort(keys)
  return keys
end

-- Keys of a message that are no tags.
local OWN = { id = true, from = true, target = true, data = true, body = true, commitments = true,
  anchor = true, path = true, method = true, ["ao-types"] = true, ["accept-bundle"] = true }

-- The texts and numbers of a message as tags, in the order of their names.
local function tags_of(map)
  local tags = {}
  local keys = keys_of(map)
  for i = 1, #keys do
    local value = map[keys[i]]
    local kind = type(value)
    if not OWN[keys[i]] and (kind == "string" or kind == "number" or kind == "boolean") then
      tags[#tags + 1] = { name = utils.normalize(keys[i]), value = tostring(value) }
    end
  end
  return tags
end

-- An authority may be a list, each member a tag of its own.
local function definition_of(map)
  local owner, id = signed(map)
  local tags = tags_of(map)
  if type(map.authority) == "table" then
    for _, authority in pairs(map.authority) do
      if type(authority) == "string" then tags[#tags + 1] = { name = "Authority", value = authority } end
    end
  end
  return { Id = id, Owner = owner, Tags = tags }
end

local function whole(value)
  return (tonumber(value) or 0) // 1 | 0
end

local function message_of(request, process_id)
  local body = type(request.body) == "table" and request.body or {}
  local owner, id = signed(body)
  return {
    Id = id, Owner = owner, From = body["from-process"] or owner,
    Target = body.target or process_id, Anchor = body.anchor, Data = body.data or body.body or "",
    Tags = tags_of(body), Module = "", Nonce = whole(request.slot),
    Timestamp = whole(request.timestamp), ["Block-Height"] = whole(request["block-height"]),
  }
end

-- Results ----------------------------------------------------------------------------------------

-- A message of the outbox as HyperBEAM pushes it: keys in lower case beside its target.
local function outgoing(message)
  local sent = { target = message.Target, data = message.Data, anchor = message.Anchor }
  local tags = message.Tags or {}
  for i = 1, #tags do
    local name = lower(tags[i].name)
    if sent[name] == nil then sent[name] = tags[i].value end
  end
  return sent
end

-- A map whose keys are no numerals: the device would make a list of those, which a patch@1.0 that
-- stands behind it cannot read. Patches are no part of it, as `compute` makes them state itself.
local function outbox_of(result)
  local outbox, count = {}, 0
  for _, list in pairs { result.Messages or {}, result.Spawns or {} } do
    for i = 1, #list do
      local sent = outgoing(list[i])
      if not exposed.is_patch(sent) then
        count = count + 1
        outbox["m" .. count] = sent
      end
    end
  end
  return outbox
end

-- How many bytes of UTF-8 begin at a place of a text; nil where none do (RFC 3629, section 4).
local function character_at(text, at)
  local lead, second = byte(text, at, at + 1)
  local low = lead == 0xE0 and 0xA0 or lead == 0xF0 and 0x90 or 0x80
  local high = lead == 0xED and 0x9F or lead == 0xF4 and 0x8F or 0xBF
  local size = lead < 0xC2 and 0 or lead < 0xE0 and 2 or lead < 0xF0 and 3 or lead < 0xF5 and 4 or 0
  if size == 0 or not second or second < low or second > high then return nil end
  for i = at + 2, at + size - 1 do
    local next_one = byte(text, i)
    if not next_one or next_one < 0x80 or next_one > 0xBF then return nil end
  end
  return size
end

-- A text that JSON can hold: nodes answer 500 for good where a result has a byte that is not UTF-8.
local function in_utf8(text)
  local parts, at = {}, 1
  while true do
    local first = find(text, "[\128-\255]", at)
    if not first then break end
    local size = character_at(text, first)
    parts[#parts + 1] = sub(text, at, first - 1)
    parts[#parts + 1] = size and sub(text, first, first + size - 1) or "?"
    at = first + (size or 1)
  end
  parts[#parts + 1] = sub(text, at)
  return concat(parts)
end

-- Nodes of 2025 write what stands right in `results` into headers of HTTP, line breaks included, so
-- that `error` is a line there, without colours; `output` has it whole.
local function results_of(result)
  if result.Error then
    local plain = gsub(reason_of(result.Error), "\27%[[%d;]*m", "")
    local line = gsub(plain, "%c+", " ")
    local whole_text = in_utf8(tostring(result.Error))
    return { outbox = {}, output = { data = "", error = whole_text }, error = in_utf8(line) }
  end
  local output = result.Output or {}
  return {
    outbox = outbox_of(result),
    output = { data = in_utf8(tostring(output.data or "")), prompt = in_utf8(tostring(output.prompt or "")) },
  }
end

-- The environment of the handling: what the process is, and that it has no module of its own.
local env

-- The definition of the process: the message of the first slot. The state has a copy of it, whose
-- signatures and some of whose keys the nodes of 2025 leave out.
local function defining(base, request)
  local body = request.body
  if type(body) == "table" and body.type == "Process" then return body end
  return type(base.process) == "table" and base.process or base
end

-- The device puts its functions into a copy of the table `ao` once the module is loaded. They come
-- into the table itself, which the rest of the environment holds, and that is the global one again.
local function merge_device_functions()
  local copy = _G.ao
  if copy == own_ao or type(copy) ~= "table" then return end
  for key, value in pairs(copy) do
    if own_ao[key] == nil then own_ao[key] = value end
  end
  _G.ao = own_ao
end

function compute(base, request)
  if not env then
    merge_device_functions()
    local definition = definition_of(defining(base, request))
    env = { Process = definition, Module = { Id = "", Tags = {} } }
    if Owner == nil then Owner = definition.Owner end
  end
  local result = process.handle(message_of(request, env.Process.Id), env)
  if result.Error then process.failed(result.Error) end
  base.results = results_of(result)
  for key, value in pairs(exposed.state) do base[key] = value end
  return base
end
