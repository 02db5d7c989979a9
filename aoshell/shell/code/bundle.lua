-- Runs the files of a bundle: what `file` was told of in that order, then the main one.
-- Each file is compiled from its own text, so that errors name its lines. No frame of this chunk
-- is left below the main file, and the environment hides frames of chunks whose names begin with ".".
-- What is called here is taken first: the files may put their own in the place of globals.
local error, ipairs, load, pcall, rawequal = error, ipairs, load, pcall, rawequal
local concat, rep, sub = table.concat, string.rep, string.sub
local files, named, running, theirs = {}, {}, {}, require
local circular = false  -- whether files require each other in a circle

-- A function of that line of a file, which calls another one: what the other says of its caller
-- is where it is required.
local function caller(chunk, line)
  return load(rep("\n", line - 1) .. "local value = (...)() return value", chunk, "t")
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
  local function call() return run(names[1]) end
  if one.by then value = caller(one.by, one.line)(call) else value = call() end
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
    if other == one or #steps > 0 then steps[#steps + 1] = sub(other.chunk, 2) end
  end
  steps[#steps + 1] = sub(one.chunk, 2)
  return "files require each other in a circle: " .. concat(steps, " → ")
end

-- Whether a file that runs has put itself into package.loaded; then it is there by all its names.
local function has_come(one)
  local loaded, value = package.loaded, nil
  for _, name in ipairs(one.names) do
    if value == nil then value = loaded[name] end
  end
  for _, name in ipairs(one.names) do loaded[name] = value end
  return value ~= nil
end

-- `require` while files run that require each other. One that waits for its turn runs at once.
local function ask(name)
  local one = named[name]
  if one and one.state == "runs" and not has_come(one) then error(circle(one), 2) end
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
