"""Whole nodes as files: `aoshell dump`, `aoshell load`, and nodes that begin as a file says."""
