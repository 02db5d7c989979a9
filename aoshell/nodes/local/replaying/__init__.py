"""Computes logs again, in separate workers, without changing a log.

`replay` controls such a worker; `verify` compares results, `rerunning` evaluates code between two
slots, and `rehearsal` tries messages that are not in the log.
"""
