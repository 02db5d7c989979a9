"""How a check ends when it does not pass. Nothing else leaves this room, whatever comes in."""

from __future__ import annotations

from aoshell.errors import AoError


class EvidenceError(AoError):
    """Evidence that is refused.

    Args:
        error: the name of the error, in capitals ("REPORT_SIZE"): stable, for programs.
        what: what is wrong, for people, one sentence without a full stop at its end.
        hint: what to do next, the command where there is one.
    """

    def __init__(self, error: str, what: str, hint: str = "") -> None:
        super().__init__(what, stage="attest", hint=hint)
        self.error = error


class InconclusiveError(EvidenceError):
    """Nothing is wrong so far, but what would decide it is not at hand."""


class UnusableFileError(InconclusiveError):
    """A file of the verifier's own cannot be used: nothing is wrong with the evidence so far.

    Args:
        part: which, as in `Collateral`: "vek", "chain" or "crl".
    """

    def __init__(self, error: str, what: str, part: str, hint: str = "") -> None:
        super().__init__(error, what, hint)
        self.part = part


class SkippedCheckError(Exception):
    """A check that does not apply here, or that the policy leaves out; the text says which."""
