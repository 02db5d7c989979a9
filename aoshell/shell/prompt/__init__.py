"""The terminal: a prompt_toolkit application that lives as long as the shell.

It is imported after the first prompt is on the screen (`terminal`), so that a start is fast.
"""
