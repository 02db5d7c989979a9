"""The one error that reaches a user: what failed, at which stage, and what to do next."""

from __future__ import annotations


class AoError(Exception):
    """A failure told to a person, never shown as a traceback.

    Args:
        what: what failed, one sentence without a full stop at its end.
        stage: where on the way it failed, one word or two ("store", "wallet", "compute", "usage").
        hint: what to do next, or an empty string where there is nothing to do.
    """

    def __init__(self, what: str, *, stage: str, hint: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.stage = stage
        self.hint = hint

    def __str__(self) -> str:
        text = f"{self.stage}: {self.what}"
        return f"{text}\n  → {self.hint}" if self.hint else text


class UsageError(AoError):
    """A command line or dot command that cannot be understood (exit code 2)."""

    def __init__(self, what: str, *, hint: str = "") -> None:
        super().__init__(what, stage="usage", hint=hint)


class UnsupportedError(AoError):
    """This node cannot do that; the hint names what to use instead."""

    def __init__(self, what: str, *, hint: str = "") -> None:
        super().__init__(what, stage="node", hint=hint)
