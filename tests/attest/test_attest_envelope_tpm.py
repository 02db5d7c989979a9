"""Envelopes over a TPM 2.0: its keys, its quote, its logs, and what was booted.

Each case is one edit of an envelope that passes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from der_writer import DAY, NOW
from ek import Maker, entry
from envelope_edits import ended, set_
from envelope_node import BOOT_NONCE, NONCE, SECRET, TpmNode, pem, prove, raw, wrapped
from simulated_tpm import NEWER, OLDER, SimulatedTpm
from simulated_tpm import pem as written
from tpm_writer import X509 as X509_LIST
from tpm_writer import LogDraft, boot_log, signature_list, variable

from aoshell.attest.envelope.ids import stable_id
from aoshell.attest.envelope.reading import Envelope
from aoshell.attest.evidence import Activation, Collateral, Evidence, Exchange
from aoshell.attest.policy import Image, Policy
from aoshell.attest.tpm.credential import Credential, make_credential
from aoshell.attest.tpm.eventlog import read_event_log
from aoshell.attest.tpm.keys import AK_ATTRIBUTES
from aoshell.attest.tpm.roots import EkRoot
from aoshell.attest.tpm.secureboot import read_programs
from aoshell.attest.tpm.structures import RSASSA, SHA256, attribute_bits, read_public
from aoshell.attest.verify import Verdict, verify_evidence
from aoshell.attest.x509.material import read_der_values
from aoshell.protocol.encoding import b64url, unb64url
from aoshell.protocol.wallet import Wallet

OWNER = 0x40000001
OTHER = b64url(b"\1" * 34)
SIGNERS = (hashlib.sha256(b"signer of images").hexdigest(),)


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


# --- PCR 15 and the event log


def runtime(change: Callable[[list[Any]], list[Any]]) -> Callable[[Any, Any], Any]:
    def changed(evidence: Any, _node: Any) -> Any:
        return evidence | {"runtime-event-log": change([*evidence["runtime-event-log"]])}

    return changed


def test_the_runtime_log(tpm_node: TpmNode) -> None:
    for change, error in (
        (lambda events: events[:1], "PCR15_REPLAY"),
        (lambda events: [*events, events[1] | {"seq": 2}], "PCR15_REPLAY"),
        (lambda events: [one | {"seq": 0} for one in events], "PCR15_REPLAY"),
        (lambda events: [events[0] | {"event-type": "X"}, events[1]], "PCR15_SUBJECT"),
        (lambda events: [events[0], events[1] | {"event-type": "X"}], "PCR15_LOG_TIP"),
        (lambda events: [one | {"seq": 1 - one["seq"]} for one in events], "PCR15_REPLAY"),
        (lambda events: [one | {"pcr": 14} for one in events], "PCR15_REPLAY"),
    ):
        ended(tpm_node.but(evidence_=runtime(change)).verify(), error)
    events = [{"seq": 9, "pcr": 14, "event-type": "X", "digest": b64url(b"\1" * 32)}]
    more = tpm_node.but(evidence_=runtime(lambda found: [*events, *reversed(found)]))
    assert more.verify().verdict == "PASS"


def with_log(node: TpmNode, log: bytes, tip: bool = True) -> Verdict:
    """The verdict with another log in the evidence of the same boot.

    Args:
        tip: PCR 15 holds the hash of this log, as where the attacker writes it before it starts.
    """
    tpm = SimulatedTpm(ek_key=node.maker.ek_key, ak_key=node.ak_key, body_id=node.tpm.body_id)
    if tip:
        from aoshell.attest.tpm.quote import pcr_policy

        tpm.runtime[1] = (tpm.runtime[1][0], hashlib.sha256(log).digest())
        tpm.values[15] = bytes(32)
        for _, digest in tpm.runtime:
            tpm.extend(15, digest)
        tpm.policy = pcr_policy(tpm.quoted_values)
    tpm.raw_log = log
    changed = node.but()
    changed.__dict__["tpm"] = tpm
    return changed.verify(Policy(trusted=(node.image,), ek_revocation=False, secure_boot=True))


def test_another_log(tpm_node: TpmNode) -> None:
    log = tpm_node.tpm.raw_log
    assert with_log(tpm_node, log).verdict == "PASS"
    for other in (log[:-1], log + b"\0", boot_log(secure_boot=b"\0").write()):
        ended(with_log(tpm_node, other, tip=False), "PCR15_LOG_TIP")


@pytest.mark.parametrize(
    ("edit", "error"),
    [
        (lambda log: log[:-1], "EVENT_LOG_MALFORMED"),
        (lambda log: log + b"\0", "EVENT_LOG_MALFORMED"),
        (lambda log: log[:4] + b"\4" + log[5:], "EVENT_LOG_MALFORMED"),
        (lambda log: log[: len(log) // 2], "EVENT_LOG_MALFORMED"),
        (lambda log: log[:28] + b"\xff" * 4 + log[32:], "EVENT_LOG_MALFORMED"),
        (lambda _log: boot_log(banks=(0x04,)).write(), "EVENT_LOG_MALFORMED"),
        (lambda _log: boot_log(secure_boot=b"\0").write(), "EVENT_LOG_REPLAY"),
        (lambda _log: boot_log(programs=(b"another",)).write(), "EVENT_LOG_REPLAY"),
        (lambda _log: LogDraft().write(), "EVENT_LOG_REPLAY"),
        (lambda _log: boot_log().add(14, 0x0D, b"MokList").write(), "EVENT_LOG_REPLAY"),
    ],
)
def test_a_log_written_by_the_attacker(
    tpm_node: TpmNode, edit: Callable[[bytes], bytes], error: str
) -> None:
    ended(with_log(tpm_node, edit(tpm_node.tpm.raw_log)), error)


def test_an_edited_secure_boot_event(tpm_node: TpmNode) -> None:
    """Secure Boot was off. The log says that it was on: by its data, or by its digest as well."""
    off = tpm_node.but(parts={"log": boot_log(secure_boot=b"\0")})
    ended(off.verify(asking(off)), "SECURE_BOOT_OFF")
    log = off.tpm.raw_log
    was, now = variable("SecureBoot", b"\0"), variable("SecureBoot", b"\1")
    assert log.count(was) == 1
    data = log.replace(was, now)
    kept = off.but(parts={"log": Written(boot_log(secure_boot=b"\0"), data)})
    ended(kept.verify(asking(kept)), "EVENT_DATA_DIGEST")
    digests = data.replace(hashlib.sha256(was).digest(), hashlib.sha256(now).digest())
    edited = off.but(parts={"log": Written(boot_log(secure_boot=b"\0"), digests)})
    ended(edited.verify(asking(edited)), "EVENT_LOG_REPLAY")


class Written(LogDraft):
    """A log whose bytes are not those of what was extended."""

    def __init__(self, draft: LogDraft, data: bytes) -> None:
        super().__init__(draft.banks, extended=draft.extended)
        self._data = data

    def write(self) -> bytes:
        return self._data


def asking(node: TpmNode, **more: Any) -> Policy:
    image = Image("the image", pcr11=node.tpm.values[11])
    wanted: dict[str, Any] = {"trusted": (image,), "ek_revocation": False, "db_signers": SIGNERS}
    return Policy(**wanted | more)


def test_no_flipped_bit_of_the_log_passes(tpm_node: TpmNode) -> None:
    """PCR 15 holds the flipped log's hash: only replay and data are left to notice. What no digest
    covers and nothing relies on (a description, a type) may change."""
    log = tpm_node.tpm.raw_log
    seen = 0
    for bit in range(3, 8 * len(log), 8 * len(log) // 40):
        changed = bytearray(log)
        changed[bit // 8] ^= 1 << bit % 8
        verdict = with_log(tpm_node, bytes(changed))
        ended(with_log(tpm_node, bytes(changed), tip=False), "PCR15_LOG_TIP")
        seen += verdict.verdict != "PASS"
        if verdict.verdict == "PASS":
            assert verdict.image == "the image"
            assert verdict.check("secure-boot").detail.startswith("on, 1 signers")
    assert seen > 10


# --- what was booted


def test_programs(tpm_node: TpmNode) -> None:
    image = tpm_node.image
    evil = (b"first an evil one", b"the image", b"the kernel in it")
    for programs in (evil, evil[1:2], (*evil[1:], b"more"), ()):
        if not programs:
            continue
        node = tpm_node.but(parts={"log": boot_log(programs=programs)})
        ended(node.verify(Policy(trusted=(image,), ek_revocation=False)), "SOFTWARE_UNTRUSTED")
    named = tpm_node.verify(Policy(ek_revocation=False))
    ended(named, "SOFTWARE_UNKNOWN", "INCONCLUSIVE")
    of_snp = Policy(ek_revocation=False, trusted=(Image("guest", measurement=b"\1" * 48),))
    ended(tpm_node.verify(of_snp), "SOFTWARE_UNKNOWN", "INCONCLUSIVE")
    other = replace(image, pcr11=b"\1" * 32)
    ended(tpm_node.verify(Policy(trusted=(other,), ek_revocation=False)), "SOFTWARE_UNTRUSTED")


def test_a_program_hidden_behind_another_type(tpm_node: TpmNode) -> None:
    log = boot_log()
    log.add(4, 0x0D, b"harmless", hashed=b"an evil program")
    node = tpm_node.but(parts={"log": log})
    policy = Policy(trusted=(tpm_node.image,), ek_revocation=False)
    ended(node.verify(policy), "SOFTWARE_UNKNOWN", "INCONCLUSIVE")
    named = boot_log()
    named.add(4, 0x80000007, b"Calling EFI Application from Boot Option", hashed=b"evil")
    ended(tpm_node.but(parts={"log": named}).verify(policy), "EVENT_DATA_DIGEST")


def test_pcr_11_counts_only_behind_secure_boot_with_named_signers(tpm_node: TpmNode) -> None:
    assert tpm_node.verify(asking(tpm_node)).image == "the image"
    without = asking(tpm_node, db_signers=())
    ended(tpm_node.verify(without), "SOFTWARE_UNTRUSTED")
    ended(tpm_node.verify(replace(without, secure_boot=True)), "SOFTWARE_UNTRUSTED")
    ended(tpm_node.verify(asking(tpm_node, db_signers=("00" * 32,))), "DB_SIGNER_UNTRUSTED")
    off = tpm_node.but(parts={"log": boot_log(secure_boot=b"\0")})
    ended(off.verify(asking(off)), "SECURE_BOOT_OFF")
    ended(off.verify(asking(off, db_signers=())), "SOFTWARE_UNTRUSTED")


def test_pcr_11_forged_with_pcr_4_unquoted(tpm_node: TpmNode) -> None:
    """Any program can extend PCR 11 with what a trusted image extends."""
    for secure_boot in (b"\0", b"\1"):
        log = boot_log(secure_boot=secure_boot, programs=(b"evil",))
        node = tpm_node.but(parts={"log": log, "pcrs": OLDER})
        assert node.tpm.values[11] == tpm_node.tpm.values[11]
        for policy in (
            asking(node, db_signers=()),
            Policy(trusted=(tpm_node.image,), ek_revocation=False),
        ):
            ended(node.verify(policy), "SOFTWARE_UNKNOWN", "INCONCLUSIVE")
    guarded = tpm_node.but(parts={"pcrs": OLDER})
    passed = guarded.verify(asking(guarded))
    assert passed.verdict == "PASS"
    # What a pin compares: PCR 11, which counts here, and for nothing where it does not.
    sections = guarded.tpm.values[11]
    assert passed.software and passed.software.identity == f"PCR 11 {sections.hex()}"
    assert guarded.verify(Policy(ek_revocation=False)).software is None


@pytest.mark.parametrize(
    ("wished", "error"),
    [({"measurement": bytes(48)}, "MEASUREMENT"), ({"report_data": bytes(64)}, "REPORT_DATA")],
)
def test_what_a_tpm_does_not_have(tpm_node: TpmNode, wished: Any, error: str) -> None:
    verdict = tpm_node.verify(**wished)
    ended(verdict, f"{error}_MISMATCH")
    assert verdict.errors == (f"{error}_MISMATCH",)
    assert "evidence of a TPM has none" in verdict.check("measurement").detail


def test_a_debugger_of_the_firmware(tpm_node: TpmNode) -> None:
    """With it on, Secure Boot admits nobody: whoever has the debugger starts what he likes."""
    log = LogDraft()
    log.add(7, 0x80000007, b"UEFI Debug Mode")
    rest = boot_log()
    log.body += rest.body
    log.extended += rest.extended
    node = tpm_node.but(parts={"log": log})
    assert node.tpm.values[7] != tpm_node.tpm.values[7]
    ended(node.verify(asking(node)), "SOFTWARE_UNTRUSTED")
    assert "UEFI Debug Mode" in node.verify(asking(node)).check("secure-boot").detail
    known = Policy(trusted=(node.image,), ek_revocation=False)
    assert tpm_node.verify(known).verdict == "PASS"
    ended(node.verify(known), "SOFTWARE_UNKNOWN", "INCONCLUSIVE")


def test_a_second_signer(tpm_node: TpmNode) -> None:
    lists = {
        "PK": signature_list(X509_LIST, b"platform key"),
        "KEK": signature_list(X509_LIST, b"key exchange key"),
        "db": signature_list(X509_LIST, b"signer of images")
        + signature_list(X509_LIST, b"somebody"),
        "dbx": signature_list(X509_LIST, b"revoked"),
    }
    node = tpm_node.but(parts={"log": boot_log(lists=lists)})
    ended(node.verify(asking(node)), "DB_SIGNER_UNTRUSTED")
    both = (*SIGNERS, hashlib.sha256(b"somebody").hexdigest())
    assert node.verify(asking(node, db_signers=both)).verdict == "PASS"


# --- the start


@pytest.mark.parametrize(
    "wrong",
    [{"reset_count": 2}, {"restart_count": 1}, {"firmware_version": 1}, {"clock": 1 << 40}],
)
def test_the_quote_of_another_boot(tpm_node: TpmNode, wrong: dict[str, int]) -> None:
    def change(evidence: Any, node: TpmNode) -> Any:
        quoted, signature = node.tpm.quote(BOOT_NONCE, **wrong)
        forged = {"quoted": b64url(quoted), "signature": b64url(signature)}
        return evidence | {"quote": evidence["quote"] | forged}

    boot = raw(tpm_node.but(evidence_=change).measured(BOOT_NONCE))
    ended(tpm_node.verify(exchange=tpm_node.exchange(boot=boot)), "PAIR_BOOT_SESSION")


# --- vectors of a software TPM


@dataclass(frozen=True, kw_only=True)
class Recorded(TpmNode):
    """A node whose TPM is a recorded one, with a challenge that it opened."""

    vector: Mapping[str, Any]

    @property
    def made_recipient(self) -> dict[str, Any]:
        return dict(self.vector["recipient"])

    def made_evidence(self, nonce: bytes) -> dict[str, Any]:
        found: dict[str, Any] = self.vector["boot" if nonce == BOOT_NONCE else "fresh"]
        return found

    def recorded(self) -> Exchange:
        """The exchange; its nonce is the recorded one."""
        opened = self.vector["opened"][0]
        challenge = unb64url(opened["challenge"])
        sent = {
            "subject-id": stable_id(self.recipient),
            "credential-blob": opened["blob"],
            "secret": opened["secret"],
        }
        answer = prove(self.vector["fresh"]["ak-name"], sent, challenge)
        return Exchange(
            fresh=raw(self.measured()),
            boot=raw(self.measured(BOOT_NONCE)),
            nonce=unb64url(self.vector["fresh"]["quote"]["nonce"]),
            asked_now=True,
            activation=Activation(challenge, sent, raw(wrapped(self.wallet, answer))),
        )


@pytest.fixture
def recorded(
    vector: dict[str, Any],
    wallet: Wallet,
    maker: Maker,
    tpm_keys: tuple[rsa.RSAPrivateKey, rsa.RSAPrivateKey],
) -> Recorded:
    return Recorded(wallet=wallet, maker=maker, ak_key=tpm_keys[1], vector=vector)


def judged(node: Recorded, exchange: Exchange) -> Verdict:
    """The verdict, the authority of the software TPM trusted."""
    (root,) = read_der_values(node.vector["root"].encode(), "the root")
    trusted = {hashlib.sha256(root).hexdigest(): EkRoot(VENDOR, "a software TPM's")}
    log = read_event_log(unb64url(node.vector["fresh"]["tcg-event-log"]))
    pcr11 = unb64url(node.vector["fresh"]["quote"]["pcr-values"]["11"])
    image = Image("recorded", efi=read_programs(log), pcr11=pcr11)
    guarded = Image("guarded", pcr11=pcr11)
    policy = Policy(trusted=(image, guarded), ek_revocation=False, db_signers=SIGNERS)
    ours = Collateral(ek_chain=root)
    evidence = Evidence(exchange=exchange)
    return verify_evidence(evidence, ours, policy, node.vector["at"], test_ek_roots=trusted)


VENDOR = "00001014"  # as the software TPM names its maker


def test_what_a_software_tpm_made_is_of_another_body(recorded: Recorded) -> None:
    """All passes but the body, which the record does not hold, and what is behind it."""
    verdict = judged(recorded, recorded.recorded())
    ended(verdict, "BODY_ID_MISMATCH")
    assert verdict.errors == ("BODY_ID_MISMATCH",)


def test_what_a_software_tpm_made_passes_for_its_body(
    recorded: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    due = unb64url(recorded.vector["body-id"])
    monkeypatch.setattr(Envelope, "body_id", due)
    exchange = recorded.recorded()
    verdict = judged(recorded, exchange)
    assert (verdict.verdict, verdict.freshness) == ("PASS", "nonce"), verdict.primary
    assert verdict.image in ("recorded", "guarded")
    sent = exchange.activation
    assert sent
    other = replace(sent, secret=b"o" * 32)
    ended(judged(recorded, replace(exchange, activation=other)), "ACTIVATION_PROOF")
    ended(judged(recorded, replace(exchange, activation=None)), "AK_UNBOUND", "INCONCLUSIVE")
    monkeypatch.setattr(Envelope, "body_id", bytes(32))
    ended(judged(recorded, exchange), "BODY_ID_MISMATCH")


@pytest.mark.parametrize(
    ("name", "errors"),
    [("weak-ak", {"AK_ATTRIBUTES"}), ("owner-ak", {"AK_QUALIFIED_NAME", "AK_KEY_MISMATCH"})],
)
def test_wrong_keys_that_a_software_tpm_made(
    recorded: Recorded, name: str, errors: set[str]
) -> None:
    wrong = recorded.vector[name]
    named = {f"ak-{key}": value for key, value in wrong.items()}
    area = read_public(unb64url(wrong["public"]))
    named["ak-pub-pem"] = written(area)
    material = {key: named[key] for key in ("ak-public", "ak-pub-pem", "ak-name")}
    recipient = recorded.vector["recipient"] | named | {"key-id": named["ak-name"]}
    recipient["public-material"] = recipient["public-material"] | material
    vector = {
        **recorded.vector,
        "recipient": recipient,
        **{key: recorded.vector[key] | named for key in ("boot", "fresh")},
    }
    node = recorded.but(vector=vector)
    verdict = judged(node, node.recorded())
    assert verdict.verdict == "FAIL" and errors & {*verdict.errors}, verdict.errors
