"""Attestation in the shell: `.attest`, `aoshell attest`, and the keys of nodes that passed.

`attest.verify` derives the verdict. Here it is asked for, shown and remembered.
"""
