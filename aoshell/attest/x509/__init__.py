"""Certificates and revocation lists (X.509, RFC 5280), as strict as AMD's profile, and as real
certificates of TPMs allow.

`material` reads files in all forms that common tools write. `path` finds the certificates that lead
to AMD's pinned root. `der` is our own reader of DER; it accepts each value in one form only.
"""
