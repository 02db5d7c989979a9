"""The code of processes under test, the values in their state, and their invariants."""
