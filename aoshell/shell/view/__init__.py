"""What the shell shows: text, tables, trees, JSON, and the streams it goes to."""
