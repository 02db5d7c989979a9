"""Lines in, from a pipe or a file, and what runs each of them.

`multiline` puts lines together until they are complete, `run` carries a complete one out, `batch`
does both for a whole input, and `tty` reads long lines from a terminal. The prompt has its own way
of reading them (`shell.prompt`).
"""
