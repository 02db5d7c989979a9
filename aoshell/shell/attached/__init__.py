"""One attached process: lines are signed and sent, and what comes of them is followed.

`session` sends and waits; `feed` follows the node's events; `questions` asks and changes nothing.
"""
