"""The shell: lines go in, outcomes come out.

A session (`attached`) has one attached process on one node; `lines` runs a line. Commands
return values, and only `view` prints, so pipe, prompt and program get the same values.
"""
