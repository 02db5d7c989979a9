"""The checks of evidence, one file for each thing that they look at.

A check is a function of a `frame.Case`: it returns what it found, or raises. `verify` runs them in
the order of docs/attest.md.
"""
