"""One attached process: signs and sends lines, and follows their results.

`session` sends and waits; `feed` follows the node's events; `questions` asks and changes nothing.
"""
