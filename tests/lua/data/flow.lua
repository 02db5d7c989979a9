-- A program whose every function runs once at least; a line that cannot run says so.
local flow = {}

local function fact(n)
  if n <= 1 then
    return 1
  end
  return n * fact(n - 1)
end

local function fails(n)
  if n == 0 then
    error("deep")
  end
  local x = fails(n - 1)
  return x
end

local function loops()
  local sum = 0
  for i = 1, 10 do
    if i % 2 == 0 then
      sum = sum + i
    elseif i == 7 then
      break
    else
      sum = sum - 1
    end
  end
  while sum < 40 do
    sum = sum + 7
  end
  repeat
    sum = sum - 1
    local done = sum < 30
  until done
  for _, v in ipairs({ 1, 2, 3 }) do sum = sum + v end
  goto over
  sum = 0 -- never
  ::over::
  return sum
end

local function gen(n)
  return coroutine.wrap(function()
    for i = 1, n do
      coroutine.yield(i)
    end
    error("the end")
  end)
end

local Account = {}
Account.__index = Account
function Account:put(n)
  if n < 0 then
    error("negative", 0)
  end
  self.n = self.n + n
  return self
end
Account.__add = function(a, b)
  return setmetatable({ n = a.n + b.n }, Account)
end
Account.__tostring = function(a)
  return "account " ..
    a.n
end

local function tail(n)
  if n == 0 then return "done" end
  return tail(n - 1)
end

function flow.run()
  fact(6)
  for i = 1, 3 do
    local ok, err = pcall(fails, i)
    if ok then
      flow.no = true
    end
  end
  loops()
  local next_one = gen(3)
  for i = 1, 5 do
    local ok, v = pcall(next_one)
    if not ok then
      v = nil
    end
  end
  local a = setmetatable({ n = 1 }, Account)
  a:put(3):put(4)
  pcall(a.put, a, -1)
  xpcall(function()
    local b = a + setmetatable({ n = 2 }, Account)
    tostring(b)
    error({})
  end, function(e)
    return type(e)
  end)
  tail(10)
  table.sort({ 3, 1, 2 }, function(x, y)
    return x < y
  end)
  string.gsub("hello", "l", function(c)
    if c == "x" then
      return "y"
    end
    return nil
  end)
  local co = coroutine.create(function(x)
    local y = coroutine.yield(x + 1)
    return y
  end)
  coroutine.resume(co, 1)
  coroutine.resume(co, 2)
  coroutine.resume(co, 3)
end

flow.run()

return flow
