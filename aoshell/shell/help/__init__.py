"""Help: hints, functions of a process, explanations of mistakes and of failed messages."""
