"""HyperBEAM nodes (ao.N.1).

`trust` judges an answer before anything else reads it: who signed it (`signed`, `key`), and whether
it answers the request (`binding`).
"""
