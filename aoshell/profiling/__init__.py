"""Profiles a shell and its workers, as a file for speedscope (docs/local-node.md)."""
