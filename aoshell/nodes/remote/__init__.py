"""Nodes somewhere else: HyperBEAM, and the legacy network.

Both are `nodes.base.Node`. What is remembered of them lies in one small database (`memory`).
"""
