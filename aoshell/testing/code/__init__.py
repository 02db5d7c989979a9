"""The code of processes under test, the values in their state, and what must hold of them."""
