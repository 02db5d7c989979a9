"""Names for ids, and the identities that sign."""
