"""HyperBEAM nodes (ao.N.1).

`trust` decides what an answer is worth before anything reads it: who signed it (`signed`, `key`),
and whether it is an answer to what was asked (`binding`).
"""
