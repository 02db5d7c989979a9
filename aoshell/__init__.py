"""aoshell: an interactive shell for building, running and verifying AO processes."""

__version__ = "0.1.0"
