"""Where the time of a shell goes, as a file for speedscope (docs/local-node.md)."""
