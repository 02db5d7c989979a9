"""What a report is checked against: AMD's certificates and revocation lists.

`kds` asks AMD's service for what is missing and keeps it in `cache`, a folder that may be lost.
"""
