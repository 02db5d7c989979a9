"""Reads what others wrote, under bounds: files, JSON, compressed bytes, answers over HTTP.

Whatever comes from a guest, a peer or a file is read, unpacked and parsed here and nowhere else
(tests/test_bounds.py holds that). A bound is a named constant, checked before memory is taken.
"""
