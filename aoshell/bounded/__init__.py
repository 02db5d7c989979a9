"""What others wrote is read here under bounds: files, JSON, compressed bytes, answers over HTTP.

Whatever comes from a guest, a peer or a file is read, unpacked and parsed here and nowhere else
(tests/test_bounds.py holds that): a bound counts before the memory is taken, and is named.
"""
