"""Which processes have a worker, and what each worker is given.

`pool` decides who has one, `live` leads one of them, `loader` and `code` make what it loads.
"""
