-- What the environment asks of its host, where the host is HyperBEAM's lua@5.3a: nothing goes out
-- while a message is handled, and no list of keys is at hand.
return {
  emit = function() end,
  keys = function() end,
}
