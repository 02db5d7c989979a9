local digest = require(".host").digest
local result = require(".crypto.digest.result")
local text_of = require(".crypto.util.stream").toString

return function(stream) return result.of(digest("md5", text_of(stream))) end
