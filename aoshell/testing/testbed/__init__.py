"""A test's own node, with processes, identities and a clock that the test sets.

`opening` makes and removes it; `node` has the coroutines, `sync` the same as plain functions.
"""
