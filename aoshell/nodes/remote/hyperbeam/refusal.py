"""Reads why a HyperBEAM node refused a request, for users.

Nodes put the reason in different places: `reason`, `body`, `error` or `details` (an Erlang term),
as header fields, JSON or parts of a body, with the phase and the slot that failed. Stack traces are
left out. Source: answers recorded of nodes of 2025; HyperBEAM `dev_process:compute_to_slot`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from aoshell.nodes.remote.http.answer import Response, in_a_line
from aoshell.nodes.remote.http.pages import is_number

LONGEST = 2048  # characters of a node's text that are read
COMPUTE, SCHEDULE = "compute", "get-schedule"  # values of `phase`

_WORDS = ("reason", "body", "error", "details")
_LACKS = ("Lazy link", "{link,", '{badkey,<<"committed">>}')  # as Erlang writes it
# Errors of OTP's json for bytes that are not UTF-8, and for a character that ends too early.
_NO_TEXT = ("{invalid_byte,", "unexpected_end")
_NO_STACK = ("no_valid_device_stack",)
_MISSING = re.compile(r"necessary_message_not_found,\s*<<\"?[^\">]*\"?>>,\s*<<\"([^\"]*)\">>")
_QUOTED = re.compile(r"<<\"body\">>\s*=>\s*<<\"((?:[^\"\\]|\\.)*)\">>")


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a node did not do something.

    Attributes:
        words: the node's text, in one line; "" if it gave none.
        phase: COMPUTE, SCHEDULE, another word, or "".
        slot: the slot that failed, None if the node does not say.
        missing: the message that the node lacks, "" if that is not the reason.
    """

    words: str = ""
    phase: str = ""
    slot: int | None = None
    missing: str = ""

    @property
    def is_stuck(self) -> bool:
        """Whether the named slot cannot be computed, so that no later slot can be."""
        return self.phase == COMPUTE and self.slot is not None

    @property
    def is_early(self) -> bool:
        """Whether the schedule does not have the requested slot yet."""
        return self.phase == SCHEDULE


def refusal_in(fields: Mapping[str, object]) -> Refusal:
    """The refusal in the fields of an answer.

    Args:
        fields: the fields that count: if answers are verified, only signed ones.
    """
    found = (fields[key] for key in _WORDS if fields.get(key))
    first = next((value for value in found if isinstance(value, str)), "")[:LONGEST]
    if first.lstrip()[:5].lower() in ("<html", "<!doc"):  # a web page gives no reason
        first = ""
    missing = _MISSING.search(first)
    quoted = _QUOTED.search(first)
    return Refusal(
        in_a_line(re.sub(r"\\(.)", r"\1", quoted[1]) if quoted else first),
        str(fields.get("phase", ""))[:40],
        _slot_in(fields.get("attempted-slot")),
        missing[1] if missing else "",
    )


def _slot_in(value: object) -> int | None:
    """A slot in the form of JSON or of a header; None for anything else."""
    text = str(value) if isinstance(value, (int, str)) else ""
    return int(text) if is_number(text) else None


def is_momentary(answer: Response) -> bool:
    """Whether a node lacks a part of its own state for a moment, as it computes the same slot
    twice.

    Measured on nodes of November 2025: mostly it cannot follow a link. Unsigned answers count, too,
    as reading again does no harm.
    """
    return _says(answer, _LACKS)


def has_no_stack(answer: Response) -> bool:
    """Whether a node cannot evaluate read-only in a process that a stack of devices executes.

    Measured on nodes of September and November 2025. Unsigned answers count, too, as this changes
    only a hint.
    """
    return _says(answer, _NO_STACK)


def is_unfit_for_json(answer: Response) -> bool:
    """Whether a node has an answer that JSON cannot hold, as bytes in it are not UTF-8.

    Header fields and parts of a body can hold it. Unsigned answers count, too, as asking for that
    form does no harm.
    """
    return _says(answer, _NO_TEXT)


def _says(answer: Response, any_of: tuple[str, ...]) -> bool:
    words = (answer.header("details"), answer.body[:LONGEST].decode("utf-8", "replace"))
    return answer.status == 500 and any(one in each for each in words for one in any_of)
