"""The checks of evidence, by what they look at."""
