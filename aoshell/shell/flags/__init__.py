"""The command line: flags, and what their values may be.

`arguments` is imported only if there are flags, because argparse takes ten milliseconds.
"""
