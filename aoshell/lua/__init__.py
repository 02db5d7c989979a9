"""Lua 5.3 as text: tokens, syntax trees, and whether a chunk is complete.

Nothing here runs a script. `lexer` makes tokens, for all of the shell; `compiling` asks Lua's own
compiler; the rest is the parser of `.check`.
"""
