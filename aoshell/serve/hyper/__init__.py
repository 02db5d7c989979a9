"""The role of a HyperBEAM node, over the built-in node.

A path names a message, then keys. Each key is looked up in the value of the key before it
(`found`). `path` parses a path, `role` resolves it, beginning at its root (`roots`), and `answers`
writes the value in the codec that was asked for, signed by the node's RSA key.
"""
