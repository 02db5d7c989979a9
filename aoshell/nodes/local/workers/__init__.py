"""Workers: decides which processes have one, and what each worker gets.

`pool` decides which processes have one; `live` controls one worker; `loader` and `code` make the
code that it loads.
"""
