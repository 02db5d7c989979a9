"""A user's home: its folders, wallets, config file and the endpoints in it.

`folders` finds the places, and creates them when asked. The config file is only ever read.
"""
