"""Arweave: gateways, transactions, and the bundler.

Code from a gateway is verified against its id before it is used.
"""
