return require(".crypto.cipher.rijndael")(16)
