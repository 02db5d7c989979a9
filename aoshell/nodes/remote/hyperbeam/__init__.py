"""HyperBEAM nodes (ao.N.1)."""
