"""Interfaces that the shell uses and others implement: its user, forks, a server.

`cli` and `backends` pass the implementations in, so the shell does not import them.
"""
