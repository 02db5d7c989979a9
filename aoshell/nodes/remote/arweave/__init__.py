"""Arweave: gateways, transactions, and the bundler.

Code that comes from a gateway is verified against its id before anybody uses it.
"""
