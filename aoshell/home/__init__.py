"""A user's home: folders, wallets, the config file, and the endpoints in it."""
