"""Envelopes over a TPM 2.0: its keys, its certificate, its quote, and who opens secrets.

Each case is one edit of an envelope that passes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from der_writer import DAY, NOW
from ek import Maker, entry
from envelope_edits import ended, set_
from envelope_node import NONCE, SECRET, TpmNode, pem, prove, raw
from simulated_tpm import NEWER, OLDER
from tpm_writer import boot_log

from aoshell.attest.evidence import Activation
from aoshell.attest.policy import Policy
from aoshell.attest.tpm.credential import Credential, make_credential
from aoshell.attest.tpm.keys import AK_ATTRIBUTES, EK_TEMPLATES
from aoshell.attest.tpm.structures import RSASSA, SHA256, attribute_bits
from aoshell.attest.verify import Verdict
from aoshell.protocol.encoding import b64url, unb64url

OWNER = 0x40000001
OTHER = b64url(b"\1" * 34)


def of_the_tpm(node: TpmNode, **parts: Any) -> Verdict:
    """The verdict of a node whose TPM is another."""
    return node.but(parts=parts).verify()


def flipped(value: str) -> str:
    octets = bytearray(unb64url(value))
    octets[len(octets) // 2] ^= 1
    return b64url(bytes(octets))


def edit_quote(name: str, change: Callable[[Any], Any]) -> Callable[[Any, Any], Any]:
    def changed(evidence: Any, _node: Any) -> Any:
        quote = evidence["quote"]
        return evidence | {"quote": quote | {name: change(quote[name])}}

    return changed


# --- keys


def test_an_endorsement_key_that_anyone_can_use(tpm_node: TpmNode) -> None:
    """Certified as it is, and it opens the secret: whatever asks the TPM has it opened."""
    attributes = EK_TEMPLATES["L-1"].attributes
    for name in ("restricted", "fixedTPM"):
        other = {"ek_attributes": attributes ^ attribute_bits(name)}
        ended(of_the_tpm(tpm_node, **other), "EK_TEMPLATE")


def test_an_endorsement_certificate_that_has_expired(tpm_node: TpmNode, maker: Maker) -> None:
    for not_after, error in ((NOW, ""), (NOW - 1, "EK_CERT_EXPIRED")):
        certificate = pem(maker.ek_draft.but(not_after=not_after).der())
        assert tpm_node.but(certificate=certificate).verify().error == error


@pytest.mark.parametrize(
    ("parts", "error"),
    [
        *(
            ({"ak_attributes": AK_ATTRIBUTES ^ attribute_bits(name)}, "AK_ATTRIBUTES")
            for name in (
                *("restricted", "fixedTPM", "fixedParent", "sensitiveDataOrigin"),
                *("userWithAuth", "adminWithPolicy", "noDA", "decrypt", "sign", "x509sign"),
            )
        ),
        ({"ak_scheme": (RSASSA, SHA256)}, "AK_SCHEME"),
        ({"hierarchy": OWNER}, "AK_QUALIFIED_NAME"),
        ({"pcrs": (0, 1, 4, 7, 11, 14, 15)}, "AK_POLICY_PCRS"),
        ({"pcrs": (0, 1, 7, 10, 14, 15)}, "QUOTE_SELECTION"),
        ({"pcrs": (0, 1, 4, 7, 10, 11, 14)}, "QUOTE_SELECTION"),
        ({"pcrs": range(24)}, "AK_POLICY_PCRS"),
        ({"extended": [b"\1" * 32]}, "PCR15_EXTRA_EVENT"),
        ({"body_id": b"\1" * 32}, "BODY_ID_MISMATCH"),
    ],
)
def test_another_tpm(tpm_node: TpmNode, parts: dict[str, Any], error: str) -> None:
    ended(of_the_tpm(tpm_node, **parts), error)


EVIDENCE: Mapping[str, tuple[str, Any, str]] = {
    "no EK certificate": ("ek-cert-pem", "", "EK_CERT_MISSING"),
    "garbage for an EK certificate": ("ek-cert-pem", "x", "EK_CERT_PARSE"),
    "bytes that are no text": ("ek-cert-pem", "\udcff\udcfe", "EK_CERT_PARSE"),
    "ek-name": ("ek-name", OTHER, "EK_KEY_MISMATCH"),
    "ek-qualified-name": ("ek-qualified-name", OTHER, "EK_KEY_MISMATCH"),
    "ak-name": ("ak-name", OTHER, "AK_NAME"),
    "ak-qualified-name": ("ak-qualified-name", OTHER, "AK_QUALIFIED_NAME"),
    "ak-hierarchy": ("ak-hierarchy", "owner", "AK_QUALIFIED_NAME"),
    "extended-pcr": ("extended-pcr", 16, "PCR15_SUBJECT"),
    "extended-subject": ("extended-subject", b64url(b"\1" * 32), "ENVELOPE_SHAPE"),
    "manufacturer": ("tpm-properties/manufacturer-u32", 0x49465800, "EK_VENDOR_MISMATCH"),
    "no quote": ("quote", None, "ENVELOPE_SHAPE"),
    "nonce": ("quote/nonce", b64url(b"n" * 32), "NONCE_MISMATCH"),
    "selection": ("quote/pcr-selection", [0, 1, 7, 11, 15], "QUOTE_SELECTION"),
    "selection with a text": ("quote/pcr-selection", [0, "1"], "ENVELOPE_SHAPE"),
    "selection twice": ("quote/pcr-selection", [0, 0, 1], "ENVELOPE_SHAPE"),
    "a value missing": ("quote/pcr-values/7", None, "QUOTE_SELECTION"),
    "a value more": ("quote/pcr-values/23", b64url(bytes(32)), "QUOTE_SELECTION"),
    "a short value": ("quote/pcr-values/7", b64url(bytes(31)), "ENVELOPE_SHAPE"),
    "no runtime log": ("runtime-event-log", [], "PCR15_REPLAY"),
    "runtime log of maps that are none": ("runtime-event-log", ["x"], "ENVELOPE_SHAPE"),
    "no event log": ("tcg-event-log", None, "ENVELOPE_SHAPE"),
    "length of the log": ("tcg-event-log-length-bytes", 7, "ENVELOPE_SHAPE"),
    "log of another boot": ("tcg-event-log", "AAAA", "ENVELOPE_SHAPE"),
}


@pytest.mark.parametrize("name", EVIDENCE)
def test_edits_of_the_evidence(tpm_node: TpmNode, name: str) -> None:
    path, value, error = EVIDENCE[name]
    ended(tpm_node.but(evidence_=set_(path, value)).verify(), error)


def test_no_event_log_is_inconclusive_only_if_none_was_extended(tpm_node: TpmNode) -> None:
    def without(evidence: Any, _node: Any) -> Any:
        return {key: one for key, one in evidence.items() if not key.startswith("tcg-event-log")}

    ended(tpm_node.but(evidence_=without).verify(), "PCR15_EXTRA_EVENT")


RECIPIENT: Mapping[str, tuple[str, Any, str]] = {
    "ak-name": ("ak-name", OTHER, "RECIPIENT_MISMATCH"),
    "material": ("public-material/ak-name", OTHER, "RECIPIENT_MISMATCH"),
    "no material": ("public-material", None, "RECIPIENT_MISMATCH"),
    "key-id": ("key-id", OTHER, "RECIPIENT_KEY_ID"),
    "type": ("type", "lapee-secret-recipient", "ENVELOPE_SHAPE"),
    "method of SNP": (
        "method",
        "snp-report-data-x25519-hkdf-sha256-aes-256-gcm",
        "ENVELOPE_SHAPE",
    ),
    "policy over fewer": ("binding/policy-pcrs", list(OLDER), "AK_POLICY_PCRS"),
    "policy over others": ("binding/policy-pcrs", [0, 1, 2], "AK_POLICY_PCRS"),
    "policy over none": ("binding/policy-pcrs", [], "AK_POLICY_PCRS"),
    "no policy": ("binding/policy-pcrs", None, "ENVELOPE_SHAPE"),
}


@pytest.mark.parametrize("name", RECIPIENT)
def test_edits_of_the_recipient(tpm_node: TpmNode, name: str) -> None:
    path, value, error = RECIPIENT[name]
    ended(tpm_node.but(recipient_=set_(path, value)).verify(), error)


def test_a_recipient_of_another_key(
    tpm_node: TpmNode, tpm_keys: tuple[rsa.RSAPrivateKey, rsa.RSAPrivateKey]
) -> None:
    other = tpm_node.but(ak_key=tpm_keys[0])
    node = tpm_node.but(recipient_=lambda *_: other.made_recipient)
    ended(node.verify(), "RECIPIENT_MISMATCH")


# --- the EK's certificate, and who can activate


def test_the_certificate_of_another_tpm_with_own_keys(tpm_node: TpmNode) -> None:
    """An EK certificate is public. Keys, PCRs and quote are the attacker's own."""
    own_ek = rsa.generate_private_key(65537, 2048)
    node = tpm_node.but(parts={"ek_key": own_ek})
    ended(node.verify(), "EK_KEY_MISMATCH")


def test_own_attestation_key_beside_a_genuine_ek(tpm_node: TpmNode) -> None:
    """All public parts of the EK are genuine; its TPM is elsewhere and opens nothing."""
    genuine = tpm_node.tpm.ek_area
    exchange = tpm_node.exchange()
    for answer in ({"activation": None}, {"activation": refused(exchange.activation)}):
        verdict = tpm_node.verify(exchange=replace(exchange, **answer))
        ended(verdict, "AK_UNBOUND", "INCONCLUSIVE")
    for guess in (b"not opened", bytes(32), b""):
        node = Guessing(**fields_of(tpm_node), guess=guess)
        ended(node.verify(), "ACTIVATION_PROOF")
    assert genuine.name == tpm_node.tpm.ek_area.name


def refused(sent: Activation | None) -> Activation:
    assert sent
    return replace(sent, answer=None, unanswered="it does not open secrets")


def fields_of(node: TpmNode) -> dict[str, Any]:
    return {one.name: getattr(node, one.name) for one in fields(node)}


@dataclass(frozen=True, kw_only=True)
class Guessing(TpmNode):
    """A node that has the keys in software, and not the secret."""

    guess: bytes = b""

    def open_secret(self, credential: Mapping[str, Any]) -> dict[str, Any]:
        return prove(b64url(self.tpm.ak_area.name), credential, self.guess)


def test_a_guess_of_the_right_secret_is_the_secret(tpm_node: TpmNode) -> None:
    assert Guessing(**fields_of(tpm_node), guess=SECRET).verify().verdict == "PASS"


def test_the_secret_opened_by_another_key_of_the_same_tpm(tpm_node: TpmNode) -> None:
    """The credential is for another name; its TPM opens it, and not for this key."""
    made = make_credential(tpm_node.tpm.ek_area, b"\0\x0b" + b"\1" * 32, SECRET)
    assert tpm_node.tpm.activate(made) is None
    sent = tpm_node.credential()
    assert tpm_node.tpm.activate(credential_of(sent)) == SECRET
    other = tpm_node.but(parts={"clock": 9, "log": boot_log(programs=(b"another",))})
    assert other.tpm.activate(credential_of(sent)) is None
    answer = raw(other.opened(sent))
    exchange = tpm_node.exchange(activation=Activation(SECRET, sent, answer))
    ended(tpm_node.verify(exchange=exchange), "ACTIVATION_PROOF")


def credential_of(sent: Mapping[str, str]) -> Credential:
    return Credential(unb64url(sent["credential-blob"]), unb64url(sent["secret"]))


@pytest.mark.parametrize("name", ["credential-blob", "secret"])
def test_a_kept_credential_that_is_none(tpm_node: TpmNode, name: str) -> None:
    sent = tpm_node.activation()
    for wrong in ("?", "", "\udcff"):
        changed = replace(sent, credential={**sent.credential, name: wrong})
        exchange = tpm_node.exchange(activation=changed)
        assert tpm_node.verify(exchange=exchange).error in ("ACTIVATION_SHAPE", "ACTIVATION_PROOF")


def test_no_certificate_leads_to_a_root_of_the_vendor(tpm_node: TpmNode, maker: Maker) -> None:
    ended(
        tpm_node.but(evidence_=set_("ek-cert-chain-pem", "")).verify(),
        *("EK_CHAIN_UNAVAILABLE", "INCONCLUSIVE"),
    )
    stranger = Maker()
    chain = pem(stranger.ca) + pem(stranger.root)
    verdict = tpm_node.but(evidence_=set_("ek-cert-chain-pem", chain)).verify()
    assert verdict.error in ("EK_CHAIN_SIGNATURE", "EK_CHAIN_UNAVAILABLE")
    assert maker.roots.keys() != stranger.roots.keys()
    foreign = replace(tpm_node, maker=stranger)
    exchange = foreign.exchange()
    assert foreign.verify(exchange=exchange).verdict == "PASS"
    ended(tpm_node.verify(exchange=replace(exchange, boot=None)), "EK_ROOT_NOT_PINNED")
    surrogates = tpm_node.but(evidence_=set_("ek-cert-chain-pem", "\udcff"))
    assert surrogates.verify().verdict in ("FAIL", "INCONCLUSIVE")


def test_certificates_out_of_date_refused_and_revoked(tpm_node: TpmNode, maker: Maker) -> None:
    assert tpm_node.verify(at=NOW + 100_000 * DAY).verdict != "PASS"
    policy = Policy(trusted=(tpm_node.image,), ek_revocation=False, ek_vendors=("IFX",))
    ended(tpm_node.verify(policy), "EK_VENDOR_REFUSED")
    strict = Policy(trusted=(tpm_node.image,))
    ended(tpm_node.verify(strict), "EK_CRL_UNAVAILABLE", "INCONCLUSIVE")
    crls = maker.crl() + maker.root_crl()
    assert tpm_node.but(crls=crls).verify(strict).verdict == "PASS"
    crls = maker.crl(entry(0xE0)) + maker.root_crl()
    ended(tpm_node.but(crls=crls).verify(strict), "EK_REVOKED")


# --- the quote


@pytest.mark.parametrize("at", range(0, 8 * 145, 61))
def test_no_flipped_bit_of_the_quote_passes(tpm_node: TpmNode, at: int) -> None:
    def change(text: str) -> str:
        octets = bytearray(unb64url(text))
        octets[at // 8 % len(octets)] ^= 1 << at % 8
        return b64url(bytes(octets))

    for name in ("quoted", "signature"):
        ended(tpm_node.but(evidence_=edit_quote(name, change)).verify(), "QUOTE_SIGNATURE")


@pytest.mark.parametrize("pcr", NEWER)
def test_no_flipped_bit_of_a_pcr_passes(tpm_node: TpmNode, pcr: int) -> None:
    node = tpm_node.but(
        evidence_=lambda made, _: set_(
            f"quote/pcr-values/{pcr}", flipped(made["quote"]["pcr-values"][str(pcr)])
        )(made, None)
    )
    ended(node.verify(), "QUOTE_DIGEST")


QUOTES: Mapping[str, tuple[dict[str, Any], str]] = {
    "magic": ({"magic": 0xFF544348}, "QUOTE_MAGIC"),
    "type": ({"type": 0x8017}, "QUOTE_TYPE"),
    "nonce": ({"nonce": b"n" * 32}, "QUOTE_NONCE"),
    "hierarchy": ({"hierarchy": OWNER}, "QUOTE_SIGNER"),
    "no signer": ({"name": b""}, "QUOTE_SIGNER"),
    "SHA-1": ({"selection": [(4, NEWER)]}, "QUOTE_BANK"),
    "two banks": ({"selection": [(SHA256, NEWER), (4, NEWER)]}, "QUOTE_BANK"),
    "no bank": ({"selection": []}, "QUOTE_BANK"),
    "fewer": ({"selection": [(SHA256, OLDER)]}, "QUOTE_SELECTION"),
    "digest": ({"pcr_digest": b"\1" * 32}, "QUOTE_DIGEST"),
}


@pytest.mark.parametrize("name", QUOTES)
def test_quotes_signed_by_the_key(tpm_node: TpmNode, name: str) -> None:
    """As a key in software signs anything. Without activation there is no PASS anyway."""
    wrong, error = QUOTES[name]

    def change(evidence: Any, node: TpmNode) -> Any:
        quoted, signature = node.tpm.quote(**{"nonce": NONCE} | wrong)
        forged = {"quoted": b64url(quoted), "signature": b64url(signature)}
        return evidence | {"quote": evidence["quote"] | forged}

    node = tpm_node.but(evidence_=change)
    fresh = raw(node.measured())
    ended(tpm_node.verify(exchange=tpm_node.exchange(fresh=fresh, boot=None)), error)


def test_bytes_behind_a_quote_and_other_salts(tpm_node: TpmNode) -> None:
    tpm = tpm_node.tpm
    quoted, _ = tpm.quote(NONCE)

    def verdict(found: bytes, signature: bytes) -> Verdict:
        forged = {"quoted": b64url(found), "signature": b64url(signature)}
        node = tpm_node.but(evidence_=lambda made, _: made | {"quote": made["quote"] | forged})
        return tpm_node.verify(exchange=tpm_node.exchange(fresh=raw(node.measured()), boot=None))

    assert verdict(quoted, tpm.sign(quoted)).verdict == "PASS"
    ended(verdict(quoted + b"\0", tpm.sign(quoted + b"\0")), "QUOTE_TRAILING")
    ended(verdict(quoted, tpm.sign(quoted, salt=20)), "QUOTE_SIGNATURE")
    ended(verdict(quoted, b""), "QUOTE_SIGNATURE")


def test_the_policy_of_the_key_is_over_other_values(tpm_node: TpmNode) -> None:
    """A key that was made before PCR 11 was extended: it could sign in another state."""
    tpm = tpm_node.tpm
    tpm.extend(11, b"\1" * 32)
    ended(tpm_node.verify(), "AK_POLICY_MISMATCH")


def test_a_key_without_a_policy(tpm_node: TpmNode) -> None:
    tpm_node.tpm.policy = b""
    ended(tpm_node.verify(), "AK_POLICY_EMPTY")
