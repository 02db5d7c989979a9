"""The checks of evidence, one file for each subject: report, certificate chain, policy, node.

A check is a function of a `frame.Case`. It returns what it found, or raises an error. `verify` runs
the checks in the order of docs/attest.md; nothing here imports it.
"""
