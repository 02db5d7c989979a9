"""Certificates and revocation lists, as strictly as AMD's profile allows."""
