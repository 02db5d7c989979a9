"""Facts about each process: its row, code and schedule, and how far it is.

`process_rows` makes and caches rows; `modules` holds code by id and by name; `tallies` and `peek`
answer without reading a whole log; `marks` has the names of slots.
"""
