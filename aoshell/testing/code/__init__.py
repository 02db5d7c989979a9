"""The code of processes under test, and the values in their state."""
