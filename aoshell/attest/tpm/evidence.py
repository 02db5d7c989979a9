"""The evidence of a TPM, as nodes give it in their envelopes.

Members that are not known are left out. Binary values come as base64url, or as bytes, and lists as
lists, or as maps with the keys "1", "2" and so on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aoshell.attest.errors import EvidenceError
from aoshell.attest.tpm.eventlog import LARGEST_LOG
from aoshell.attest.tpm.runtime import RuntimeEvent
from aoshell.attest.tpm.structures import (
    LARGEST_NAME,
    LARGEST_PUBLIC,
    LARGEST_QUOTE,
    PCRS,
)
from aoshell.protocol.encoding import brief, unb64url

ERROR = "ENVELOPE_SHAPE"

LARGEST_SIGNATURE = 512  # bytes, RSA-4096
LONGEST_NONCE = 64  # bytes, as much as such a node gives its TPM
LONGEST_PEM = 4096  # characters of a public key
LONGEST_CERTIFICATE = 16 << 10  # characters of PEM
LONGEST_CHAIN = 128 << 10  # characters of PEM
LONGEST_WORD = 256  # characters of other texts
MOST_EVENTS = 64  # in the runtime log
PCR_SIZE = 32  # bytes


@dataclass(frozen=True, slots=True)
class KeyForms:
    """One key, in the forms in which the evidence has it.

    Attributes:
        public: TPM2B_PUBLIC.
        name, qualified_name: as the node has them.
    """

    pem: str
    public: bytes
    name: bytes
    qualified_name: bytes


@dataclass(frozen=True, slots=True)
class QuoteForms:
    """A quote, and what it is over.

    Attributes:
        quoted: TPMS_ATTEST.
        signature: as the key made it, without a structure around it.
        nonce: as the node has it.
        selection: PCRs, as the node has them.
        values: 32 bytes each, by PCR.
    """

    quoted: bytes
    signature: bytes
    nonce: bytes
    selection: tuple[int, ...]
    values: Mapping[int, bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class TpmEvidence:
    """The evidence of a TPM. Nothing is checked but types and sizes.

    Attributes:
        subject: id of the body, 32 bytes, as the node has it.
        ek_certificate, ek_chain: PEM, "" for none.
        manufacturer: the TPM's, as a number of four letters; 0 if the node does not say.
        log: the TCG event log, None if there is none.
        hierarchy: where the node says that its keys are.
    """

    subject: bytes
    extended_pcr: int
    ek: KeyForms
    ak: KeyForms
    ek_certificate: str
    ek_chain: str
    hierarchy: str
    manufacturer: int
    quote: QuoteForms
    runtime: tuple[RuntimeEvent, ...]
    log: bytes | None


def read_tpm_evidence(members: Mapping[str, object]) -> TpmEvidence:
    """The `evidence` of an envelope whose device is a TPM.

    Raises:
        EvidenceError: ENVELOPE_SHAPE: a member is missing, of another type or too large.
    """
    whole = _Members(members, "evidence")
    subject = whole.octets("extended-subject", 32, exactly=True)
    if "extended-subject-digest" in whole and subject != whole.octets(
        "extended-subject-digest", 32
    ):
        raise EvidenceError(ERROR, "extended-subject and its digest are two values")
    log = whole.octets("tcg-event-log", LARGEST_LOG, default=b"")
    length = whole.number("tcg-event-log-length-bytes", default=len(log))
    if length != len(log):
        raise EvidenceError(ERROR, f"the event log has {len(log)} bytes, {length} are announced")
    return TpmEvidence(
        subject=subject,
        extended_pcr=whole.number("extended-pcr"),
        ek=_read_key(whole, "ek"),
        ak=_read_key(whole, "ak"),
        ek_certificate=whole.text("ek-cert-pem", LONGEST_CERTIFICATE, default=""),
        ek_chain=whole.text("ek-cert-chain-pem", LONGEST_CHAIN, default=""),
        hierarchy=whole.text("ak-hierarchy"),
        manufacturer=whole.map("tpm-properties", optional=True).number(
            "manufacturer-u32", default=0
        ),
        quote=_read_quote(whole.map("quote")),
        runtime=_read_runtime(whole.list("runtime-event-log", MOST_EVENTS)),
        log=log or None,
    )


def read_policy_pcrs(members: Mapping[str, object]) -> tuple[int, ...]:
    """The PCRs that a recipient's `binding` says its key's policy is over.

    Raises:
        EvidenceError: ENVELOPE_SHAPE.
    """
    return _read_pcrs(_Members(members, "binding").list("policy-pcrs", PCRS))


def read_key_forms(members: Mapping[str, object], name: str, what: str) -> KeyForms:
    """A key that a map has in all its forms.

    Args:
        name: "ek" or "ak".
        what: the map, for errors ("secret-recipient").

    Raises:
        EvidenceError: ENVELOPE_SHAPE.
    """
    return _read_key(_Members(members, what), name)


def _read_key(members: _Members, name: str) -> KeyForms:
    return KeyForms(
        members.text(f"{name}-pub-pem", LONGEST_PEM),
        members.octets(f"{name}-public", LARGEST_PUBLIC + 2),
        members.octets(f"{name}-name", LARGEST_NAME),
        members.octets(f"{name}-qualified-name", LARGEST_NAME),
    )


def _read_quote(members: _Members) -> QuoteForms:
    values = members.map("pcr-values")
    return QuoteForms(
        quoted=members.octets("quoted", LARGEST_QUOTE),
        signature=members.octets("signature", LARGEST_SIGNATURE),
        nonce=members.octets("nonce", LONGEST_NONCE),
        selection=_read_pcrs(members.list("pcr-selection", PCRS)),
        values={
            pcr: values.octets(name, PCR_SIZE, exactly=True)
            for pcr in range(PCRS)
            if (name := str(pcr)) in values
        },
    )


def _read_pcrs(values: Sequence[object]) -> tuple[int, ...]:
    pcrs: list[int] = []
    for value in values:
        if type(value) is not int or not 0 <= value < PCRS or value in pcrs:
            raise EvidenceError(ERROR, "a selection of PCRs is not a list of different PCRs")
        pcrs.append(value)
    return tuple(pcrs)


def _read_runtime(values: Sequence[object]) -> tuple[RuntimeEvent, ...]:
    events = []
    for value in values:
        if not isinstance(value, Mapping):
            raise EvidenceError(ERROR, "an event of the runtime log is not a map")
        event = _Members(value, "an event of the runtime log")
        events.append(
            RuntimeEvent(
                event.number("seq"),
                event.number("pcr"),
                event.text("event-type"),
                event.octets("digest", PCR_SIZE, exactly=True),
            )
        )
    return tuple(events)


class _Members:
    """Reads members of a map by name. Each method raises EvidenceError (ENVELOPE_SHAPE).

    Args:
        what: the map, for errors.
    """

    def __init__(self, members: Mapping[str, object], what: str) -> None:
        self._members = members
        self._what = what

    def __contains__(self, name: str) -> bool:
        return name in self._members

    def _refuse(self, name: str, why: str) -> EvidenceError:
        return EvidenceError(ERROR, f"{brief(name)} of {self._what} {why}")

    def _member(self, name: str) -> object:
        if name not in self._members:
            raise self._refuse(name, "is missing")
        return self._members[name]

    def text(self, name: str, most: int = LONGEST_WORD, default: str | None = None) -> str:
        """A text of at most so many characters."""
        if default is not None and name not in self:
            return default
        value = self._member(name)
        if not isinstance(value, str):
            raise self._refuse(name, "is not a text")
        if len(value) > most:
            raise self._refuse(name, f"has {len(value)} characters, where {most} is the most")
        return value

    def number(self, name: str, default: int | None = None) -> int:
        """A number from 0 to 2⁶³ − 1."""
        if default is not None and name not in self:
            return default
        value = self._member(name)
        if type(value) is not int or not 0 <= value < 1 << 63:
            raise self._refuse(name, "is not a number, or not in its range")
        return value

    def octets(
        self, name: str, most: int, default: bytes | None = None, exactly: bool = False
    ) -> bytes:
        """Bytes, at most so many."""
        if default is not None and name not in self:
            return default
        value = self._member(name)
        if isinstance(value, str) and len(value) <= 4 * most // 3 + 3:
            try:
                value = unb64url(value)
            except ValueError:
                raise self._refuse(name, "is not base64url") from None
        if isinstance(value, str) or (isinstance(value, bytes) and len(value) > most):
            raise self._refuse(name, f"has more than {most} bytes")
        if not isinstance(value, bytes):
            raise self._refuse(name, "is not base64url")
        if exactly and len(value) != most:
            raise self._refuse(name, f"has {len(value)} bytes, not {most}")
        return value

    def map(self, name: str, optional: bool = False) -> _Members:
        """A map; an empty one if it may be missing."""
        value = {} if optional and name not in self else self._member(name)
        if not isinstance(value, Mapping):
            raise self._refuse(name, "is not a map")
        return _Members(value, name)

    def list(self, name: str, most: int) -> Sequence[object]:
        """A list of at most so many values."""
        value = self._member(name)
        if isinstance(value, Mapping):
            keys = [str(at) for at in range(1, most + 1) if str(at) in value]
            value = [value[key] for key in keys]
            if keys and keys[-1] != str(len(keys)):
                raise self._refuse(name, "is not a list")
        if not isinstance(value, Sequence) or isinstance(value, (str, bytes)):
            raise self._refuse(name, "is not a list")
        if len(value) > most:
            raise self._refuse(name, f"has {len(value)} values, where {most} is the most")
        return value
