"""The shell: lines go in, outcomes come out.

A session (`attached`) has one attached process on one node; `lines` carries a line out. Commands
return values, and only `view` prints, so a pipe, a prompt and a program get the same.
"""
