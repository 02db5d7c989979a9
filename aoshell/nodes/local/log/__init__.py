"""The log on disk: rows, slots, checkpoints, and the lock of a home.

`store` is the only file that runs SQL. A checkpoint saves time only; the log is the truth.
"""
