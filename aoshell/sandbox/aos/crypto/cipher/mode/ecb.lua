-- There is no initialization vector: the first block is one like the others.
return require(".crypto.cipher.mode.mode")(
  function(cipher, key, block, none) return cipher.encrypt(key, block), none end,
  function(cipher, key, block, none) return cipher.decrypt(key, block), none end,
  {}
)
