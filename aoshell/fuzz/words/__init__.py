"""The vocabulary of a process: handlers, tags and values, from its code and its past messages."""
