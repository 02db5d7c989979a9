"""Quotes, keys and the runtime log of a simulated TPM: what passes, and each way to be refused."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from rsa_keys import RsaKeys
from simulated_tpm import NEWER, OLDER, SimulatedTpm, pem
from tpm_writer import QuoteDraft, public_area

from aoshell.attest.errors import EvidenceError
from aoshell.attest.tpm import quote as quotes
from aoshell.attest.tpm.keys import (
    AK_ATTRIBUTES,
    EK_TEMPLATES,
    check_ak_forms,
    check_ak_template,
    check_ek_forms,
    check_ek_template,
)
from aoshell.attest.tpm.runtime import LOG_TIP, SUBJECT, RuntimeEvent, check_runtime
from aoshell.attest.tpm.structures import (
    ATTRIBUTES,
    ECC,
    ECDSA,
    RSAPSS,
    RSASSA,
    SHA1,
    SHA256,
    SHA384,
    PublicArea,
    attribute_bits,
    qualified_name,
    read_quote,
)

NONCE = bytes(range(32))
OWNER = 0x40000001
Make = Callable[..., SimulatedTpm]


def refused(error: str, check: Callable[..., Any], *given: Any) -> None:
    with pytest.raises(EvidenceError) as raised:
        check(*given)
    assert raised.value.error == error


@pytest.mark.parametrize("pcrs", [OLDER, NEWER])
def test_a_quote_that_passes(make_tpm: Make, pcrs: tuple[int, ...]) -> None:
    tpm = make_tpm(pcrs=pcrs)
    quoted, signature = tpm.quote(NONCE)
    quote = read_quote(quoted)
    quotes.check_signature(quoted, signature, tpm.ak_area)
    quotes.check_signer(quote, qualified_name(tpm.ak_area.name))
    quotes.check_nonce(quote, NONCE)
    assert quotes.check_selection(quote, [*reversed(pcrs)]) == pcrs
    quotes.check_digest(quote, tpm.quoted_values)
    quotes.check_policy(tpm.ak_area, pcrs, tpm.quoted_values)


def test_each_bit_that_is_signed_counts(tpm: SimulatedTpm) -> None:
    quoted, signature = tpm.quote(NONCE)
    for at in range(0, 8 * len(quoted), 3):  # every byte, at bits that vary
        refused(
            "QUOTE_SIGNATURE", quotes.check_signature, flipped(quoted, at), signature, tpm.ak_area
        )
    for at in range(0, 8 * len(signature), 7):
        refused(
            "QUOTE_SIGNATURE", quotes.check_signature, quoted, flipped(signature, at), tpm.ak_area
        )
    for other in (b"", signature[:-1], signature + b"\0", b"\0" + signature):
        refused("QUOTE_SIGNATURE", quotes.check_signature, quoted, other, tpm.ak_area)


def flipped(data: bytes, at: int) -> bytes:
    changed = bytearray(data)
    changed[at // 8] ^= 1 << at % 8
    return bytes(changed)


@pytest.mark.parametrize("salt", [0, 20, 31, 33, 64, 222])
def test_another_salt(tpm: SimulatedTpm, salt: int) -> None:
    quoted, _ = tpm.quote(NONCE)
    refused("QUOTE_SIGNATURE", quotes.check_signature, quoted, tpm.sign(quoted, salt), tpm.ak_area)


def test_another_scheme_hash_or_key(tpm: SimulatedTpm) -> None:
    quoted, signature = tpm.quote(NONCE)
    older = tpm.ak_key.sign(quoted, padding.PKCS1v15(), hashes.SHA256())
    refused("QUOTE_SIGNATURE", quotes.check_signature, quoted, older, tpm.ak_area)
    pss = padding.PSS(padding.MGF1(hashes.SHA256()), 32)
    wider = tpm.ak_key.sign(quoted, pss, hashes.SHA384())
    refused("QUOTE_SIGNATURE", quotes.check_signature, quoted, wider, tpm.ak_area)
    mixed = tpm.ak_key.sign(quoted, padding.PSS(padding.MGF1(hashes.SHA1()), 32), hashes.SHA256())
    refused("QUOTE_SIGNATURE", quotes.check_signature, quoted, mixed, tpm.ak_area)
    refused("QUOTE_SIGNATURE", quotes.check_signature, quoted, signature, tpm.ek_area)
    curve = ec.generate_private_key(ec.SECP256R1())
    area = PublicArea.parse(public_area(curve.public_key(), AK_ATTRIBUTES, scheme=(ECDSA, SHA256)))
    signature = curve.sign(quoted, ec.ECDSA(hashes.SHA256()))
    refused("QUOTE_SIGNATURE", quotes.check_signature, quoted, signature, area)


def test_another_signer_or_nonce(make_tpm: Make) -> None:
    tpm = make_tpm(hierarchy=OWNER)
    quote = read_quote(tpm.quote(NONCE)[0])
    refused("QUOTE_SIGNER", quotes.check_signer, quote, qualified_name(tpm.ak_area.name))
    nameless = read_quote(tpm.quote(NONCE, name=b"")[0])
    refused("QUOTE_SIGNER", quotes.check_signer, nameless, qualified_name(tpm.ak_area.name))
    for other in (b"", NONCE[:-1], NONCE + b"\0", bytes(32)):
        refused("QUOTE_NONCE", quotes.check_nonce, quote, other)


@pytest.mark.parametrize(
    ("error", "selection"),
    [
        ("QUOTE_BANK", []),
        ("QUOTE_BANK", [(SHA1, NEWER)]),
        ("QUOTE_BANK", [(SHA384, NEWER)]),
        ("QUOTE_BANK", [(SHA256, NEWER), (SHA1, ())]),
        ("QUOTE_BANK", [(SHA1, NEWER), (SHA256, NEWER)]),
        ("QUOTE_SELECTION", [(SHA256, ())]),
        ("QUOTE_SELECTION", [(SHA256, OLDER)]),
        ("QUOTE_SELECTION", [(SHA256, (*NEWER, 16))]),
    ],
)
def test_another_selection(tpm: SimulatedTpm, error: str, selection: Any) -> None:
    quote = read_quote(tpm.quote(NONCE, selection=selection)[0])
    refused(error, quotes.check_selection, quote, NEWER)


@pytest.mark.parametrize("missing", quotes.REQUIRED_PCRS)
def test_a_pcr_that_is_needed(make_tpm: Make, missing: int) -> None:
    pcrs = tuple(pcr for pcr in NEWER if pcr != missing)
    quote = read_quote(make_tpm(pcrs=pcrs).quote(NONCE)[0])
    refused("QUOTE_SELECTION", quotes.check_selection, quote, pcrs)


def test_each_bit_of_a_value_counts(tpm: SimulatedTpm) -> None:
    quote = read_quote(tpm.quote(NONCE)[0])
    values = tpm.quoted_values
    for pcr, value in values.items():
        for at in range(256):
            other = values | {pcr: flipped(value, at)}
            refused("QUOTE_DIGEST", quotes.check_digest, quote, other)
        refused("AK_POLICY_MISMATCH", quotes.check_policy, tpm.ak_area, NEWER, other)
    swapped = values | {0: values[1], 1: values[0]}
    refused("QUOTE_DIGEST", quotes.check_digest, quote, swapped)
    fewer = {pcr: value for pcr, value in values.items() if pcr != 4}
    refused("QUOTE_SELECTION", quotes.check_digest, quote, fewer)
    refused("QUOTE_SELECTION", quotes.check_digest, quote, values | {2: bytes(32)})


def test_another_policy(make_tpm: Make) -> None:
    tpm, older = make_tpm(), make_tpm(pcrs=OLDER)
    area, values = tpm.ak_area, tpm.quoted_values
    refused("AK_POLICY_EMPTY", quotes.check_policy, replace(area, policy=b""), NEWER, values)
    refused("AK_POLICY_PCRS", quotes.check_policy, area, (0, 1, 7, 11, 15), values)
    refused("AK_POLICY_PCRS", quotes.check_policy, area, (), values)
    refused("AK_POLICY_PCRS", quotes.check_policy, older.ak_area, OLDER, values)
    refused("AK_POLICY_MISMATCH", quotes.check_policy, older.ak_area, NEWER, values)
    anything = replace(area, policy=bytes(32))
    refused("AK_POLICY_MISMATCH", quotes.check_policy, anything, NEWER, values)


@pytest.mark.parametrize("name", [*EK_TEMPLATES])
def test_templates(make_tpm: Make, tpm_keys: Any, rsa_keys: RsaKeys, name: str) -> None:
    made = EK_TEMPLATES[name]
    curves = {256: ec.SECP256R1(), 384: ec.SECP384R1(), 521: ec.SECP521R1()}
    key: Any = tpm_keys[0]
    if made.type == ECC:
        key = ec.generate_private_key(curves[made.key_bits])
    elif made.key_bits == 4096:
        key = rsa_keys.key(0)
    elif made.key_bits != 2048:
        key = rsa.generate_private_key(65537, made.key_bits)
    area = make_tpm(template=name, ek_key=key).ek_area
    assert check_ek_template(area) == name
    for wrong in (
        replace(area, attributes=area.attributes ^ attribute_bits("restricted")),
        replace(area, attributes=area.attributes ^ attribute_bits("fixedTPM")),
        replace(area, attributes=area.attributes ^ attribute_bits("sign")),
        replace(area, policy=bytes(len(area.policy))),
        replace(area, policy=b""),
        replace(area, symmetric=None),
        replace(area, symmetric=(0x06, 192, 0x43)),
        replace(area, scheme=(0x17, SHA256)),
        replace(area, key_bits=224),
        replace(area, name_alg=0x12),
    ):
        refused("EK_TEMPLATE", check_ek_template, wrong)


def test_the_attributes_of_an_attestation_key(make_tpm: Make) -> None:
    check_ak_template(make_tpm().ak_area)
    for name in ATTRIBUTES:
        area = make_tpm(ak_attributes=AK_ATTRIBUTES ^ attribute_bits(name)).ak_area
        with pytest.raises(EvidenceError) as raised:
            check_ak_template(area)
        assert raised.value.error == "AK_ATTRIBUTES"
        assert f"{name} is {'set' if area.is_set(name) else 'not set'}" in raised.value.what


def test_the_scheme_of_an_attestation_key(tpm: SimulatedTpm) -> None:
    area = tpm.ak_area
    for wrong in (
        replace(area, scheme=None),
        replace(area, scheme=(RSASSA, SHA256)),
        replace(area, scheme=(RSAPSS, SHA1)),
        replace(area, key_bits=3072),
        replace(area, name_alg=SHA384),
        replace(area, exponent=3),
        replace(area, symmetric=(6, 128, 0x43)),
        replace(area, type=0x23),
    ):
        refused("AK_SCHEME", check_ak_template, wrong)


def test_the_forms_of_one_key(tpm: SimulatedTpm) -> None:
    ek, ak = tpm.ek_area, tpm.ak_area
    for check, area, other, errors in (
        (check_ek_forms, ek, ak, ["EK_KEY_MISMATCH"] * 3),
        (check_ak_forms, ak, ek, ["AK_KEY_MISMATCH", "AK_NAME", "AK_QUALIFIED_NAME"]),
    ):
        written, named = pem(area), qualified_name(area.name)
        check(area, written, area.name, named)
        check(area, written.replace("\n", "\r\n"), area.name, named)
        for text in (pem(other), "", written[:-40], written + written, written.replace("A", "B")):
            refused(errors[0], check, area, text, area.name, named)
        refused(errors[1], check, area, written, other.name, named)
        refused(errors[1], check, area, written, b"", named)
        for wrong in (qualified_name(area.name, OWNER), area.name, qualified_name(other.name)):
            refused(errors[2], check, area, written, area.name, wrong)


LOG = b"a log"
TIP = hashlib.sha256(LOG).digest()
BODY = bytes(range(32))
DUE = [(SUBJECT, BODY), (LOG_TIP, TIP)]


def events(*pairs: tuple[str, bytes], pcr: int = 15, first: int = 0) -> list[RuntimeEvent]:
    return [RuntimeEvent(at, pcr, kind, digest) for at, (kind, digest) in enumerate(pairs, first)]


def value_of(*digests: bytes) -> bytes:
    value = bytes(32)
    for digest in digests:
        value = hashlib.sha256(value + digest).digest()
    return value


def test_the_events_due() -> None:
    quoted = value_of(BODY, TIP)
    check_runtime(events(*DUE), quoted, BODY, LOG)
    check_runtime([*reversed(events(*DUE))], quoted, BODY, LOG)
    check_runtime([*events(*DUE), *events(("OTHER", TIP), pcr=14)], quoted, BODY, LOG)
    check_runtime(events(DUE[0]), value_of(BODY), BODY, None)


@pytest.mark.parametrize(
    ("error", "found"),
    [
        ("PCR15_SUBJECT", []),
        ("PCR15_SUBJECT", [DUE[1]]),
        ("PCR15_SUBJECT", [DUE[1], DUE[0]]),
        ("PCR15_SUBJECT", [(SUBJECT, bytes(32)), DUE[1]]),
        ("PCR15_SUBJECT", [(LOG_TIP, BODY), DUE[1]]),
        ("PCR15_LOG_TIP", [DUE[0]]),
        ("PCR15_LOG_TIP", [DUE[0], (LOG_TIP, bytes(32))]),
        ("PCR15_LOG_TIP", [DUE[0], (SUBJECT, TIP)]),
        ("PCR15_LOG_TIP", [DUE[0], ("OTHER", bytes(32)), DUE[1]]),
        ("PCR15_EXTRA_EVENT", [*DUE, ("OTHER", bytes(32))]),
        ("PCR15_EXTRA_EVENT", [*DUE, *DUE]),
    ],
)
def test_other_events(error: str, found: list[tuple[str, bytes]]) -> None:
    quoted = value_of(*(digest for _, digest in found))
    refused(error, check_runtime, events(*found), quoted, BODY, LOG)


def test_events_that_the_quote_does_not_hold() -> None:
    quoted = value_of(BODY, TIP)
    refused("PCR15_REPLAY", check_runtime, events(DUE[0]), quoted, BODY, LOG)
    refused("PCR15_REPLAY", check_runtime, events(*DUE), value_of(BODY), BODY, LOG)
    refused("PCR15_REPLAY", check_runtime, events(*DUE, pcr=14), quoted, BODY, LOG)
    refused("PCR15_REPLAY", check_runtime, events(*DUE), bytes(32), BODY, LOG)
    twice = [replace(one, sequence=0) for one in events(*DUE)]
    refused("PCR15_REPLAY", check_runtime, twice, quoted, BODY, LOG)
    refused("PCR15_EXTRA_EVENT", check_runtime, events(*DUE), quoted, BODY, None)


def test_a_quote_by_hand_is_read_like_any_other(tpm: SimulatedTpm) -> None:
    """A key in software signs what somebody wrote: nothing in the quote betrays it."""
    draft = QuoteDraft(tpm.ak_area.name, NONCE, bytes(32), [(SHA256, NEWER)])
    quoted = draft.write()
    quotes.check_signature(quoted, tpm.sign(quoted), tpm.ak_area)
    quotes.check_signer(read_quote(quoted), qualified_name(tpm.ak_area.name))
