-- Runs the files of a bundle: what `file` was told of in that order, then the main one.
-- Each file is compiled from its own text, so that errors name its lines. No frame of this chunk
-- is left below the main file, and the environment hides frames of chunks whose names begin with ".".
local files, named, running, theirs = {}, {}, {}, require

-- A function of that line of a file, which calls another one: what the other says of its caller
-- is where it is required.
local function caller(chunk, line)
  local text = "local value = (...)(select(2, ...)) return value"
  return load(("\n"):rep(line - 1) .. text, chunk, "t")
end

local function compiled(one)
  local run, problem = load(one.source, one.chunk, "t")
  if not run then error(problem, 0) end
  return run
end

-- A module's value is what its file returns; where that is nothing, what the file has put into
-- package.loaded itself; else what stood there, else true. All names of a file have the same value.
local function keep(names, before, value)
  local loaded = package.loaded
  for i, name in ipairs(names) do
    if value == nil and not rawequal(loaded[name], before[i]) then value = loaded[name] end
  end
  for i in ipairs(names) do
    if value == nil then value = before[i] end
  end
  if value == nil then value = true end
  for _, name in ipairs(names) do loaded[name] = value end
end

local function start(one)
  one.state = "runs"
  running[#running + 1] = one
  local run, names, before, value = compiled(one), one.names, {}, nil
  for i, name in ipairs(names) do before[i] = package.loaded[name] end
  if one.by then value = caller(one.by, one.line)(run, names[1]) else value = run(names[1]) end
  keep(names, before, value)
  running[#running] = nil
  one.state, one.value, one.source = "done", value, nil
end

-- The files from that one on, each of which requires the next.
local function circle(one)
  local steps = {}
  for _, other in ipairs(running) do
    if other == one or #steps > 0 then steps[#steps + 1] = other.chunk:sub(2) end
  end
  steps[#steps + 1] = one.chunk:sub(2)
  return "files require each other in a circle: " .. table.concat(steps, " → ")
end

-- `require` while files run that require each other: one that waits for its turn runs at once. If
-- it fails, and that is caught, it waits again.
local function ask(name)
  local one = named[name]
  if one and one.state == "runs" then error(circle(one), 2) end
  if one and not one.state then
    local ok, problem = pcall(start, one)
    if not ok then
      running[#running], one.state = nil, nil
      error(problem, 0)
    end
  end
  return theirs(name)
end

local function all()
  for _, one in ipairs(files) do
    if not one.state then start(one) end
  end
  return files[#files].value
end

local function ended(ok, ...)
  if require == ask then require = theirs end
  if not ok then error((...), 0) end
  return ...
end

local function file(names, chunk, by, line, source)
  local one = { names = names, chunk = chunk, by = by, line = line, source = source }
  files[#files + 1] = one
  for _, name in ipairs(names) do named[name] = one end
end

local function main(names, chunk, circular, source)
  if not circular then
    for _, one in ipairs(files) do start(one) end
    return compiled({ chunk = chunk, source = source })()
  end
  file(names, chunk, nil, nil, source)
  require = ask
  return ended(pcall(all))
end

return file, main
