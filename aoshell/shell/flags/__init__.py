"""The command line: flags, and what their values may be.

`arguments` is imported only where there are flags, because argparse takes ten milliseconds.
"""
