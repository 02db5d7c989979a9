"""The kinds of evidence. Each has its own checks (docs/attest.md has the table)."""

from __future__ import annotations

from enum import Enum


class Kind(Enum):
    """The kind of evidence. The value is its name for `--kind` and in JSON.

    REPORT is an SEV-SNP report alone, in a file. GENERATE is an answer of `~snp@1.0/generate`. SNP
    and TPM are envelopes of `~measurement@1.0`, over SEV-SNP and over TPM 2.0. UNKNOWN is an
    envelope of a device that is not checked here, or one that cannot be read.
    """

    REPORT = "report"
    GENERATE = "generate"
    SNP = "snp"
    TPM = "tpm"
    UNKNOWN = "unknown"


KIND_NAMES = tuple(kind.value for kind in Kind if kind is not Kind.UNKNOWN)
"""Kinds that can be asked for."""

ENVELOPES = frozenset((Kind.SNP, Kind.TPM, Kind.UNKNOWN))
WITH_REPORT = frozenset((Kind.REPORT, Kind.GENERATE, Kind.SNP))
