"""Whole logs and whole nodes: export, import, dump, load, adding, cutting.

This can take long, so it runs in a thread or in slices, and the prompt can go on (`longwork`).
"""
