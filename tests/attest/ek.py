"""A synthetic maker of TPMs: a root, authorities below it, EK certificates and CRLs.

Its root is trusted by nobody but a caller that passes `Maker.roots` as `test_roots`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from der_writer import (
    DAY,
    NOW,
    CrlDraft,
    Draft,
    constraints,
    extension,
    integer,
    oid,
    seq,
    spki,
    tlv,
    usage,
    utc,
)

from aoshell.attest.errors import EvidenceError, InconclusiveError
from aoshell.attest.tpm.ek_certificate import EkCertificate, check_profile
from aoshell.attest.tpm.ek_path import EkPath, EkPool, find_path
from aoshell.attest.tpm.roots import EkRoot
from aoshell.attest.x509.certificates import Certificate

ENCIPHER, AGREE, SIGN_CERTIFICATES, SIGN_BOTH = 0x20, 0x08, 0x04, 0x06
MANUFACTURER, MODEL, VERSION = "2.23.133.2.1", "2.23.133.2.2", "2.23.133.2.3"
EK_PURPOSE = "2.23.133.8.1"
NULL = b"\x05\0"


def ecdsa(bits_of_hash: int = 384, null: bool = False) -> bytes:
    last = {256: 2, 384: 3, 512: 4}[bits_of_hash]
    return seq(oid(f"1.2.840.10045.4.3.{last}"), NULL if null else b"")


def pkcs1(bits_of_hash: int = 256, null: bool = True) -> bytes:
    last = {256: 11, 384: 12, 512: 13}[bits_of_hash]
    return seq(oid(f"1.2.840.113549.1.1.{last}"), NULL if null else b"")


HASHES: dict[int, Any] = {256: hashes.SHA256(), 384: hashes.SHA384(), 512: hashes.SHA512()}


def sign_ecdsa(key: Any, content: bytes, bits_of_hash: int = 384) -> bytes:
    return key.sign(content, ec.ECDSA(HASHES[bits_of_hash]))


def sign_rsa(key: Any, content: bytes, bits_of_hash: int = 256) -> bytes:
    return key.sign(content, padding.PKCS1v15(), HASHES[bits_of_hash])


def text(value: str) -> bytes:
    return tlv(0x0C, value.encode())


def attribute(dotted: str, value: str) -> bytes:
    return seq(oid(dotted), text(value))


def called(common: str) -> bytes:
    """A name with an organization and a common name."""
    return seq(
        tlv(0x31, attribute("2.5.4.10", "Synthetic")), tlv(0x31, attribute("2.5.4.3", common))
    )


def tpm_name(
    manufacturer: str = "id:494E5443", model: str = "SYN", version: str = "id:00010002"
) -> bytes:
    pairs = ((MANUFACTURER, manufacturer), (MODEL, model), (VERSION, version))
    return seq(*(tlv(0x31, attribute(*pair)) for pair in pairs))


def alternative(name: bytes | None = None, critical: bool = True) -> bytes:
    return extension("2.5.29.17", seq(tlv(0xA4, name or tpm_name())), critical)


def purposes(*dotted: str, critical: bool = False) -> bytes:
    return extension("2.5.29.37", seq(*map(oid, dotted or (EK_PURPOSE,))), critical)


def key_ids(own: Any = None, issuer: Any = None) -> tuple[bytes, ...]:
    """Identifiers of the subject's key and of the issuer's."""
    found = []
    if own:
        found.append(extension("2.5.29.14", tlv(4, key_id(own))))
    if issuer:
        found.append(extension("2.5.29.35", seq(tlv(0x80, key_id(issuer)))))
    return tuple(found)


def key_id(key: Any) -> bytes:
    return hashlib.sha256(spki(key)).digest()[:20]


def url(value: str) -> bytes:
    return tlv(0x86, value.encode())


def issuer_at(value: str) -> bytes:
    """Authority information access."""
    return extension("1.3.6.1.5.5.7.1.1", seq(seq(oid("1.3.6.1.5.5.7.48.2"), url(value))))


def crl_at(value: str, issuer: bytes | None = None) -> bytes:
    point = tlv(0xA0, tlv(0xA0, url(value)))
    return extension("2.5.29.31", seq(seq(point, tlv(0xA2, tlv(0xA4, issuer)) if issuer else b"")))


def scope(
    *, at: str = "", users: bool = False, authorities: bool = False, indirect: bool = False
) -> bytes:
    """Issuing distribution point."""
    true = b"\xff"
    inside = (
        tlv(0xA0, tlv(0xA0, url(at))) if at else b"",
        tlv(0x81, true) if users else b"",
        tlv(0x82, true) if authorities else b"",
        tlv(0x84, true) if indirect else b"",
    )
    return extension("2.5.29.28", seq(*inside), critical=True)


def entry(serial: int, issuer: bytes | None = None, *extra: bytes) -> bytes:
    extensions = list(extra)
    if issuer:
        extensions.append(extension("2.5.29.29", seq(tlv(0xA4, issuer)), critical=True))
    return seq(integer(serial), utc(NOW - DAY), seq(*extensions) if extensions else b"")


class Maker:
    """Root → Issuing CA → EK certificates. All keys are on P-384, the EK's is RSA-2048."""

    def __init__(self) -> None:
        self.root_key, self.ca_key, self.other_key = (
            ec.generate_private_key(ec.SECP384R1()) for _ in range(3)
        )
        self.ek_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    def draft(self, own: str, issuer: str, key: Any, signer: Any, **parts: Any) -> Draft:
        """An authority's certificate."""
        common: dict[str, Any] = {
            "subject": called(own),
            "issuer": called(issuer),
            "key": spki(key),
            "extensions": (usage(SIGN_BOTH), constraints()),
            "signer": signer,
            "serial": integer(int.from_bytes(hashlib.sha256(own.encode()).digest()[:8], "big")),
            "algorithm": ecdsa(),
            "sign": sign_ecdsa,
        }
        return Draft(**(common | parts))

    @cached_property
    def root_draft(self) -> Draft:
        return self.draft("Root", "Root", self.root_key, self.root_key)

    @cached_property
    def ca_draft(self) -> Draft:
        return self.draft("Issuing CA", "Root", self.ca_key, self.root_key)

    @cached_property
    def ek_draft(self) -> Draft:
        return self.draft(
            "",
            "Issuing CA",
            self.ek_key,
            self.ca_key,
            subject=seq(),
            serial=integer(0xE0),
            extensions=(usage(ENCIPHER), constraints(ca=False), purposes(), alternative()),
        )

    @cached_property
    def root(self) -> bytes:
        return self.root_draft.der()

    @cached_property
    def ca(self) -> bytes:
        return self.ca_draft.der()

    @cached_property
    def ek(self) -> bytes:
        return self.ek_draft.der()

    @property
    def roots(self) -> Mapping[str, EkRoot]:
        return {hashlib.sha256(self.root).hexdigest(): EkRoot("INTC", "a synthetic root")}

    def path(
        self,
        leaf: bytes | None = None,
        enclosed: Iterable[bytes] = (),
        given: Iterable[bytes] | None = None,
        at: int = NOW,
    ) -> EkPath:
        """The path of an EK certificate; the verifier gives authority and root unless told."""
        return find_path(
            profile(leaf or self.ek),
            EkPool.read(b"".join(enclosed), (self.ca, self.root) if given is None else given),
            at,
            test_roots=self.roots,
        )

    def crl(
        self,
        *entries: bytes,
        issuer: str = "Issuing CA",
        signer: Any = None,
        this_update: int = NOW - DAY,
        next_update: int | None = NOW + DAY,
        extensions: tuple[bytes, ...] = (),
    ) -> bytes:
        draft = CrlDraft(
            algorithm=ecdsa(),
            issuer=called(issuer),
            this_update=this_update,
            next_update=next_update,
            entries=entries,
            extensions=extensions,
        )
        return draft.der(lambda content: sign_ecdsa(signer or self.ca_key, content))

    def root_crl(self, *entries: bytes, **parts: Any) -> bytes:
        return self.crl(*entries, **({"issuer": "Root", "signer": self.root_key} | parts))


def profile(leaf: bytes) -> EkCertificate:
    return check_profile(Certificate.parse(leaf, written_defaults=True))


def refusal(run: Callable[[], object]) -> EvidenceError:
    """The error that something ends with."""
    with pytest.raises(EvidenceError) as raised:
        run()
    return raised.value


def refused(run: Callable[[], object], name: str, why: str, inconclusive: bool = False) -> None:
    """Checks the error that something ends with."""
    error = refusal(run)
    assert (error.error, isinstance(error, InconclusiveError)) == (name, inconclusive), error.what
    assert why in error.what
