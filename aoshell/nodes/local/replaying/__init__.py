"""Logs computed again, beside the live workers: nothing here changes a log.

`replay` leads such a worker; `verify` compares, `rerunning` evaluates code between two slots, and
`rehearsal` tries messages that are not in the log.
"""
