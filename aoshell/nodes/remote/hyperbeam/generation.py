"""Which generation of HyperBEAM a node is of, and how that generation is spoken to.

A node is asked nothing for it: the label and the key id of any signature of its own say it. What a
generation does was measured on real nodes: June 2025 (edge 3635c5e6), September 2025 (2b638f2b) and
November 2025 (edge 18673986); the names of 2026 are from its sources.
"""

from __future__ import annotations

from dataclasses import dataclass

from aoshell.protocol.commitment import CURRENT, EDGE, Profile
from aoshell.protocol.httpsig import Checked, SignatureStatus

JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Generation:
    """How the nodes of some versions are spoken to.

    Attributes:
        name: as users read it.
        profile: how messages are signed for them.
        json: whether they give JSON that carries its commitments, and so can be verified, to who
            accepts JSON. Older ones answer 500 to that.
        dryrun: whether they evaluate a signed message read-only (`as=execution`).
        stacks: whether they read lists in definitions, as stacks of devices are.
    """

    name: str
    profile: Profile
    json: bool
    dryrun: bool
    stacks: bool


JUNE = Generation("June 2025 (edge)", EDGE, json=False, dryrun=False, stacks=False)
LATER = Generation("September 2025 or later", CURRENT, json=True, dryrun=True, stacks=True)

GENERATIONS = (JUNE, LATER)  # oldest first
_BY_PROFILE = {generation.profile.name: generation for generation in GENERATIONS}


def generation_of(checked: Checked) -> Generation | None:
    """The generation of the node that signed an answer; None where the answer does not say.

    Only signatures that fit count: somebody on the way could add others.
    """
    signers = (one for one in checked.commitments if one.committer)
    first = next(signers, None)
    if checked.outcome is not SignatureStatus.VERIFIED:
        return None
    return _BY_PROFILE.get(first.profile.name) if first else None
