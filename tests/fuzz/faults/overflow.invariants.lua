state("given", function() return Given end)
invariant("what was given grows", function(before, after)
  return after.given >= before.given, before.given .. " became " .. after.given
end)
