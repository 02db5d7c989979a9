"""Chooses tests, runs them one by one or in parallel, and has their outcomes.

`running` runs one test; `rounds` runs the chosen ones; `watching` begins a round at each save.
"""
