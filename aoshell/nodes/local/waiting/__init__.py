"""Waits for results, for lines that settle and for events, and retries after errors of the disk.

`roots` counts what a message from outside has caused; `settling` waits for all of it.
"""
