-- Queue() is a queue: push(item), pop() → item or nil, size(); getHead() and getTail() count what
-- was ever pushed and popped; reset().
return function()
  local items, head, tail = {}, 0, 0
  return {
    push = function(item)
      items[head] = item
      head = head + 1
    end,
    pop = function()
      if tail == head then return nil end
      local item = items[tail]
      items[tail] = nil
      tail = tail + 1
      return item
    end,
    size = function() return head - tail end,
    getHead = function() return head end,
    getTail = function() return tail end,
    reset = function() items, head, tail = {}, 0, 0 end,
  }
end
