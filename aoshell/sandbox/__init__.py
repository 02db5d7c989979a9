"""Workers: operating-system processes that run code which nobody vouches for.

`supervisor` is the shell's side; `zygote` forks workers, and `worker` is what runs in one. A worker
has no files, no network and no environment (`confine`), and limits on time and memory (`floor`).
"""
