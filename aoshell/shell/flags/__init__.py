"""What stands on the command line: flags, and what they may be."""
