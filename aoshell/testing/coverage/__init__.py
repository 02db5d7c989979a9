"""Which lines and branches of handlers a test ran: noted by workers, counted, and reported.

`recorder` takes what workers note, `totals` sets it beside what can run, and `tables`, `lcov` and
`page` write that. What a worker sends opens no file here: a line counts only for a file that the
test itself loaded, under the name and with the text that the worker tells.
"""
