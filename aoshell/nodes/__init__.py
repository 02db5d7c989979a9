"""Nodes: the built-in node, and remote nodes.

`base` defines the interface of a node for the shell, `values` its arguments and return values. The
shell imports these two modules and nothing else from here.
"""
