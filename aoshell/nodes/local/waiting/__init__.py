"""Who waits for what: results, lines that settle, events, and what is tried again later.

`roots` counts what a message from outside has caused; `settling` waits for all of it.
"""
