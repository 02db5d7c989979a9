"""The workers that compute processes, and what they are given."""
