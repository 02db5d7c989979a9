"""Workers: which processes have one, and what each is sent.

`pool` decides which have one; `live` leads one worker; `loader` and `code` make what it loads.
"""
