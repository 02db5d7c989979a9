"""HTTP to a remote node: one exchange, under bounds of time and size.

An error names the stage and the host that failed. Requests are repeated only if that is harmless.
"""
