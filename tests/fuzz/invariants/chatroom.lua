state("members", function() return Members end)

invariant("nobody changes another's name", function(before, after, msg)
  for address, name in pairs(before.members) do
    if address ~= msg.From and after.members[address] ~= name then return false, address end
  end
end)

invariant("a room has an end", function(_, after)
  local count = 0
  for _ in pairs(after.members) do count = count + 1 end
  return count <= MaxMembers
end)
