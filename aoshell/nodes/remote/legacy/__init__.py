"""The legacy network of MU, SU and CU (ao.TN.1)."""
