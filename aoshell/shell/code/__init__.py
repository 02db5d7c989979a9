"""Code from files: programs of several files, as one chunk of Lua.

`program` finds the files, `bundle` joins them, `loading` evaluates them, `reloading` loads them
again on each save.
"""
