"""The log on disk: rows, slots, checkpoints, and the lock of a home.

Only this folder runs SQL. Checkpoints save time only: the log is what counts.
"""
