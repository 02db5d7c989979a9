"""What a report is checked against: where AMD has it, and a cache of it."""
