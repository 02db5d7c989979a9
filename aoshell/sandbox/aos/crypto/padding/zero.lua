-- Padding of zeros for `count` bytes in blocks of `size`: a stream of enough of them to fill the
-- last block. What is more than that never makes a block of its own.
return function(size, count)
  local left = size - (count - 1) % size + 1
  return function()
    if left == 0 then return nil end
    left = left - 1
    return 0
  end
end
