"""Certificates and revocation lists (X.509, RFC 5280), as strictly as AMD's profile allows.

`material` reads files in all forms that the field's tools write; `path` finds which certificates
lead to the pinned root. `der` is our own reader: it takes each value in one form only.
"""
