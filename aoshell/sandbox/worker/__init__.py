"""What runs in the process that computes one AO process.

A zygote forks workers (`zygote`); `worker` takes frames and computes messages; `parking` keeps an
older state to go back to; `confine` gives up what a guest could misuse.
"""
