"""Nodes: the built-in one, and those somewhere else.

`base` says what a node is to the shell, `values` what it takes and gives. The shell imports these
two and nothing else from here.
"""
