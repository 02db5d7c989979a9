"""Finds out a node's generation of HyperBEAM, and how to talk to it.

This needs no request: the label and the key id of any signature of the node show it. The abilities
of a generation were measured on real nodes: June 2025 (edge 3635c5e6), September 2025 (2b638f2b)
and November 2025 (edge 18673986); the names of 2026 are from its sources.
"""

from __future__ import annotations

from dataclasses import dataclass

from aoshell.protocol.commitment import CURRENT, EDGE, Profile
from aoshell.protocol.httpsig import Checked, SignatureStatus

JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Generation:
    """How to talk to the nodes of some versions.

    Attributes:
        name: for users.
        profile: how to sign messages for them.
        json: whether they can answer in JSON with commitments, which can be verified. Older nodes
            answer 500 to that.
        dryrun: whether they evaluate a signed message read-only (`as=execution`).
        stacks: whether they read lists in definitions, such as stacks of devices.
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
    """The generation of the node that signed an answer; None if the answer does not show it.

    Only valid signatures count, as anyone in between could add others.
    """
    signers = (one for one in checked.commitments if one.committer)
    first = next(signers, None)
    if checked.outcome is not SignatureStatus.VERIFIED:
        return None
    return _BY_PROFILE.get(first.profile.name) if first else None
