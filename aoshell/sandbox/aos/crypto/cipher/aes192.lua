return require(".crypto.cipher.rijndael")(24)
