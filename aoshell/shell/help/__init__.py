"""Helps a user on: hints, functions of a process, what a mistake meant, why a message failed."""
