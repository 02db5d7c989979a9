"""Verification of AMD SEV-SNP evidence. Evidence goes in and a verdict comes out (`verify`).

The code is pure: time, files and network come in as arguments. Only `collateral` fetches, what AMD
publishes. Nothing is raised but the errors of `errors`, whatever the evidence is.
"""
