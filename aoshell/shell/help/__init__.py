"""What helps a user on: hints, the functions that a process has, what a mistake meant, why."""
