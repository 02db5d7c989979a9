"""Workers: operating-system processes that run code which nobody vouches for.

`supervisor` is the shell's side, `worker` the other. A worker has no files, no network and no
environment, and lives under limits of time and memory (`confine`, `floor`).
"""
