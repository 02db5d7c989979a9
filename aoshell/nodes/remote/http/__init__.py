"""HTTP to a remote node: one exchange, under bounds of time and size.

A failure names its stage and who failed. A request is repeated only where that can do no harm.
"""
