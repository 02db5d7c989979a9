local SHA1 = require(".crypto.digest.hash")("sha1")

return {
  SHA1 = SHA1,
  sha1 = function(stream) return SHA1().update(stream).finish() end,
}
