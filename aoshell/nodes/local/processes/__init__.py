"""What is known of each process: its row, its code, its schedule, how far it is.

`process_rows` makes rows and keeps those in use; `modules` holds code by id and by name; `tallies`
and `peek` answer without reading a whole log; `marks` has the names of slots.
"""
