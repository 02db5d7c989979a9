"""What a HyperBEAM node says of a request that it did not carry out, in a person's words.

Nodes put it where they like: `reason`, `body`, `error` or `details` (an Erlang term), as header
fields, as JSON or as parts of a body, with the phase and the slot that it tried. Stack traces are
for `.doctor`. Source: answers recorded of nodes of 2025; HyperBEAM `dev_process:compute_to_slot`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from aoshell.nodes.remote.http.answer import Response, in_a_line
from aoshell.nodes.remote.http.pages import is_number

LONGEST = 2048  # characters of a node's words that are looked at
COMPUTE, SCHEDULE = "compute", "get-schedule"  # values of `phase`

_WORDS = ("reason", "body", "error", "details")
_LACKS = ("Lazy link", "{link,", '{badkey,<<"committed">>}')  # as Erlang writes it
# What OTP's json says of bytes that are no UTF-8, and of a character that ends too early.
_NO_TEXT = ("{invalid_byte,", "unexpected_end")
_NO_STACK = ("no_valid_device_stack",)
_MISSING = re.compile(r"necessary_message_not_found,\s*<<\"?[^\">]*\"?>>,\s*<<\"([^\"]*)\">>")
_QUOTED = re.compile(r"<<\"body\">>\s*=>\s*<<\"((?:[^\"\\]|\\.)*)\">>")


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a node did not do something.

    Attributes:
        words: the node's, in a line; "" where it gave none.
        phase: COMPUTE, SCHEDULE, another word, or "".
        slot: the one that it tried, None where it does not say.
        missing: the message that it has not got, "" where it is not that.
    """

    words: str = ""
    phase: str = ""
    slot: int | None = None
    missing: str = ""

    @property
    def is_stuck(self) -> bool:
        """Whether the slot that it names cannot be computed, so that no later one can be."""
        return self.phase == COMPUTE and self.slot is not None

    @property
    def is_early(self) -> bool:
        """Whether the schedule does not reach the slot that was asked for."""
        return self.phase == SCHEDULE


def refusal_in(fields: Mapping[str, object]) -> Refusal:
    """What the fields of an answer say.

    Args:
        fields: those that count: where answers are verified, no more than what was signed.
    """
    found = (fields[key] for key in _WORDS if fields.get(key))
    first = next((value for value in found if isinstance(value, str)), "")[:LONGEST]
    if first.lstrip()[:5].lower() in ("<html", "<!doc"):  # a page says nothing of its own
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
    """A slot as JSON or a header has it; None for anything else."""
    text = str(value) if isinstance(value, (int, str)) else ""
    return int(text) if is_number(text) else None


def is_momentary(answer: Response) -> bool:
    """Whether a node lacks a part of its own state for a moment, as others compute the same slot.

    Measured on nodes of November 2025: the reason is mostly a link that it cannot follow. Reading
    it again does no harm, whoever said it.
    """
    return _says(answer, _LACKS)


def has_no_stack(answer: Response) -> bool:
    """Whether a node cannot evaluate read-only in a process that a stack of devices executes.

    Measured on nodes of September and November 2025. What it says changes a hint only, whoever said
    it.
    """
    return _says(answer, _NO_STACK)


def is_unfit_for_json(answer: Response) -> bool:
    """Whether a node has an answer that JSON cannot hold, as a byte in it is no UTF-8.

    Header fields and parts of a body can: asking for those does no harm, whoever said it.
    """
    return _says(answer, _NO_TEXT)


def _says(answer: Response, any_of: tuple[str, ...]) -> bool:
    words = (answer.header("details"), answer.body[:LONGEST].decode("utf-8", "replace"))
    return answer.status == 500 and any(one in each for each in words for one in any_of)
