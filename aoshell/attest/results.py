"""Attested results: what an answer is worth when it comes from a node whose key was attested."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from aoshell.attest.answer import verify
from aoshell.attest.errors import EvidenceError
from aoshell.attest.evidence import Answer
from aoshell.protocol.structured import Value

HASHPATH, IDS, CHALLENGE = "hashpath", "ids", "challenge"


@dataclass(frozen=True, slots=True)
class Asked:
    """What is known of a request, to tell whether an answer is one to it.

    Attributes:
        hashpath: the one computed for the request, "" where it cannot be.
        fields: keys of the answer and what they must be, such as process and slot.
        challenge: a random value that was sent along, "" without.
    """

    hashpath: str = ""
    fields: Mapping[str, Value] = field(default_factory=dict)
    challenge: str = ""


@dataclass(frozen=True, slots=True)
class Attested:
    """The part of an answer that the attested key stands for.

    Attributes:
        message: the signed part, nothing else.
        unsigned: names of what came besides. It may be shown, as unsigned.
        binding: what ties the answer to the request, the strongest first: HASHPATH, IDS, CHALLENGE;
            () where it could be the answer to another. Only CHALLENGE tells that it is new.
    """

    message: Mapping[str, Value]
    unsigned: tuple[str, ...]
    binding: tuple[str, ...]


def read(answer: Answer, address: str, asked: Asked, shown: str = "") -> Attested:
    """What the attested key says in an answer.

    Args:
        address: of the key that an attestation vouches for.
        shown: the key whose value is to be shown as the result, "" for none in particular.

    Raises:
        EvidenceError: ADDRESS_MISMATCH, where another key has signed; UNSIGNED_CONTENT, where
            `shown` is not signed; HTTPSIG_… and CONTENT_DIGEST.
    """
    signed = verify(answer)
    if signed.commitment.committer != address:
        what = f"signed by {signed.commitment.committer}, not by the attested key"
        raise EvidenceError("ADDRESS_MISMATCH", what)
    if shown and shown not in signed.message:
        raise EvidenceError("UNSIGNED_CONTENT", f"{shown} is no part of what was signed")
    binding = _binding(signed.message, signed.commitment.tag, asked)
    return Attested(signed.message, signed.uncovered, binding)


def _binding(message: Mapping[str, Value], tag: str, asked: Asked) -> tuple[str, ...]:
    same = [message.get(key) == value for key, value in asked.fields.items()]
    echoes = (message.get("challenge"), message.get("body"))
    ties = {
        HASHPATH: bool(asked.hashpath) and tag == asked.hashpath,
        IDS: bool(same) and all(same),
        CHALLENGE: bool(asked.challenge) and asked.challenge in echoes,
    }
    return tuple(name for name, holds in ties.items() if holds)
