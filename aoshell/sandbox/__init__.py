"""Workers: operating-system processes that run untrusted code.

`supervising` is the shell's side; `worker` is what runs in a worker, and in the zygote that forks
it. A worker has no files, no network and no environment (`worker.confine`), and limits on time and
memory (`worker.floor`).
"""
