"""The log on disk: rows, slots, checkpoints, and the lock of a home."""
