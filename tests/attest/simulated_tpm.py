"""A TPM in this process: two keys, PCRs, quotes, and the opening of credentials.

Its evidence has the shape in which nodes give it. What it makes is judged by vectors of a software
TPM (data/tpm), and by that TPM itself where it is installed.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from tpm_writer import LogDraft, QuoteDraft, boot_log, public_area, sized

from aoshell.attest.tpm.credential import Credential, derive_key
from aoshell.attest.tpm.keys import AK_ATTRIBUTES, EK_TEMPLATES
from aoshell.attest.tpm.quote import POLICY_SETS, pcr_policy
from aoshell.attest.tpm.runtime import LOG_TIP, SUBJECT
from aoshell.attest.tpm.structures import (
    AES,
    CFB,
    ENDORSEMENT,
    RSAPSS,
    SHA256,
    PublicArea,
    qualified_name,
)
from aoshell.protocol.encoding import b64url

OLDER, NEWER = POLICY_SETS


@dataclass
class SimulatedTpm:
    """A TPM that has booted, and whose node has extended what it is.

    Attributes:
        body_id: what the node extended into PCR 15 first, 32 bytes.
        log: of the boot; what it extends is in the PCRs.
        pcrs: those that are quoted.
        ek_attributes: of the endorsement key, if they are to be others than its template's.
        ak_attributes, ak_scheme: of the attestation key, if they are to be wrong.
        hierarchy: where the attestation key is.
        extended: digests that go into PCR 15 behind those due.
    """

    ek_key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
    ak_key: rsa.RSAPrivateKey
    body_id: bytes = bytes(range(32))
    log: LogDraft = field(default_factory=boot_log)
    pcrs: Sequence[int] = NEWER
    template: str = "L-1"
    ek_attributes: int | None = None
    ak_attributes: int = AK_ATTRIBUTES
    ak_scheme: tuple[int, int] = (RSAPSS, SHA256)
    hierarchy: int = ENDORSEMENT
    extended: Sequence[bytes] = ()
    clock: int = 5000

    def __post_init__(self) -> None:
        self.raw_log = self.log.write()
        self.runtime: list[tuple[str, bytes]] = [
            (SUBJECT, self.body_id),
            (LOG_TIP, hashlib.sha256(self.raw_log).digest()),
            *(("EV_OTHER", digest) for digest in self.extended),
        ]
        self.values = {pcr: bytes(32) for pcr in range(24)} | self.log.pcrs()
        self.values[10] = hashlib.sha256(b"measured by IMA").digest()
        for _, digest in self.runtime:
            self.extend(15, digest)
        self.policy = pcr_policy(self.quoted_values)

    def extend(self, pcr: int, digest: bytes) -> None:
        self.values[pcr] = hashlib.sha256(self.values[pcr] + digest).digest()

    @property
    def quoted_values(self) -> dict[int, bytes]:
        return {pcr: self.values[pcr] for pcr in self.pcrs}

    @property
    def ek_area(self) -> PublicArea:
        made = EK_TEMPLATES[self.template]
        attributes = made.attributes if self.ek_attributes is None else self.ek_attributes
        symmetric = (AES, made.aes, CFB)
        raw = public_area(
            self.ek_key.public_key(), attributes, made.policy, symmetric, None, made.name_alg
        )
        return PublicArea.parse(raw)

    @property
    def ak_area(self) -> PublicArea:
        raw = public_area(
            self.ak_key.public_key(), self.ak_attributes, self.policy, scheme=self.ak_scheme
        )
        return PublicArea.parse(raw)

    def quote(self, nonce: bytes, **wrong: Any) -> tuple[bytes, bytes]:
        """(TPMS_ATTEST, its signature). `wrong` are fields of QuoteDraft."""
        whole = b"".join(self.values[pcr] for pcr in sorted(self.pcrs))
        fields: dict[str, Any] = {
            "name": self.ak_area.name,
            "nonce": nonce,
            "pcr_digest": hashlib.sha256(whole).digest(),
            "selection": [(SHA256, self.pcrs)],
            "hierarchy": self.hierarchy,
            "clock": self.clock,
        }
        quoted = QuoteDraft(**fields | wrong).write()
        self.clock += 10
        return quoted, self.sign(quoted)

    def sign(self, quoted: bytes, salt: int = 32) -> bytes:
        pss = padding.PSS(padding.MGF1(hashes.SHA256()), salt)
        return self.ak_key.sign(quoted, pss, hashes.SHA256())

    def activate(self, credential: Credential) -> bytes | None:
        """What a credential holds; None if it is not for these keys."""
        return activate(self.ek_key, self.ek_area, self.ak_area.name, credential)

    def evidence(self, nonce: bytes) -> dict[str, Any]:
        """As the envelope of a node has it. Certificates are left to the caller."""
        quoted, signature = self.quote(nonce)
        return evidence(
            body_id=self.body_id,
            ek=self.ek_area,
            ak=self.ak_area,
            pcrs=self.pcrs,
            values=self.quoted_values,
            nonce=nonce,
            quoted=quoted,
            signature=signature,
            log=self.raw_log,
            runtime=self.runtime,
        ) | {"ak-qualified-name": b64url(qualified_name(self.ak_area.name, self.hierarchy))}

    def recipient(self) -> dict[str, Any]:
        """The `secret-recipient` beside that evidence."""
        return recipient(self.ek_area, self.ak_area, self.pcrs)


def keys(ek: PublicArea, ak: PublicArea) -> dict[str, str]:
    """Both keys in all their forms, as evidence and recipient have them."""
    return {
        f"{name}-{form}": value
        for name, area in (("ek", ek), ("ak", ak))
        for form, value in {
            "pub-pem": pem(area),
            "public": b64url(sized(area.raw)),
            "name": b64url(area.name),
            "qualified-name": b64url(qualified_name(area.name)),
        }.items()
    }


def pem(area: PublicArea) -> str:
    """With an empty line at its end, as Erlang writes it."""
    form = PublicFormat.SubjectPublicKeyInfo
    return area.as_key().public_bytes(Encoding.PEM, form).decode() + "\n"


def evidence(
    *,
    body_id: bytes,
    ek: PublicArea,
    ak: PublicArea,
    pcrs: Sequence[int],
    values: Mapping[int, bytes],
    nonce: bytes,
    quoted: bytes,
    signature: bytes,
    log: bytes,
    runtime: Sequence[tuple[str, bytes]],
) -> dict[str, Any]:
    """The evidence map of an envelope, without certificates."""
    return {
        "extended-subject": b64url(body_id),
        "extended-subject-digest": b64url(body_id),
        "extended-pcr": 15,
        "ek-cert-pem": "",
        "ek-cert-chain-pem": "",
        "ek-cert-source": {"kind": "tpm-nv", "handle": "0x01C00002"},
        **keys(ek, ak),
        "ak-hierarchy": "endorsement",
        "tpm-session-mode": "hmac-aes128cfb",
        "tpm-properties": {
            "available": True,
            "manufacturer": "\0\0\x10\x14",
            "manufacturer-u32": 0x1014,
            "firmware-version-u64": 2315977366801874944,
        },
        "quote": {
            "pcr-selection": [*pcrs],
            "nonce": b64url(nonce),
            "quoted": b64url(quoted),
            "signature": b64url(signature),
            "pcr-values": {str(pcr): b64url(value) for pcr, value in values.items()},
        },
        "runtime-event-log": [
            {"seq": at, "pcr": 15, "event-type": kind, "digest": b64url(digest)}
            for at, (kind, digest) in enumerate(runtime)
        ],
        "tcg-event-log": b64url(log),
        "tcg-event-log-length-bytes": len(log),
        "tcg-event-log-format": "crypto-agile",
        "tcg-event-log-source-path": "/sys/kernel/security/tpm0/binary_bios_measurements",
    }


def recipient(ek: PublicArea, ak: PublicArea, pcrs: Sequence[int]) -> dict[str, Any]:
    """The secret-recipient map of an envelope."""
    known = keys(ek, ak)
    material = ("ek-public", "ek-pub-pem", "ak-public", "ak-pub-pem", "ak-name")
    return {
        "type": "lapee-tpm-credential-subject",
        "version": "1.0",
        "measurement-device": "tpm@2.0a",
        "method": "tpm2-activate-credential",
        "key-id": known["ak-name"],
        "binding": {"kind": "ak-policy-pcr", "pcr": 15, "policy-pcrs": [*pcrs]},
        **known,
        "public-material": {name: known[name] for name in material},
        "tpm-properties": {"available": True, "manufacturer-u32": 0x1014},
    }


def activate(
    ek_key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey,
    ek: PublicArea,
    ak_name: bytes,
    credential: Credential,
) -> bytes | None:
    """TPM2_ActivateCredential: the challenge, or None if the credential is not for these keys."""
    digest = {0x0B: "sha256", 0x0C: "sha384", 0x0D: "sha512"}[ek.name_alg]
    size = hashlib.new(digest).digest_size
    whole, inner = (int.from_bytes(credential.blob[at : at + 2], "big") for at in (0, 2))
    if (whole, inner) != (len(credential.blob) - 2, size):
        return None
    seed = _open_seed(ek_key, digest, ek, credential.secret[2:])
    integrity, encrypted = credential.blob[4 : 4 + size], credential.blob[4 + size :]
    key = derive_key(digest, seed, b"INTEGRITY", b"", 8 * size)
    if integrity != hmac.digest(key, encrypted + ak_name, digest):
        return None
    assert ek.symmetric
    key = derive_key(digest, seed, b"STORAGE", ak_name, ek.symmetric[1])
    block = Cipher(algorithms.AES(key), modes.ECB()).encryptor()
    opened, before = b"", bytes(16)
    for at in range(0, len(encrypted), 16):
        part = encrypted[at : at + 16]
        opened += bytes(a ^ b for a, b in zip(part, block.update(before), strict=False))
        before = part
    return opened[2 : 2 + int.from_bytes(opened[:2], "big")]


def _open_seed(
    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey, digest: str, ek: PublicArea, secret: bytes
) -> bytes:
    if isinstance(key, rsa.RSAPrivateKey):
        kind = {"sha256": hashes.SHA256(), "sha384": hashes.SHA384()}.get(digest, hashes.SHA512())
        return key.decrypt(secret, padding.OAEP(padding.MGF1(kind), kind, b"IDENTITY\0"))
    size = (key.key_size + 7) // 8
    x, y = secret[2 : 2 + size], secret[4 + size :]
    point = ec.EllipticCurvePublicNumbers(
        int.from_bytes(x, "big"), int.from_bytes(y, "big"), key.curve
    )
    shared = key.exchange(ec.ECDH(), point.public_key())
    theirs = ek.x.to_bytes(size, "big")
    text = (1).to_bytes(4, "big") + shared + b"IDENTITY\0" + x + theirs
    return hashlib.new(digest, text).digest()
