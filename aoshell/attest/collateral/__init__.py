"""Fetches what a report is checked against: AMD's certificates and revocation lists.

`kds` asks AMD's service for what is missing, and keeps it in a `cache` folder that may be deleted.
"""
