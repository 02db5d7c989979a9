"""What endorsement and attestation keys must be, and that all forms of one key are the same key.

An EK's private part must stay in its TPM and must decrypt only for the TPM itself: otherwise a
secret wrapped for it proves nothing. An AK must be `restricted`: otherwise its TPM signs any bytes
with it, such as a forged quote.

Sources: TCG EK Credential Profile 2.6, sections B.3 (L-1, L-2) and B.4 (H-1 to H-7) with the
policies of section B.6; for the AK, the nodes that make it.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass

from aoshell.attest.errors import EvidenceError
from aoshell.attest.tpm.structures import (
    AES,
    CFB,
    ECC,
    RSA,
    RSAPSS,
    SHA256,
    SHA384,
    SHA512,
    PublicArea,
    attribute_bits,
    attribute_names,
    qualified_name,
)
from aoshell.attest.x509.keys import read_public_key

_LOW = attribute_bits(
    *("fixedTPM", "fixedParent", "sensitiveDataOrigin", "adminWithPolicy"),
    *("restricted", "decrypt"),
)
_HIGH = _LOW | attribute_bits("userWithAuth")

# PolicySecret(endorsement hierarchy), and in the high range an alternative by an NV index.
_LOW_POLICY = bytes.fromhex("837197674484b3f81a90cc8d46a5d724fd52d76e06520b64f2a1da1b331469aa")
_HIGH_POLICIES = {
    SHA256: bytes.fromhex("ca3d0a99a2b93906f7a3342414efcfb3a385d44cd1fd459089d19b5071c0b7a0"),
    SHA384: bytes.fromhex(
        "b26e7d28d11a50bc53d882bcf5fd3a1a074148bb35d3b4e4"
        "cb1c0ad9bde419cacb47ba09699646150f9fc000f3f80e12"
    ),
    SHA512: bytes.fromhex(
        "b8221ca69e8550a4914de3faa6a18c072cc01208073a928d5d66d59ef79e49a4"
        "29c41a6b269571d57edb25fbdb1838425608b413cd616a5f6db5b6071af99bea"
    ),
}


_BEGIN, _END = (f"-----{word} PUBLIC KEY-----".split() for word in ("BEGIN", "END"))


@dataclass(frozen=True, slots=True)
class EkTemplate:
    """What a kind of endorsement key has, beside the key itself.

    Attributes:
        aes: bits of the AES key by which it protects others.
    """

    type: int
    key_bits: int
    name_alg: int
    attributes: int
    policy: bytes
    aes: int

    def fits(self, public: PublicArea) -> bool:
        found = (public.type, public.key_bits, public.name_alg, public.attributes, public.policy)
        due = (self.type, self.key_bits, self.name_alg, self.attributes, self.policy)
        symmetric = (AES, self.aes, CFB)
        return found == due and public.symmetric == symmetric and public.scheme is None


def _high(kind: int, bits: int, name_alg: int, aes: int) -> EkTemplate:
    return EkTemplate(kind, bits, name_alg, _HIGH, _HIGH_POLICIES[name_alg], aes)


EK_TEMPLATES = {
    "L-1": EkTemplate(RSA, 2048, SHA256, _LOW, _LOW_POLICY, 128),
    "L-2": EkTemplate(ECC, 256, SHA256, _LOW, _LOW_POLICY, 128),
    "H-1": _high(RSA, 2048, SHA256, 128),
    "H-2": _high(ECC, 256, SHA256, 128),
    "H-3": _high(ECC, 384, SHA384, 256),
    "H-4": _high(ECC, 521, SHA512, 256),
    "H-6": _high(RSA, 3072, SHA384, 256),
    "H-7": _high(RSA, 4096, SHA384, 256),
}
"""By the name that TCG gives it. H-5 (SM2) is not verified."""

AK_ATTRIBUTES = attribute_bits(
    *("fixedTPM", "fixedParent", "sensitiveDataOrigin", "adminWithPolicy"),
    *("noDA", "restricted", "sign"),
)


def check_ek_template(public: PublicArea) -> str:
    """The name of the template that an endorsement key is made by.

    Raises:
        EvidenceError: EK_TEMPLATE.
    """
    for name, template in EK_TEMPLATES.items():
        if template.fits(public):
            return name
    set_ = ", ".join(attribute_names(public.attributes)) or "none"
    what = f"the endorsement key is made by no template of TCG's (attributes: {set_})"
    raise EvidenceError("EK_TEMPLATE", what)


def check_ak_template(public: PublicArea) -> None:
    """Checks that an attestation key can sign nothing but what its TPM made, in one way.

    Raises:
        EvidenceError: AK_ATTRIBUTES, AK_SCHEME.
    """
    wrong = attribute_names(public.attributes ^ AK_ATTRIBUTES)
    if wrong:
        parts = [f"{one} is {'set' if public.is_set(one) else 'not set'}" for one in wrong]
        what = f"the attestation key is not as it must be: {', '.join(parts)}"
        raise EvidenceError("AK_ATTRIBUTES", what)
    found = (public.type, public.key_bits, public.exponent, public.name_alg)
    if found != (RSA, 2048, 65537, SHA256) or public.symmetric:
        what = "the attestation key is not an RSA key of 2048 bits with a name by SHA-256"
        raise EvidenceError("AK_SCHEME", what)
    if public.scheme != (RSAPSS, SHA256):
        raise EvidenceError("AK_SCHEME", "the attestation key does not sign by RSA-PSS and SHA-256")


def check_ek_forms(public: PublicArea, pem: str, name: bytes, qualified: bytes) -> None:
    """Checks that what the evidence says of an endorsement key follows from its public area.

    Args:
        pem, name, qualified: the key, its name and its qualified name, as the evidence has them.

    Raises:
        EvidenceError: EK_KEY_MISMATCH, TPM_STRUCTURE.
    """
    if not _is_same_key(public, pem):
        raise EvidenceError("EK_KEY_MISMATCH", "ek-pub-pem and ek-public are two keys")
    if name != public.name:
        raise EvidenceError("EK_KEY_MISMATCH", "ek-name is not the name of ek-public")
    if qualified != qualified_name(public.name):
        what = "ek-qualified-name is not that of ek-public in the endorsement hierarchy"
        raise EvidenceError("EK_KEY_MISMATCH", what)


def check_ak_forms(public: PublicArea, pem: str, name: bytes, qualified: bytes) -> None:
    """Checks that what the evidence says of an attestation key follows from its public area.

    Args:
        pem, name, qualified: the key, its name and its qualified name, as the evidence has them.

    Raises:
        EvidenceError: AK_KEY_MISMATCH, AK_NAME, AK_QUALIFIED_NAME, TPM_STRUCTURE.
    """
    if not _is_same_key(public, pem):
        raise EvidenceError("AK_KEY_MISMATCH", "ak-pub-pem and ak-public are two keys")
    if name != public.name:
        raise EvidenceError("AK_NAME", "ak-name is not the name of ak-public")
    if qualified != qualified_name(public.name):
        what = "ak-qualified-name is not that of a primary key of the endorsement hierarchy"
        raise EvidenceError("AK_QUALIFIED_NAME", what)


def _is_same_key(public: PublicArea, pem: str) -> bool:
    """Whether a PEM is the one way to write this key, but for blanks and ends of lines."""
    # Not by the library: what it takes to read PEM costs as much to import as all else of it.
    words, key = pem.split(), public.as_key()
    if (words[:3], words[-3:]) != (_BEGIN, _END):
        return False
    text = "".join(words[3:-3])
    try:
        octets = base64.b64decode(text, validate=True)
        return base64.b64encode(octets).decode() == text and read_public_key(octets) == key
    except (ValueError, EvidenceError):
        return False
