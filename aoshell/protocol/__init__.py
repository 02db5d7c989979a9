"""AO messages: ANS-104 data items, HyperBEAM's structured types, HTTP message signatures, wallets.

The code is pure and a library of its own (docs/protocol.md). It opens no file and no connection.
"""
