"""The whole command line as one table, read from the parsers: for completion and the manual."""
