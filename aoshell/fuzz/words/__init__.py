"""What can be said to a process: the handlers, tags and values that its code and past name."""
