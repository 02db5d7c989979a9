return require(".crypto.init")
