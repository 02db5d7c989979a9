"""Logs as wholes: written to a file, added, cut."""
