"""The requests of a test in Lua to its node.

`guest` runs the test's file in a sandbox, and `calls` answers its requests.
"""
