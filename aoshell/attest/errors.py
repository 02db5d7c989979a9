"""The errors of attestation. For any input, no others are raised."""

from __future__ import annotations

from aoshell.errors import AoError


class EvidenceError(AoError):
    """Evidence is refused: its check ends as FAIL.

    Args:
        error: the name of the error, in capitals ("REPORT_SIZE"). Stable, for programs.
        what: what is wrong, for people. One sentence without a full stop at its end.
        hint: what to do next, as a command if there is one.
    """

    def __init__(self, error: str, what: str, hint: str = "") -> None:
        super().__init__(what, stage="attest", hint=hint)
        self.error = error


class InconclusiveError(EvidenceError):
    """Nothing is wrong so far, but something is missing to decide it."""


class UnusableFileError(InconclusiveError):
    """A file of the verifier's own cannot be used. Nothing is wrong with the evidence so far.

    Args:
        part: of `Collateral`: "vek", "chain" or "crl".
    """

    def __init__(self, error: str, what: str, part: str, hint: str = "") -> None:
        super().__init__(error, what, hint)
        self.part = part


class SkippedCheckError(Exception):
    """A check does not apply to this evidence, or the policy leaves it out. The text says which."""
