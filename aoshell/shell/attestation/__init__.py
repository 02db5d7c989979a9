"""Attestation in the shell: `.attest`, `aoshell attest`, and the keys of nodes that passed.

`attest.verify` derives the verdict. This package asks for it, shows it and remembers it.
"""
