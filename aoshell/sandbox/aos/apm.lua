-- Client of the package registry: packages are Lua sources that become modules for require. What
-- the registry (the process apm.ID) answers comes as messages of its own; handlers for them are put
-- up with the first request.
local char, find, format, gsub, match = string.char, string.find, string.format, string.gsub,
  string.match
local error, load, pairs, pcall, tonumber, tostring, type, _G =
  error, load, pairs, pcall, tonumber, tostring, type, _G
local ao = require(".ao")
local handlers = require(".handlers")
local json = require(".json")
local output = require(".output")
local failure = require(".failure")
local kept = require(".kept")
local check = failure.check
local package = package

local own = kept.state(".apm")  -- listening: whether the handlers are up
local apm = kept.module(".apm", {
  ID = "DKF8oXtPvh3q8s0fJFIeHFyHNM6oKrwMCUrPxEMroak",
  _version = "2.0.6",
  installed = {},  -- @vendor/name → version
})

-- Names ------------------------------------------------------------------------------------------

local ID = "^[%w_-]+$"

-- [@vendor/]name[@version], where the version may be a message's id: @vendor/name, version or nil.
local function parsed(query)
  check(type(query) == "string", "Invalid package name")
  local name, version = match(query, "^(.+)@([^@/]+)$")
  name = name or query
  local vendor, package_name = match(name, "^(@[^/]*)/(.*)$")
  vendor, package_name = vendor or "@apm", package_name or name
  check(find(vendor, "^@[a-z0-9-]+$"), "Invalid vendor name")
  check(find(package_name, ID), "Invalid package name")
  check(not version or find(version, "^%d+%.%d+%.%d+$") or #version == 43 and find(version, ID),
    "Invalid version")
  return vendor .. "/" .. package_name, version
end

-- What a package is required as: those of the vendor @apm by their name alone.
local function module_name(name)
  return match(name, "^@apm/(.+)$") or name
end

-- Answers ----------------------------------------------------------------------------------------

local function source_of(msg)
  local digits = tostring(msg.Data or "")
  if #digits % 2 == 1 or find(digits, "%X") then error("the source is not in hexadecimal digits", 0) end
  return (gsub(digits, "%x%x", function(pair) return char(tonumber(pair, 16)) end))
end

local function run(source, name)
  local f, problem = load(source, "@" .. name, "t", _G)
  if not f then error("Error compiling load function: " .. problem, 0) end
  return f()
end

local function decoded(text)
  local ok, value = pcall(json.decode, text)
  return ok and type(value) == "table" and value or {}
end

local function warn_of_update(msg)
  local latest = msg.LatestClientVersion or msg.Latestclientversion
  if latest and latest > apm._version then
    output.print("APM update available v:" .. latest .. " run 'apm.update()'")
  end
end

local answers = {}

answers["APM.DownloadResponse"] = function(msg)
  local name, version = tostring(msg.Name), tostring(msg.Version)
  local warnings = decoded(msg.Warnings)
  if warnings.ModifiesGlobalState then output.print("Package modifies global state") end
  if warnings.Message then output.print(tostring(warnings.Message)) end
  local module = run(source_of(msg), module_name(name))
  package.loaded[module_name(name)] = module == nil and true or module
  apm.installed[name] = version
  for dependency, wanted in pairs(decoded(msg.Dependencies)) do
    if type(wanted) == "table" and apm.installed[dependency] ~= wanted.version then
      output.print("Installing dependency " .. dependency .. "@" .. tostring(wanted.version))
      apm.install(dependency)
    end
  end
  output.print("Downloaded " .. name .. "@" .. version)
end

answers["APM.SearchResponse"] = function(msg)
  local found = decoded(msg.Data)
  if #found == 0 then return output.print("No packages found") end
  for i = 1, #found do
    local entry = found[i]
    output.print(format("%s/%s | %s", entry.Vendor, entry.Name, entry.Description))
  end
end

answers["APM.InfoResponse"] = function(msg)
  local info = decoded(msg.Data)
  output.print(format("Package        : %s/%s", info.Vendor, info.Name))
  for _, field in pairs { "Description", "Version", "TotalInstalls", "PkgID", "Repository" } do
    output.print(format("%-15s: %s", field, info[field]))
  end
end

answers["APM.UpdateResponse"] = function(msg)
  run(source_of(msg), "apm")
  apm._version = msg.Version or apm._version
  output.print("Updated APM to v:" .. apm._version)
end

-- Only the registry may answer: what it sends is run.
local function answered(action)
  return function(msg)
    if msg.Result and msg.Result ~= "success" then
      output.print(action .. " failed: " .. tostring(msg.Data))
      return
    end
    answers[action](msg)
    warn_of_update(msg)
  end
end

local function listen()
  own.listening = true
  for action in pairs(answers) do
    handlers.add(action, function(msg) return msg.Action == action and msg.From == apm.ID end,
      answered(action))
  end
end

if own.listening then listen() end  -- the handlers of older code

-- Requests ---------------------------------------------------------------------------------------

local function request(action, data)
  if not own.listening then listen() end
  ao.send({ Target = apm.ID, Action = action, Data = data })
end

function apm.install(query)
  local name, version = parsed(query)
  if version and apm.installed[name] == version then
    return "Package " .. name .. " already installed"
  end
  if version then name = name .. "@" .. version end
  request("APM.Download", name)
  return "Download requested for " .. name
end

function apm.search(query)
  check(query, "No search query provided")
  request("APM.Search", query)
  return "Search requested for " .. query
end

function apm.info(query)
  check(query, "No info query provided")
  request("APM.Info", query)
  return "Package info requested for " .. query
end

function apm.update()
  request("APM.Update")
  return "Update requested"
end

function apm.uninstall(query)
  local name = parsed(query)
  check(apm.installed[name], "Package not installed")
  apm.installed[name] = nil
  package.loaded[module_name(name)] = nil
  return "Uninstalled " .. name
end

return apm
