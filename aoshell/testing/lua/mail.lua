-- Messages and values: from the form that tests write to that of requests, and back.
local getmetatable, ipairs, pairs, setmetatable, tonumber, tostring, type =
  getmetatable, ipairs, pairs, setmetatable, tonumber, tostring, type
local math_type = math.type
local encode = require(".json").encode

local mail = {}

local messages = setmetatable({}, { __mode = "k" })  -- those that a test has read

function mail.is_message(value) return messages[value] or false end

-- Processes and identities, which stand for their addresses.
local function is_actor(value)
  local meta = getmetatable(value)
  return type(value) == "table" and type(meta) == "table" and meta.__tostring ~= nil
end

-- A tag's value as ao.send writes it.
local function tag_text(value)
  if math_type(value) == "float" and value % 1 == 0 and value < 2 ^ 53 then value = value // 1 | 0 end
  return tostring(value)
end

-- Tags as a list of {name, value}, from a map or from a list of {name=, value=}.
function mail.tags(given, tags)
  tags = tags or {}
  for name, value in pairs(given or {}) do
    if type(value) == "table" and value.name ~= nil and not is_actor(value) then
      name, value = value.name, value.value
    end
    tags[#tags + 1] = { tostring(name), tag_text(value) }
  end
  return tags
end

local FIELDS = { Data = true, Tags = true, Target = true, Anchor = true, From = true, Owner = true }

-- A message of a test: its tags in order, its data.
function mail.outgoing(msg)
  local fields = {}
  for name, value in pairs(msg) do
    if not FIELDS[name] then fields[#fields + 1] = { name = name, value = value } end
  end
  local tags, data = mail.tags(msg.Tags, mail.tags(fields)), msg.Data
  if type(data) == "table" and not is_actor(data) then
    data = encode(data)
    tags[#tags + 1] = { "Content-Type", "application/json" }
  end
  return { tags = tags, data = data == nil and "" or tag_text(data) }
end

local ENVELOPE = {
  ["Data-Protocol"] = true, Variant = true, Type = true, ["From-Process"] = true,
  ["From-Module"] = true, ["Pushed-For"] = true,
}

-- A message as handlers see one: tags by name, in Tags and on itself.
function mail.incoming(sent)
  local msg = { Tags = {} }
  messages[msg] = true
  for _, tag in ipairs(sent.tags) do
    msg.Tags[tag[1]] = tag[2]
    if not ENVELOPE[tag[1]] then msg[tag[1]] = tag[2] end
  end
  msg.From, msg.Target, msg.Data = sent.from, sent.target, sent.data
  if sent.spawn then msg.Spawn = true end
  if sent.reason then msg.Reason = sent.reason end
  return msg
end

function mail.all(list)
  local found = {}
  for i = 1, #list do found[i] = mail.incoming(list[i]) end
  return found
end

local FLOATS = { inf = 1 / 0, ["-inf"] = -1 / 0 }

-- The value that `value.lua` has written.
function mail.value(written)
  if type(written) ~= "table" then return written end
  if written.other then return written.other end
  if written.float then return FLOATS[written.float] or tonumber(written.float) or 0 / 0 end
  local found, pairs_of = {}, written.table
  if not pairs_of then
    for i = 1, #written do found[i] = mail.value(written[i]) end
    return found
  end
  for i = 1, #pairs_of, 2 do found[mail.value(pairs_of[i])] = mail.value(pairs_of[i + 1]) end
  return found
end

return mail
