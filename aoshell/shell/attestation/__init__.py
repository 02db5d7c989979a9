"""Attestation in the shell: `.attest`, `aoshell attest`, and the keys that are remembered.

The verdict itself is `attest.verify`'s; here it is asked for, shown and kept.
"""
