"""Simulated nodes with `~measurement@1.0`, in an SEV-SNP guest and with a TPM, on many switches."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from amd import Line, Sample, check_form
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from der_writer import NOW
from ek import Maker, profile
from envelope_wire import (
    JSON,
    Message,
    canonical,
    in_memory_order,
    part_as_json,
    set_apart,
    sign,
    sign_tabm,
    wrapped,
)
from served import Wire
from simulated_tpm import SimulatedTpm

from aoshell.attest.envelope import activation, snp
from aoshell.attest.envelope.ids import stable_id
from aoshell.attest.evidence import Activation, Collateral, Evidence, Exchange, RawResponse
from aoshell.attest.policy import Image, Policy
from aoshell.attest.tpm.credential import ACTIVATION, Credential, make_credential
from aoshell.attest.tpm.eventlog import read_event_log
from aoshell.attest.tpm.secureboot import read_programs
from aoshell.attest.verify import Verdict, verify_evidence
from aoshell.attest.x509.material import bundle_as_pem
from aoshell.protocol import nested, signing, wire
from aoshell.protocol.commitment import CURRENT
from aoshell.protocol.encoding import b64url, unb64url
from aoshell.protocol.structured import LARGEST_READ, from_tabm, to_tabm
from aoshell.protocol.wallet import Wallet

NONCE = bytes(range(32))
BOOT_NONCE = b"b" * 32
SECRET = b"s" * 32
MEASUREMENT = bytes(range(48))
IMAGE = Image("the image", measurement=MEASUREMENT, covers_os=True)
POLICY = Policy(trusted=(IMAGE,))

Change = Callable[[Any, Any], Any]


def same(value: Any, _node: Any) -> Any:
    return value


@dataclass(frozen=True, kw_only=True)
class EnvelopeNode:
    """What nodes of all devices have in common.

    Attributes:
        configuration: more keys of its configuration.
        recipient_, evidence_: change these parts before they are measured or sent.
        message: changes the envelope before it is signed, wire: afterwards.
        proof: changes the answer to a secret before it is signed.
        send: makes an answer of a message.
        apart: paths of what comes as links ("body", "evidence/quote"), the outer ones last.
        stored: what they link to, by id.
        signs_recipient: the recipient of secrets carries a signature of its own.
        answers: of paths that are not answered as they should be; None for 404.
        signer: of its answers, prover: of the answer to a secret; the node's own wallet unless
            given.
    """

    wallet: Wallet
    configuration: Mapping[str, Any] = field(default_factory=dict)
    recipient_: Change = same
    evidence_: Change = same
    message: Change = same
    wire: Change = same
    proof: Change = same
    send: Callable[[Wallet, Mapping[str, Any]], Wire] = sign
    signer: Wallet | None = None
    prover: Wallet | None = None
    apart: tuple[str, ...] = ()
    stored: dict[str, Wire] = field(default_factory=dict)
    signs_recipient: bool = False
    answers: Mapping[str, Wire | None] = field(default_factory=dict)
    device = ""

    def but(self, **parts: Any) -> Self:
        return replace(self, **parts)

    @cached_property
    def body(self) -> Message:
        system = {
            "schema": "lapee-system-report@1",
            "probed-at-unix": 1_790_000_000,
            "boot": {"image": {"available": True, "id": "x"}, "loaded-uki": {}},
            "cpu": {"mhz": 2450.5, "flags": ["sev", "sev_es"], "none": None},
            "tpm": {"firmware-version-u64": 2315977366801874944, "signature": "s"},
            "integrity": [],
        }
        node = {
            "address": self.wallet.address,
            "initialized": "permanent",
            "port": 8734,
            "load-remote-devices": False,
            **self.configuration,
        }
        return canonical({"system": system, "node": node})

    @cached_property
    def body_id(self) -> str:
        """The id of its body, computed in the order of its memory."""
        return signing.tabm_id(in_memory_order(to_tabm(self.body, LARGEST_READ)), CURRENT)

    @property
    def made_recipient(self) -> Message:
        raise NotImplementedError

    def made_evidence(self, nonce: bytes) -> Message:
        raise NotImplementedError

    def open_secret(self, credential: Mapping[str, Any]) -> Message:
        """What it answers to a secret, before it is signed."""
        raise NotImplementedError

    def credential(self) -> dict[str, str]:
        """A secret for it."""
        raise NotImplementedError

    @cached_property
    def recipient(self) -> Message:
        changed: Message = self.recipient_(self.made_recipient, self)
        return changed

    def envelope(self, nonce: bytes = NONCE) -> Message:
        made = {
            "type": "lapee-measurement",
            "version": "1.0",
            "issued-at-unix": NOW,
            "measurement-device": self.device,
            "body": self.body,
            "evidence": self.evidence_(self.made_evidence(nonce), self),
            "secret-recipient": self.recipient,
        }
        changed: Message = self.message(made, self)
        return changed

    def measured(self, nonce: bytes = NONCE) -> Wire:
        found: Wire = self.wire(self._sent(self.envelope(nonce)), self)
        return found

    def _sent(self, envelope: Message) -> Wire:
        wallet = self.signer or self.wallet
        if not self.apart and not self.signs_recipient:
            return self.send(wallet, envelope)
        tabm = to_tabm(envelope, LARGEST_READ)
        if self.signs_recipient:
            inner = tabm["secret-recipient"]
            assert isinstance(inner, dict)
            signatures = signing.commit(wallet, inner, profile=CURRENT)
            tabm["secret-recipient"] = nested.carry(inner, signatures, lambda _: "")
        for path in self.apart:
            tabm = set_apart(tabm, path, wallet, self.stored)
        return sign_tabm(wallet, tabm)

    def opened(self, credential: Mapping[str, Any]) -> Wire:
        made = self.proof(self.open_secret(credential), self)
        return wrapped(self.prover or self.wallet, made)

    def activation(self) -> Activation:
        credential = self.credential()
        return Activation(SECRET, credential, raw(self.opened(credential)))

    def exchange(self, **parts: Any) -> Exchange:
        """As if asked, without HTTP."""
        made = {
            "boot": raw(self.measured(BOOT_NONCE)),
            "fresh": raw(self.measured()),
            "nonce": NONCE,
            "asked_now": True,
            "activation": self.activation(),
            **parts,
        }
        links = {id_: raw(answer) for id_, answer in self.stored.items()}
        return Exchange(**{"links": links, **made})

    def respond(self, path: str, headers: list[tuple[str, str]], body: bytes) -> Wire | None:
        asked = urlsplit(path)
        if asked.path in self.answers:
            return self.answers[asked.path]
        if (id_ := asked.path.removeprefix("/")) in self.stored:
            found = self.stored[id_]
            return part_as_json(found) if ("accept", JSON) in headers else found
        match asked.path:
            case "/~measurement@1.0/info":
                return sign(self.wallet, {"status": 200, "body": self.info})
            case "/~measurement@1.0/boot":
                return self.measured(BOOT_NONCE)
            case "/~measurement@1.0/fresh":
                return self.measured(unb64url(parse_qs(asked.query)["nonce"][0]))
            case "/~measurement@1.0/unwrap-secret":
                fields = wire.join(headers)
                credential: Any = from_tabm(wire.decode(fields, body)[0])["credential"]
                return self.opened(credential)
        return None

    @property
    def info(self) -> Message:
        return {
            "version": "1.0",
            "selected-measurement-device": self.device,
            "selection-reason": "auto",
            "available-candidates": [{"device": self.device, "supported": True}],
        }


@dataclass(frozen=True, kw_only=True)
class SnpNode(EnvelopeNode):
    """A node in an SEV-SNP guest.

    Attributes:
        report_values: fields of its report.
        vmpl: that its report comes from.
        context: changes what it says of how it asked for the report.
        seed: of the key for secrets.
    """

    line: Line
    version: int = 3
    report_values: Mapping[str, Any] = field(default_factory=dict)
    vmpl: int = 0
    context: Change = same
    seed: bytes = b"k" * 32
    device = "snp@1.0"

    @cached_property
    def key(self) -> X25519PrivateKey:
        return X25519PrivateKey.from_private_bytes(self.seed)

    @cached_property
    def device_context(self) -> Message:
        due = {
            "vmpl": self.vmpl,
            "report-data-context": snp.CONTEXT,
            "secret-method": snp.METHOD,
        }
        changed: Message = self.context(due, self)
        return changed

    @property
    def made_recipient(self) -> Message:
        public = self.key.public_key().public_bytes_raw()
        return {
            "type": "lapee-secret-recipient",
            "version": "1.0",
            "measurement-device": self.device,
            "method": snp.METHOD,
            "key-id": b64url(hashlib.sha256(public).digest()),
            "public-material": {"x25519-public-key": b64url(public)},
            "binding": {
                "report-data-context": snp.CONTEXT,
                "body-id": self.body_id,
                "device-context": self.device_context,
                "device-context-digest": stable_id(self.device_context),
            },
        }

    def report_data(self, nonce: bytes) -> bytes:
        ids = (
            unb64url(self.body_id),
            nonce,
            unb64url(stable_id(self.recipient)),
            unb64url(self.recipient["binding"]["device-context-digest"]),
        )
        return hashlib.sha512(snp.CONTEXT.encode() + b"".join(ids)).digest()

    def sample(self, nonce: bytes = NONCE) -> Sample:
        values = {
            "report_data": self.report_data(nonce),
            "measurement": MEASUREMENT,
            "vmpl": self.vmpl,
            **self.report_values,
        }
        return self.line.sample(self.version, **values)

    def made_evidence(self, nonce: bytes) -> Message:
        return {
            "type": snp.TYPE,
            "version": "1.0",
            "nonce": b64url(nonce),
            "report-data": b64url(self.report_data(nonce)),
            "report-raw": b64url(self.sample(nonce).report),
            "report": {"measurement": "not what is checked"},
            "certificates": {},
            "secret-recipient-id": stable_id(self.recipient),
            "device-context": self.device_context,
        }

    def open_secret(self, credential: Mapping[str, Any]) -> Message:
        public = X25519PublicKey.from_public_bytes(unb64url(credential["ephemeral-public-key"]))
        context = ("lapee-snp-wrap-secret-v1:" + credential["subject-id"]).encode()
        derived = HKDF(SHA256(), 32, unb64url(credential["salt"]), context)
        sealed = unb64url(credential["ciphertext"]) + unb64url(credential["tag"])
        opener = AESGCM(derived.derive(self.key.exchange(public)))
        secret = opener.decrypt(unb64url(credential["iv"]), sealed, context)
        text = "\n".join(
            (
                "lapee-secret-activation-v1",
                "measurement-device:snp@1.0",
                f"method:{snp.METHOD}",
                f"issued-at-unix:{NOW}",
                f"credential-id:{signing.unsigned_id(credential, CURRENT)}",
            )
        )
        return {
            "type": "lapee-secret-activation",
            "issued-at-unix": NOW,
            "credential-secret-sha256": b64url(hashlib.sha256(secret).digest()),
            "proof-alg": "HMAC-SHA256",
            "credential-secret-proof": b64url(hmac.digest(secret, text.encode(), "sha256")),
        }

    def credential(self) -> dict[str, str]:
        public = self.key.public_key().public_bytes_raw()
        return activation.wrap_secret(SECRET, public, stable_id(self.recipient))

    def verify(
        self, policy: Policy = POLICY, exchange: Exchange | None = None, **wishes: Any
    ) -> Verdict:
        evidence = Evidence(exchange=exchange or self.exchange())
        return self.sample().verify(policy, evidence=evidence, **wishes)


@dataclass(frozen=True, kw_only=True)
class TpmNode(EnvelopeNode):
    """A node on a machine with a TPM.

    Attributes:
        maker: of the TPM, who certified its endorsement key.
        parts: of the `SimulatedTpm`, if they are to be others.
        certificate: in place of the maker's, in PEM.
        crls: lists of revoked certificates that the verifier has.
    """

    maker: Maker
    ak_key: RSAPrivateKey
    parts: Mapping[str, Any] = field(default_factory=dict)
    certificate: str | None = None
    crls: bytes = b""
    device = "tpm@2.0a"

    @cached_property
    def tpm(self) -> SimulatedTpm:
        body_id = unb64url(self.body_id)
        parts = {"ek_key": self.maker.ek_key, "body_id": body_id, **self.parts}
        return SimulatedTpm(ak_key=self.ak_key, **parts)

    @property
    def made_recipient(self) -> Message:
        return self.tpm.recipient()

    def made_evidence(self, nonce: bytes) -> Message:
        certificate = pem(self.maker.ek) if self.certificate is None else self.certificate
        named = profile(self.maker.ek).manufacturer
        return self.tpm.evidence(nonce) | {
            "ek-cert-pem": certificate,
            "ek-cert-chain-pem": pem(self.maker.ca) + pem(self.maker.root),
            "tpm-properties": {"available": True, "manufacturer-u32": named},
        }

    def credential(self) -> dict[str, str]:
        made = make_credential(self.tpm.ek_area, self.tpm.ak_area.name, SECRET)
        return {
            "type": "lapee-wrapped-secret",
            "version": "1.0",
            "measurement-device": self.device,
            "method": "tpm2-activate-credential",
            "subject-id": stable_id(self.recipient),
            "credential-blob": b64url(made.blob),
            "secret": b64url(made.secret),
        }

    def open_secret(self, credential: Mapping[str, Any]) -> Message:
        sent = Credential(unb64url(credential["credential-blob"]), unb64url(credential["secret"]))
        secret = self.tpm.activate(sent) or b"not opened"
        return prove(b64url(self.tpm.ak_area.name), credential, secret)

    @cached_property
    def image(self) -> Image:
        """What it booted."""
        log = read_event_log(self.tpm.raw_log)
        return Image("the image", efi=read_programs(log), pcr11=self.tpm.values[11])

    def verify(
        self, policy: Policy | None = None, exchange: Exchange | None = None, **wishes: Any
    ) -> Verdict:
        policy = policy or Policy(trusted=(self.image,), ek_revocation=False)
        verdict = verify_evidence(
            Evidence(exchange=exchange or self.exchange()),
            Collateral(ek_chain=self.crls),
            policy,
            wishes.pop("at", NOW),
            test_ek_roots=self.maker.roots,
            **wishes,
        )
        check_form(verdict)
        return verdict


def prove(name: str, credential: Mapping[str, Any], secret: bytes) -> Message:
    """The answer of a node with a TPM that opened a secret, before it is signed.

    Args:
        name: of its attestation key.
    """
    lines = {
        "type": ACTIVATION,
        "version": "1.0",
        "proof-alg": "HMAC-SHA256",
        "ak-name": name,
        "issued-at-unix": str(NOW),
        "credential-blob": credential["credential-blob"],
        "secret": credential["secret"],
    }
    text = "\n".join([f"{ACTIVATION}-v1", *(f"{key}:{one}" for key, one in lines.items())])
    return {
        "type": ACTIVATION,
        "version": "1.0",
        "issued-at-unix": NOW,
        "ak-name": name,
        "credential-secret-sha256": b64url(hashlib.sha256(secret).digest()),
        "proof-alg": "HMAC-SHA256",
        "credential-secret-proof": b64url(hmac.digest(secret, text.encode(), "sha256")),
    }


def pem(certificate: bytes) -> str:
    return bundle_as_pem([certificate]).decode()


def raw(answer: Wire) -> RawResponse:
    return RawResponse(tuple(answer[0]), answer[1])
