"""What a HyperBEAM node answers, over the built-in node.

A path names a message, then keys that are looked up in turn, each in what the key before it gave
(`found`). `path` reads it, `role` resolves it from its root (`roots`) on, `answers` writes what was
found in the codec that was asked for, signed by the node's RSA key.
"""
