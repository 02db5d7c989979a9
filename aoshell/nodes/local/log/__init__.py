"""The log on disk: rows, slots, checkpoints, and the lock of a home.

Only this room runs SQL. A checkpoint saves time only; the log is the truth.
"""
