"""The log on disk: rows, slots, checkpoints, and the lock of a home.

Only this folder runs SQL. Checkpoints only save time: the log is the truth.
"""
