"""Verification of AMD SEV-SNP evidence: evidence goes in, a verdict comes out (`verify`).

The code is pure: time, files and network come in as arguments. Only `collateral` fetches something,
the certificates that AMD publishes. For any evidence, only the errors of `errors` are raised.
"""
