"""The legacy network of MU, SU and CU (ao.TN.1), as one node.

Its units sign nothing, so its answers cannot be verified.
"""
