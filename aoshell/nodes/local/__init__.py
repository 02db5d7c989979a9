"""The built-in node: a log on disk, workers that compute it, and the engine between them.

A message is on disk before it runs; its result and all that it sends are stored in one transaction.
docs/local-node.md lists the promises, and how they are kept.
"""
