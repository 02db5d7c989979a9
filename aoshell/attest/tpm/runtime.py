"""The events that a node extends into PCR 15: its body's id, and the hash of its boot log.

No firmware extends PCR 15. A node does so once, at its start, so a quote of it ties all that the
TPM signs to one subject. Any program could extend more later: then the events are not the expected
ones.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from aoshell.attest.errors import EvidenceError

PCR = 15

SUBJECT = "EV_HYPERBEAM_BOOT_ATTESTATION_SUBJECT"
LOG_TIP = "EV_HYPERBEAM_TCG_LOG_TIP_COMMITMENT"


@dataclass(frozen=True, slots=True)
class RuntimeEvent:
    """One event of the node's own log.

    Attributes:
        sequence: its place among all.
        type: what it is said to be (`SUBJECT`). Not extended.
        digest: 32 bytes, which were extended.
    """

    sequence: int
    pcr: int
    type: str
    digest: bytes


def replay_runtime(events: Sequence[RuntimeEvent]) -> bytes:
    """What PCR 15 holds by these events, of any PCR."""
    value = bytes(32)
    for event in _of_pcr(events):
        value = hashlib.sha256(value + event.digest).digest()
    return value


def check_runtime(
    events: Sequence[RuntimeEvent], quoted: bytes, body_id: bytes, log: bytes | None
) -> None:
    """Checks that PCR 15 holds a subject and the log of its boot, and nothing else.

    Args:
        events: of the runtime log, in any order.
        quoted: the value of PCR 15.
        body_id: the subject, 32 bytes: the id of the body as this verifier computed it.
        log: the TCG event log that came with the evidence, None if none came.

    Raises:
        EvidenceError: PCR15_REPLAY, PCR15_SUBJECT, PCR15_LOG_TIP, PCR15_EXTRA_EVENT.
    """
    extended = _of_pcr(events)
    if len({one.sequence for one in extended}) < len(extended):
        raise EvidenceError("PCR15_REPLAY", "two events of the runtime log have one number")
    if replay_runtime(events) != quoted:
        what = "the runtime log does not lead to the quoted value of PCR 15"
        raise EvidenceError("PCR15_REPLAY", what)
    if not extended or (extended[0].type, extended[0].digest) != (SUBJECT, body_id):
        what = "the first event of PCR 15 is not the body of this evidence"
        raise EvidenceError("PCR15_SUBJECT", what)
    due = 1
    if log is not None:
        due = 2
        tip = hashlib.sha256(log).digest()
        if len(extended) < due or (extended[1].type, extended[1].digest) != (LOG_TIP, tip):
            what = "the second event of PCR 15 is not the event log of this evidence"
            raise EvidenceError("PCR15_LOG_TIP", what)
    if len(extended) > due:
        what = f"PCR 15 has {len(extended)} events, where {due} are due"
        raise EvidenceError("PCR15_EXTRA_EVENT", what)


def _of_pcr(events: Sequence[RuntimeEvent]) -> list[RuntimeEvent]:
    return sorted((one for one in events if one.pcr == PCR), key=lambda one: one.sequence)
