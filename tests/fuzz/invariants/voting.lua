state("proposals", function() return Proposals end)

invariant("a proposal stays", function(before, after)
  return #after.proposals >= #before.proposals
end)

invariant("a vote is for a side", function(_, after)
  for _, proposal in ipairs(after.proposals) do
    for _, vote in pairs(proposal.votes) do
      if vote.side ~= "yay" and vote.side ~= "nay" then return false, tostring(vote.side) end
    end
  end
end)

invariant("nobody votes for another", function(before, after, msg)
  for number, proposal in ipairs(after.proposals) do
    local had = before.proposals[number] and before.proposals[number].votes or {}
    for address, vote in pairs(proposal.votes) do
      local old = had[address]
      if address ~= msg.From and (not old or old.side ~= vote.side) then return false, address end
    end
  end
end)
