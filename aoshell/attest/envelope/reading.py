"""Envelopes of `~measurement@1.0`, from answers of a node.

    type                 "lapee-measurement"
    version              "1.0"
    issued-at-unix       seconds since the Unix epoch, as the node says
    measurement-device   "snp@1.0", "tpm@2.0a"
    body                 what is measured: `system`, what the guest says of itself, and `node`, the
                         configuration of the node with its address
    evidence             of the device
    secret-recipient     the key to which a secret for this machine is encrypted

The node signs all of it. A map in it may come as a link, `key+link` with the id of the map. It is
then fetched, and taken only if it has that id. Source: PermawebOS `dev_measurement`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from aoshell.attest.envelope.ids import has_links, stable_digest, stable_digest_as_came
from aoshell.attest.errors import EvidenceError, InconclusiveError
from aoshell.attest.evidence import Exchange, RawResponse
from aoshell.attest.kinds import Kind
from aoshell.attest.signed import (
    SignedPart,
    check_size,
    is_json,
    read_json,
    read_message,
    verify_message,
)
from aoshell.protocol import httpsig
from aoshell.protocol.encoding import ProtocolError, brief, has_id_form, unb64url
from aoshell.protocol.jsonform import read_json_part
from aoshell.protocol.structured import LinkedItem, Value
from aoshell.protocol.tabm import LINK

TYPE = "lapee-measurement"
CREDENTIAL_TYPE = "lapee-wrapped-secret"  # of a secret that is sent
VERSION = "1.0"
SNP, TPM = "snp@1.0", "tpm@2.0a"
MOCKS = frozenset(("snp-mock@1.0",))
KEYS = {
    "type": str,
    "version": str,
    "issued-at-unix": int,
    "measurement-device": str,
    "body": Mapping,
    "evidence": Mapping,
    "secret-recipient": Mapping,
}
OLDER = ("lapee-attestation-version", "lapee_attestation_version")  # before ~measurement@1.0

MOST_LINKS = 256
DEEPEST = 12  # links in links
LARGEST = 8 << 20  # bytes of an envelope and its linked parts, for each link again
MOST_VALUES = 200_000  # and keys in an envelope; a linked part counts each time it is linked

KINDS = {SNP: Kind.SNP, TPM: Kind.TPM}


def kind_of_envelope(answer: RawResponse) -> Kind:
    """What kind an envelope is of, as it says itself. Raises nothing."""
    try:
        device = read_message(answer, TYPE).get("measurement-device")
    except EvidenceError:
        return Kind.UNKNOWN
    return KINDS.get(device, Kind.UNKNOWN) if isinstance(device, str) else Kind.UNKNOWN


def read_info(answer: RawResponse) -> tuple[str, str]:
    """What `~measurement@1.0/info` says, unverified: the device that measures the node, "" for
    none; and the reason for it, "" if the answer is about something else."""
    try:
        info = read_message(answer, "")
    except EvidenceError as error:
        return "", error.what
    if "selected-measurement-device" not in info:
        return "", ""
    device, why = info["selected-measurement-device"], info.get("selection-reason", "")
    if not isinstance(device, str) or not device:
        return "", "it names no device that measures the node"
    if device == "unavailable":
        return "", f"no device measures the node ({brief(str(why))})"
    return device, brief(str(why))


def check_form(answer: RawResponse) -> str:
    """Checks that an answer has an envelope that can be checked here; returns the device.

    Raises:
        EvidenceError: ENVELOPE_SHAPE, ENVELOPE_VERSION, MEASUREMENT_DEVICE_MOCK, or the answer
            cannot be read at all.
        InconclusiveError: MEASUREMENT_DEVICE_UNSUPPORTED.
    """
    members = read_message(answer, TYPE)
    if older := [members[key] for key in OLDER if key in members]:
        what = f"the envelope has version {brief(str(older[0]))}, from before ~measurement@1.0"
        raise EvidenceError("ENVELOPE_VERSION", what, "ask a node of today: .attest URL")
    for key, form in KEYS.items():
        linked = form is Mapping and key + LINK in members
        if not linked and not _has_form(members.get(key), form):
            why = "has another form" if key in members else "is missing"
            raise EvidenceError("ENVELOPE_SHAPE", f"in the envelope {key} {why}")
    if members["type"] != TYPE:
        what = f"the type is {brief(str(members['type']))}, not {TYPE}"
        raise EvidenceError("ENVELOPE_SHAPE", what)
    if members["version"] != VERSION:
        what = f"the envelope has version {brief(str(members['version']))}; {VERSION} is known"
        raise EvidenceError("ENVELOPE_VERSION", what)
    return _check_device(str(members["measurement-device"]))


def _has_form(value: object, form: type) -> bool:
    return isinstance(value, form) and not isinstance(value, bool)


def _check_device(device: str) -> str:
    if device in MOCKS:
        what = f"{device} is a mock: it measures nothing"
        raise EvidenceError("MEASUREMENT_DEVICE_MOCK", what)
    if device not in KINDS:
        what = f"evidence of {brief(device)} is not checked here; {SNP} and {TPM} are"
        raise InconclusiveError("MEASUREMENT_DEVICE_UNSUPPORTED", what)
    return device


@dataclass(frozen=True)
class Envelope:
    """An envelope, as one key has signed it, all links resolved.

    Attributes:
        signed: what the key has signed, links not resolved.
        members: by key, see the module.
    """

    signed: SignedPart
    members: Mapping[str, Value]

    @property
    def signer(self) -> str:
        """The address of the key that signed."""
        return self.signed.commitment.committer

    @property
    def device(self) -> str:
        return str(self.members["measurement-device"])

    @property
    def body(self) -> Mapping[str, Value]:
        return self._map("body")

    @property
    def evidence(self) -> Mapping[str, Value]:
        return self._map("evidence")

    @property
    def recipient(self) -> Mapping[str, Value]:
        return self._map("secret-recipient")

    @property
    def node(self) -> Mapping[str, Value]:
        """The configuration of the node; {} without one."""
        return map_at(self.body, "node")

    @cached_property
    def body_id(self) -> bytes:
        """The id that the device has measured. Raises AoError: it cannot be computed."""
        as_came = self.signed.tabm.get("body")
        if isinstance(as_came, dict) and not has_links(as_came):
            return stable_digest_as_came(as_came)
        return stable_digest(self.body)

    @cached_property
    def recipient_id(self) -> bytes:
        """The id of the whole `secret-recipient`. Raises AoError: it cannot be computed."""
        return stable_digest(self.recipient)

    def _map(self, key: str) -> Mapping[str, Value]:
        value = self.members[key]
        assert isinstance(value, Mapping)
        return value


def map_at(message: Mapping[str, Value], key: str) -> Mapping[str, Value]:
    """The map under a key; {} if there is none."""
    value = message.get(key)
    return value if isinstance(value, Mapping) else {}


def verify_envelope(answer: RawResponse) -> SignedPart:
    """What one key has signed of an envelope: all its keys, else it is refused.

    Raises:
        EvidenceError: HTTPSIG_COVERAGE, or as `verify_message()`.
    """
    signed = answer.once(verify_message, TYPE)
    for key in KEYS:
        if key not in signed.message and key + LINK not in signed.message:
            what = f"{key} of the envelope is not signed"
            raise EvidenceError("HTTPSIG_COVERAGE", what)
    return signed


def resolve_envelope(signed: SignedPart, links: Links) -> Envelope:
    """An envelope with all that it links to.

    Raises:
        EvidenceError: LINK_MISMATCH, ENVELOPE_LIMIT, ENVELOPE_SHAPE.
        InconclusiveError: LINK_UNAVAILABLE.
    """
    members = links.resolve(signed.message)
    if links.missing:
        what = f"parts of the envelope are missing: {', '.join([*links.missing][:3])}"
        raise InconclusiveError("LINK_UNAVAILABLE", what, "attest the URL of the node itself")
    for key, form in KEYS.items():
        if not _has_form(members.get(key), form):
            raise EvidenceError("ENVELOPE_SHAPE", f"in the envelope {key} has another form")
    return Envelope(signed, members)


class Links:
    """The parts of an envelope that were fetched by their ids.

    Args:
        answers: of the node, by id; not trusted.
        read: parts that were read from these answers before; more are added.

    Attributes:
        missing: ids that were met and have no answer, in the order in which they were met, as keys.
    """

    def __init__(
        self, answers: Mapping[str, RawResponse], read: dict[str, Value] | None = None
    ) -> None:
        self._answers = answers
        self.missing: dict[str, None] = {}
        self._found: dict[str, Value] = {} if read is None else read
        self._left = MOST_VALUES
        self._room = LARGEST
        if len(answers) > MOST_LINKS:
            raise _limit(f"more than {MOST_LINKS} links")
        if sum(map(size_of, answers.values())) > LARGEST:
            raise _limit(f"more than {LARGEST} bytes after its links")

    def resolve(self, message: Mapping[str, Value], depth: int = 0) -> dict[str, Value]:
        """A message with what it links to in place. What is missing stays a link.

        Raises:
            EvidenceError: LINK_MISMATCH, ENVELOPE_LIMIT.
        """
        resolved: dict[str, Value] = {}
        for key, value in message.items():
            name = key.removesuffix(LINK)
            if name in resolved:
                raise EvidenceError("LINK_MISMATCH", f"{brief(name)} is there and linked to")
            self._count(name)
            if name == key:
                resolved[key] = self._inside(value, depth)
            elif (part := self._part(value)) is None:
                resolved[key] = value
            else:
                resolved[name] = self._behind(part, depth)
        return resolved

    def _behind(self, part: Value, depth: int) -> Value:
        if depth == DEEPEST:
            raise _limit(f"links nested deeper than {DEEPEST}")
        return self._inside(part, depth + 1)

    def _inside(self, value: Value, depth: int) -> Value:
        if isinstance(value, LinkedItem):
            part = self._part(str(value))
            return value if part is None else self._behind(part, depth)
        if isinstance(value, Mapping):
            self._count("")
            return self.resolve(value, depth)
        if isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
            self._count("")
            return [self._inside(inner, depth) for inner in value]
        self._count(value if isinstance(value, (str, bytes)) else "")
        return value

    def _count(self, text: str | bytes) -> None:
        """Counts a value, or a key. What is met twice is hashed twice."""
        self._left -= 1
        self._room -= len(text)
        if self._left < 0:
            raise _limit(f"more than {MOST_VALUES} values")
        if self._room < 0:
            raise _limit(f"more than {LARGEST} bytes with what it links to")

    def _part(self, link: Value) -> Value:
        """What has an id, a map or a list; None if it is missing."""
        if not isinstance(link, str) or not has_id_form(link):
            raise EvidenceError("LINK_MISMATCH", f"{brief(str(link))} is not an id")
        if link in self._found:
            return self._found[link]
        if link not in self._answers:
            self.missing.setdefault(link)
            if len(self._answers) + len(self.missing) > MOST_LINKS:
                raise _limit(f"more than {MOST_LINKS} links")
            return None
        found = self._found[link] = self._answers[link].once(read_part, link)
        return found


def _limit(what: str) -> EvidenceError:
    return EvidenceError("ENVELOPE_LIMIT", f"the envelope has {what}")


def read_part(answer: RawResponse, link: str) -> Value:
    """What an answer has under this id. Raises EvidenceError: LINK_MISMATCH."""
    check_size(answer)
    try:
        if is_json(answer):
            return read_json_part(read_json(answer.body), link)
        return httpsig.read_part(answer.headers, answer.body, link)
    except (ProtocolError, EvidenceError) as error:
        raise EvidenceError("LINK_MISMATCH", f"after the link {link}: {error.what}") from None


def size_of(answer: RawResponse) -> int:
    """Bytes of an answer, its headers included."""
    return len(answer.body) + sum(len(name) + len(value) for name, value in answer.headers)


class LinkSearch:
    """Finds the ids to which the envelopes of an exchange link. A node decides how often this runs,
    so each envelope is verified once, and each part is read once."""

    def __init__(self, exchange: Exchange) -> None:
        self._read: dict[str, Value] = {}
        self._messages: list[Mapping[str, Value]] = []
        try:
            for answer in filter(None, (exchange.boot, exchange.fresh)):
                self._messages.append(verify_envelope(answer).message)
        except EvidenceError:
            self._messages.clear()

    def wanted(self, answers: Mapping[str, RawResponse]) -> tuple[str, ...]:
        """Ids that are linked to and not among the answers; () if the envelopes are refused anyway.
        Raises nothing.

        Args:
            answers: those of the last call, and more.
        """
        found: dict[str, None] = {}
        for message in self._messages:
            try:
                links = Links(answers, self._read)
                links.resolve(message)
            except EvidenceError:
                return ()
            found |= links.missing
        return tuple(found)


def octets_at(message: Mapping[str, Value], key: str, most: int, error: str) -> bytes:
    """The bytes that a message has under a key, in base64url.

    Args:
        most: bytes.
        error: the name of the error if they are missing, too many, or no base64url.

    Raises:
        EvidenceError: `error`.
    """
    value = message.get(key)
    if not isinstance(value, str):
        raise EvidenceError(error, f"{key} is {'no text' if key in message else 'missing'}")
    if len(value) > most * 4 // 3 + 4:
        raise EvidenceError(error, f"{key} has more than {most} bytes")
    try:
        found = unb64url(value)
    except ValueError:
        raise EvidenceError(error, f"{key} is not base64url") from None
    if len(found) > most:
        raise EvidenceError(error, f"{key} has more than {most} bytes")
    return found
