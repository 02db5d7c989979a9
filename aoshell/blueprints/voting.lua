-- Votes on proposals. A vote weighs as much as the sender's stake where the blueprint `staking` is
-- loaded, else all weigh the same.
--
--   Propose    Title, Duration   answered with Proposed and the Proposal's number; Duration is in
--                                milliseconds, one day where it is missing
--   Vote       Proposal, Side    yay or nay, until it ends; the last vote of a sender counts
--   Tally      Proposal          Yay, Nay, Status: open, passed or failed
--   Proposals                    all of them, as JSON
--
-- Weights are those of the moment of the vote. Answers to questions have no Action. What cannot be
-- done is answered with ACTION-Error, and changes nothing. Loading this again keeps what it holds.
local bint = require(".bint")(256)
local json = require("json")

Proposals = Proposals or {}  -- {title=, proposer=, ends=, votes = {[address] = {side=, weight=}}}

local DAY = 24 * 60 * 60 * 1000
local LONGEST = 200  -- bytes of a title

local function refuse(msg, reason)
  msg.reply({ Action = msg.Action .. "-Error", ["Message-Id"] = msg.Id, Error = reason })
end

local function weight_of(address)
  if type(Stakers) == "table" then return Stakers[address] or "0" end
  return "1"
end

local function proposal_of(msg)
  local number = math.tointeger(tonumber(msg.Tags.Proposal or ""))
  local proposal = number and Proposals[number]
  if not proposal then refuse(msg, "There is no such Proposal") end
  return proposal, number
end

local function tally(proposal)
  local sums = { yay = bint(0), nay = bint(0) }
  for _, vote in pairs(proposal.votes) do sums[vote.side] = sums[vote.side] + bint(vote.weight) end
  return sums.yay, sums.nay
end

local function status(proposal, now)
  if now < proposal.ends then return "open" end
  local yay, nay = tally(proposal)
  return yay > nay and "passed" or "failed"
end

Handlers.add("Propose", "Propose", function(msg)
  local title = msg.Tags.Title or ""
  if title == "" or #title > LONGEST then
    return refuse(msg, "Title must have 1 to " .. LONGEST .. " bytes")
  end
  local duration = math.tointeger(tonumber(msg.Tags.Duration or DAY))
  if not duration or duration < 1 then return refuse(msg, "Duration must be milliseconds above 0") end
  if weight_of(msg.From) == "0" then return refuse(msg, "Only stakers propose") end
  local ends = msg.Timestamp + duration
  Proposals[#Proposals + 1] = { title = title, proposer = msg.From, ends = ends, votes = {} }
  msg.reply({ Action = "Proposed", Proposal = tostring(#Proposals), Ends = tostring(ends) })
end)

Handlers.add("Vote", "Vote", function(msg)
  local proposal, number = proposal_of(msg)
  if not proposal then return end
  local side, weight = msg.Tags.Side, weight_of(msg.From)
  if side ~= "yay" and side ~= "nay" then return refuse(msg, "Side must be yay or nay") end
  if msg.Timestamp >= proposal.ends then return refuse(msg, "The vote has ended") end
  if weight == "0" then return refuse(msg, "Only stakers vote") end
  proposal.votes[msg.From] = { side = side, weight = weight }
  msg.reply({ Action = "Voted", Proposal = tostring(number), Side = side, Weight = weight })
end)

Handlers.add("Tally", "Tally", function(msg)
  local proposal, number = proposal_of(msg)
  if not proposal then return end
  local yay, nay = tally(proposal)
  msg.reply({
    Proposal = tostring(number), Title = proposal.title, Yay = tostring(yay),
    Nay = tostring(nay), Status = status(proposal, msg.Timestamp),
  })
end)

Handlers.add("Proposals", "Proposals", function(msg)
  local list = {}
  for number, proposal in ipairs(Proposals) do
    list[number] = {
      number = number, title = proposal.title, ends = proposal.ends,
      status = status(proposal, msg.Timestamp),
    }
  end
  msg.reply({ Data = json.encode(list) })
end)
