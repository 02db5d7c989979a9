-- A message as handlers see it, made of the one that the host gives.
local pairs, pcall, setmetatable, type = pairs, pcall, setmetatable, type
local ao = require(".ao")
local check = require(".failure").check
local json = require(".json")
local utils = require(".utils")

local message = {}

-- Answered when asked for, so that a message holds data only: in the Inbox, printed or cloned.
local actions = {}

function actions.reply(msg)
  return function(answer)
    check(type(answer) == "table", "msg should be a table")
    local copy = {}
    for key, value in pairs(answer) do copy[key] = value end
    copy.Target = msg["Reply-To"] or answer.Target or msg.From
    copy["X-Reference"] = msg["X-Reference"] or msg.Reference
    copy["X-Origin"] = msg["X-Origin"]
    return ao.send(copy)
  end
end

function actions.forward(msg)
  return function(target, changes)
    local copy = ao.sanitize(msg)
    for key, value in pairs(changes or {}) do copy[key] = value end
    copy.Target = target
    copy["Reply-To"] = msg["Reply-To"] or msg.From
    copy["X-Reference"] = msg["X-Reference"] or msg.Reference
    copy["X-Origin"] = msg["X-Origin"] or msg.From
    ao.send(copy)
  end
end

local Message = {
  __index = function(msg, key)
    local action = actions[key]
    return action and action(msg)
  end,
}

-- Names that were normalised before, forgotten all at once where senders make up ever new ones.
local MAX_NAMES = 500
local names, name_count = {}, 0

local function normalized(name)
  local known = names[name]
  if known then return known end
  known = utils.normalize(name)
  if name_count == MAX_NAMES then names, name_count = {}, 0 end
  names[name] = known
  name_count = name_count + 1
  return known
end

local hidden = {}
for i = 1, #ao.nonExtractableTags do hidden[ao.nonExtractableTags[i]] = true end

-- What the node says of a message, and what a message can do, in Their-Form: no name that a sender
-- made up may look like one of these.
local own = {}
for name in ("Id Timestamp Nonce Epoch Block-Height Hash-Chain Module Cron Reference Signature Tagarray "
  .. "Reply Forward"):gmatch("%S+") do own[name] = true end

-- Add the tags under the names that they were sent with, where these are free.
local function keep_names(msg, sent, map)
  for i = 1, #sent do
    local name, tag = sent[i], msg.Tags[i]
    local free = name ~= tag.name and not hidden[tag.name] and not own[tag.name]
    if free and map[name] == nil then map[name] = tag.value end
    if free then msg[name] = tag.value end
    tag.name = name
  end
end

-- Give msg its tags by name, as fields and in Tags, and decode JSON. Of tags of one name, the
-- field has the last and Tags the first. With `as_sent`, TagArray has the names as they came, and
-- they are there beside those in Their-Form, as in aos up to 2.0.4-32.
function message.prepare(msg, as_sent)
  local list, map, sent = msg.Tags, {}, as_sent and {}
  for i = 1, #list do
    local tag = list[i]
    local name, value = normalized(tag.name), tag.value
    if sent then sent[i] = tag.name end
    tag.name = name
    if map[name] == nil then map[name] = value end
    if not hidden[name] then msg[name] = value end
  end
  if sent then keep_names(msg, sent, map) end
  msg.TagArray, msg.Tags = list, map
  if map["Content-Type"] == "application/json" then
    -- What is no JSON after all stays text: the message is not lost for its label.
    local ok, data = pcall(json.decode, msg.Data or "{}")
    if ok then msg.Data = data end
  end
  return setmetatable(msg, Message)
end

-- Tags as a map; the first of a name counts.
function message.tab(msg)
  local map = {}
  local list = msg.Tags
  for i = 1, #list do
    local tag = list[i]
    if map[tag.name] == nil then map[tag.name] = tag.value end
  end
  return map
end

return message
