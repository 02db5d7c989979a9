"""Edits of what simulated nodes send as envelopes, and how a verdict must end then."""

from __future__ import annotations

from typing import Any

from envelope_node import Change, SnpNode, TpmNode

from aoshell.attest.verify import Verdict

Node = SnpNode | TpmNode


def ended(verdict: Verdict, error: str, status: str = "FAIL") -> None:
    assert (verdict.verdict, verdict.error) == (status, error), verdict.primary


def edited(**members: Any) -> Change:
    """A change of a map; None takes a key away."""

    def change(made: Any, _node: Any) -> Any:
        whole = made | members
        return {key: value for key, value in whole.items() if value is not None}

    return change


def set_(path: str, value: Any) -> Change:
    """A change of one value of a map; None takes it away."""
    key, _, rest = path.partition("/")

    def change(made: Any, node: Any) -> Any:
        inner = set_(rest, value)(made[key], node) if rest else value
        return {k: v for k, v in {**made, key: inner}.items() if v is not None}

    return change
