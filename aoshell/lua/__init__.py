"""Lua 5.3 as text: tokens, syntax trees, and whether a chunk is complete."""
