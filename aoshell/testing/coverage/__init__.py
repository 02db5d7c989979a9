"""Which lines and branches of handlers a test ran: noted by workers, counted, and reported.

`recorder` takes what workers note, `totals` compares it with what can run, and `tables`, `lcov` and
`page` write that. What a worker sends opens no file here: a line counts only if the test itself
loaded a file of the name and the text that the worker tells.
"""
