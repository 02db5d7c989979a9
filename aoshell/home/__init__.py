"""A user's home: its folders, wallets, config file and the endpoints in it.

`folders` finds the folders, and creates them when asked. The config file is never written.
"""
