"""Reads lines from a pipe or a file, and runs them.

`multiline` joins lines until they are complete, `run` runs a complete one, `batch` does both for a
whole input, and `tty` reads long lines from a terminal. The prompt reads lines itself
(`shell.prompt`).
"""
