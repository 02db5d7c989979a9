-- Cryptography: digests, ciphers, message authentication, key derivation. Its modules are loaded
-- when a script asks for the first of them.
local cipher = require(".crypto.cipher.init")

return {
  _version = "0.0.1",
  digest = require(".crypto.digest.init"),
  utils = require(".crypto.util.init"),
  cipher = cipher,
  random = cipher.issac.random,
  mac = require(".crypto.mac.init"),
  kdf = require(".crypto.kdf.init"),
}
