"""Whole logs and whole nodes: export, import, dump, load, adding, cutting.

All of it can take long, so it runs in a thread or in slices while the prompt goes on (`longwork`).
"""
