"""Envelopes over SEV-SNP: what the report is bound to, and what it is checked against.

Each case is one edit of an envelope that passes.
"""

from __future__ import annotations
