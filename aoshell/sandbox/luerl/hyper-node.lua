-- How a node of HyperBEAM calls a process of its device lua@5.3a. Sources: dev_process.erl,
-- dev_lua.erl, and what nodes of September and November 2025 gave scripts.
local lower, pairs, type = string.lower, pairs, type
local luerl = require(".luerl")
local read = require(".node-request")

local node = { install = luerl.install, load = luerl.load, text = luerl.text }

-- A message as a script gets it: the node keeps no functions, and gives each call a copy.
local function copy(value, with_functions)
  if type(value) ~= "table" then return value end
  local result = {}
  for key, item in pairs(value) do
    if with_functions or type(item) ~= "function" then result[key] = copy(item, with_functions) end
  end
  return result
end
node.copy = copy

-- The global `ao` once the scripts are loaded: the node puts a copy in its place (dev_lua_lib.erl).
function node.library(ao) return copy(ao, true) end

-- A message that was scheduled here has no signature; it states its owner.
local function unsigned(msg)
  local body, committed = { data = msg.Data, target = msg.Target }, {}
  if msg.Anchor and msg.Anchor ~= "" then body.anchor = msg.Anchor end
  if msg.From ~= msg.Owner then body["from-process"] = msg.From end
  for i = 1, #msg.Tags do
    local name = lower(msg.Tags[i].name)
    if body[name] == nil then body[name] = msg.Tags[i].value end
  end
  for name in pairs(body) do committed[#committed + 1] = name end
  body.commitments = { [msg.Id or ""] = {
    ["commitment-device"] = "httpsig@1.0", type = "rsa-pss-sha512", committer = msg.Owner,
    committed = committed,
  } }
  return body
end

-- The request of a message: the assignment as the scheduler gave it, or one like it.
function node.request(msg, env)
  if msg.Request then return read(msg.Request) end
  return {
    path = "compute", type = "Assignment", process = env.Process.Id, slot = msg.Nonce, epoch = "0",
    timestamp = msg.Timestamp, ["block-timestamp"] = msg.Timestamp // 1000,
    ["block-height"] = msg["Block-Height"], ["hash-chain"] = msg["Hash-Chain"],
    ["data-protocol"] = "ao", variant = "ao.N.1", body = unsigned(msg),
  }
end

-- What the first call gets as its base: the definition, and once more with its signatures.
function node.first_base(request)
  local base = copy(request.body)
  base.process, base.commitments = copy(request.body), nil
  base.device = "lua@5.3a"
  base.initialized, base["input-prefix"], base["at-slot"] = "true", "process", -1
  return base
end

-- The base of the next call: the node keeps the results elsewhere.
function node.behind(base, msg)
  base["at-slot"], base.results = msg.Nonce, nil
  return base
end

-- Whether patches are laid over the base: that is another device of a stack.
function node.patches(base)
  local stack = base["device-stack"]
  for _, device in pairs(type(stack) == "table" and stack or {}) do
    if device == "patch@1.0" then return true end
  end
  return false
end

return node
