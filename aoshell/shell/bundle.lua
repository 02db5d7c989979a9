-- Runs the files of a bundle: what `file` was told of in that order, then the main one.
-- Each file is compiled from its own text, so that errors name its lines. No frame of this chunk
-- is left below the main file, and the environment hides frames of chunks whose names begin with ".".
local files, named, running, theirs = {}, {}, {}, require
local circular = false  -- whether files require each other in a circle

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
  local loaded, names, before, value = package.loaded, one.names, {}, nil
  one.state, one.before = "runs", before
  running[#running + 1] = one
  for i, name in ipairs(names) do
    before[i] = loaded[name]
    if circular then loaded[name] = nil end
  end
  local run = compiled(one)
  if one.by then value = caller(one.by, one.line)(run, names[1]) else value = run(names[1]) end
  keep(names, before, value)
  running[#running] = nil
  one.state, one.value, one.source = "done", value, nil
end

-- A file that failed, the last that runs: all is as before it was started.
local function give_up()
  local one = running[#running]
  for i, name in ipairs(one.names) do package.loaded[name] = one.before[i] end
  running[#running], one.state = nil, nil
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

-- `require` while files run that require each other. One that waits for its turn runs at once; one
-- that runs already is there if it has put itself into package.loaded.
local function ask(name)
  local one = named[name]
  if one and one.state == "runs" and package.loaded[name] == nil then error(circle(one), 2) end
  if one and not one.state then
    local ok, problem = pcall(start, one)
    if not ok then
      give_up()
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
  if ok then return ... end
  while #running > 0 do give_up() end
  error((...), 0)
end

local function file(names, chunk, by, line, source)
  local one = { names = names, chunk = chunk, by = by, line = line, source = source }
  files[#files + 1] = one
  for _, name in ipairs(names) do named[name] = one end
end

local function main(names, chunk, in_circles, source)
  if not in_circles then
    for _, one in ipairs(files) do start(one) end
    return compiled({ chunk = chunk, source = source })()
  end
  file(names, chunk, nil, nil, source)
  circular, require = true, ask
  return ended(pcall(all))
end

return file, main
