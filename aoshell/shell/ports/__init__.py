"""What the shell asks of others, as types: its user, forks of live processes, a server.

`cli` and `backends` hand in what does it, so the shell imports none of them.
"""
