return require(".crypto.cipher.rijndael")(32)
