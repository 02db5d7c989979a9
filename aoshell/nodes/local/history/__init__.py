"""Logs as wholes: exported and imported, added, cut.

All of it can take long. It runs in a thread or in slices, so that the prompt goes on (`longwork`).
"""
