"""Writes a session as a test: its lines, and the answers that it got."""
