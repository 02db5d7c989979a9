"""Which lines and branches of handlers a test ran: noted by workers, counted, and reported.

`recorder` takes the notes of workers, `totals` compares them with what can run, and `tables`,
`lcov` and `page` write the result. Data from a worker opens no file: a line counts only if the test
itself loaded a file with the name and text that the worker reports.
"""
