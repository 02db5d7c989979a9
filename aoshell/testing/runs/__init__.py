"""Which tests run, one by one or beside each other, and what became of them.

`running` runs one test; `rounds` runs the chosen ones; `watching` begins a round at each save.
"""
