"""Arweave: gateways, transactions, and the bundler."""
