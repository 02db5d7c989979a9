"""What a test in Lua asks of its node, and what carries it out.

`guest` runs the test's file in a sandbox, and `calls` answers its requests.
"""
