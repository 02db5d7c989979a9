"""Whole nodes as files: `aoshell dump`, `aoshell load`, and temporary homes from a dump."""
