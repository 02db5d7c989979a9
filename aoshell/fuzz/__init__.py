"""Properties of processes in place of examples: `aoshell fuzz` (docs/fuzz.md)."""
