"""A secret that only the TPM of an endorsement key can open, for one of its keys.

The verifier wraps a challenge for the EK and the name of the AK. The TPM opens it only if the AK is
loaded in it and its policy is met. The node proves that it has the challenge by an HMAC with it.
Without this, nothing binds the AK to the EK: anybody can write a public area, and sign with any
key.

Source: TPM 2.0 Library Part 1, sections 11.4.10 (KDFa, KDFe), 24 (credentials), B.10.4 and C.6.4.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from aoshell.attest.errors import EvidenceError
from aoshell.attest.tpm.structures import (
    AES,
    CFB,
    SHA256,
    SHA384,
    SHA512,
    PublicArea,
)
from aoshell.protocol.encoding import b64url

LONGEST_CHALLENGE = 32  # bytes
LONGEST_TEXT = 2048  # characters of a value in an activation

ACTIVATION = "lapee-tpm-credential-activation"
ACTIVATION_VERSION = "1.0"
PROOF = "HMAC-SHA256"

_HASHES = {SHA256: "sha256", SHA384: "sha384", SHA512: "sha512"}
_LABEL = b"IDENTITY\0"
_BLOCK = 16  # bytes, of AES


@dataclass(frozen=True, slots=True)
class Credential:
    """A wrapped challenge.

    Attributes:
        blob: the challenge, encrypted, with an HMAC over it and the AK's name (TPM2B_ID_OBJECT).
        secret: the seed of their keys, for the EK (TPM2B_ENCRYPTED_SECRET).
    """

    blob: bytes
    secret: bytes


@dataclass(frozen=True, slots=True)
class ActivationAnswer:
    """What a node answers to a credential. Values are as sent.

    Attributes:
        issued_at: seconds since the Unix epoch, by the node's clock.
        challenge_hash: SHA-256 of what it opened, in base64url.
        proof: HMAC with what it opened, in base64url.
    """

    type: str
    version: str
    issued_at: int
    ak_name: str
    challenge_hash: str
    proof_alg: str
    proof: str


def make_credential(ek: PublicArea, ak_name: bytes, challenge: bytes) -> Credential:
    """Wraps a challenge as TPM2_MakeCredential does, with a new random seed.

    Args:
        ek: an endorsement key that fits a template (`keys.check_ek_template()`).
        ak_name: as this verifier computed it.
        challenge: 1 to 32 random bytes.

    Raises:
        EvidenceError: EK_TEMPLATE: the key's symmetric algorithm is not AES-CFB. TPM_STRUCTURE:
            its public area holds no key.
    """
    if not 0 < len(challenge) <= LONGEST_CHALLENGE:
        raise ValueError(f"a challenge has 1 to {LONGEST_CHALLENGE} bytes, not {len(challenge)}")
    if not ek.symmetric or (ek.symmetric[0], ek.symmetric[2]) != (AES, CFB):
        raise EvidenceError("EK_TEMPLATE", "the endorsement key does not protect by AES-CFB")
    seed, secret = _share_seed(ek)
    digest = _HASHES[ek.name_alg]
    bits = ek.symmetric[1]
    encrypted = _encrypt(derive_key(digest, seed, b"STORAGE", ak_name, bits), _sized(challenge))
    key = derive_key(digest, seed, b"INTEGRITY", b"", 8 * hashlib.new(digest).digest_size)
    integrity = hmac.digest(key, encrypted + ak_name, digest)
    return Credential(_sized(_sized(integrity) + encrypted), _sized(secret))


def check_activation(
    activation: ActivationAnswer, credential: Credential, ak_name: bytes, challenge: bytes
) -> None:
    """Checks that a node opened a credential.

    Raises:
        EvidenceError: ACTIVATION_SHAPE: it is another message. ACTIVATION_PROOF: the node does not
            show that it has the challenge.
    """
    found = (activation.type, activation.version, activation.proof_alg)
    if found != (ACTIVATION, ACTIVATION_VERSION, PROOF):
        what = f"the answer is no activation of a credential: {' '.join(found)!r}"
        raise EvidenceError("ACTIVATION_SHAPE", what)
    if activation.ak_name != b64url(ak_name):
        raise EvidenceError("ACTIVATION_PROOF", "the answer speaks of another attestation key")
    text = proof_text(activation, credential)
    check_proof(activation.challenge_hash, activation.proof, challenge, text)


def check_proof(digest: object, proof: object, secret: bytes, text: bytes) -> None:
    """Checks that whoever answered knew a secret.

    Args:
        digest, proof: of the answer: SHA-256 of the secret, and the HMAC of the text under it, both
            in base64url.

    Raises:
        EvidenceError: ACTIVATION_PROOF.
    """
    known = hashlib.sha256(secret).digest(), hmac.digest(secret, text, "sha256")
    if (digest, proof) != tuple(map(b64url, known)):
        what = "the answer does not show that the node opened the secret"
        raise EvidenceError("ACTIVATION_PROOF", what)


def proof_text(activation: ActivationAnswer, credential: Credential) -> bytes:
    """What the HMAC of an activation is over."""
    lines = {
        "type": activation.type,
        "version": activation.version,
        "proof-alg": activation.proof_alg,
        "ak-name": activation.ak_name,
        "issued-at-unix": str(activation.issued_at),
        "credential-blob": b64url(credential.blob),
        "secret": b64url(credential.secret),
    }
    written = [f"{name}:{value}" for name, value in lines.items()]
    return "\n".join([f"{ACTIVATION}-v1", *written]).encode("utf-8")


def read_activation(members: Mapping[str, object]) -> ActivationAnswer:
    """The fields of an activation. Other members are left out.

    Raises:
        EvidenceError: ACTIVATION_SHAPE: one is missing, or of another type.
    """

    def text(name: str) -> str:
        value = members.get(name)
        if not isinstance(value, str) or not value.isascii() or len(value) > LONGEST_TEXT:
            raise EvidenceError("ACTIVATION_SHAPE", f"{name} of the activation is not a text")
        return value

    issued_at = members.get("issued-at-unix")
    if type(issued_at) is not int or not 0 <= issued_at < 1 << 63:
        what = "issued-at-unix of the activation is not a time"
        raise EvidenceError("ACTIVATION_SHAPE", what)
    return ActivationAnswer(
        type=text("type"),
        version=text("version"),
        issued_at=issued_at,
        ak_name=text("ak-name"),
        challenge_hash=text("credential-secret-sha256"),
        proof_alg=text("proof-alg"),
        proof=text("credential-secret-proof"),
    )


def derive_key(digest: str, key: bytes, label: bytes, context: bytes, bits: int) -> bytes:
    """KDFa: a key from a seed. All that is asked for here fits in one round.

    Args:
        digest: name of the hash, for hashlib.
        bits: of the derived key, no more than the hash has.
    """
    rounds, length = (1).to_bytes(4, "big"), bits.to_bytes(4, "big")
    return hmac.digest(key, rounds + label + b"\0" + context + length, digest)[: bits // 8]


def _share_seed(ek: PublicArea) -> tuple[bytes, bytes]:
    """(seed, what an EK makes the seed from)."""
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, padding
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

    public = ek.as_key()
    digest = _HASHES[ek.name_alg]
    if isinstance(public, RSAPublicKey):
        kind = {"sha256": hashes.SHA256(), "sha384": hashes.SHA384()}.get(digest, hashes.SHA512())
        seed = secrets.token_bytes(kind.digest_size)
        return seed, public.encrypt(seed, padding.OAEP(padding.MGF1(kind), kind, _LABEL))
    own = ec.generate_private_key(public.curve)
    numbers = own.public_key().public_numbers()
    size = (public.key_size + 7) // 8
    x, y, theirs = (one.to_bytes(size, "big") for one in (numbers.x, numbers.y, ek.x))
    shared = own.exchange(ec.ECDH(), public)
    seed = hashlib.new(digest, (1).to_bytes(4, "big") + shared + _LABEL + x + theirs).digest()
    return seed, _sized(x) + _sized(y)


def _encrypt(key: bytes, data: bytes) -> bytes:
    """AES-CFB with an initialisation vector of zeros: each key is used once.

    From single blocks, since the library gives up that mode.
    """
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    block = Cipher(algorithms.AES(key), modes.ECB()).encryptor()
    before, encrypted = bytes(_BLOCK), b""
    for at in range(0, len(data), _BLOCK):
        pad = block.update(before)
        before = bytes(a ^ b for a, b in zip(data[at : at + _BLOCK], pad, strict=False))
        encrypted += before
    return encrypted


def _sized(data: bytes) -> bytes:
    """A byte string after its length in two bytes (TPM2B)."""
    return len(data).to_bytes(2, "big") + data
