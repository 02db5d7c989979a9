"""Public areas and quotes as bytes: each has one reading, and no byte is left over."""

from __future__ import annotations

import struct
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from simulated_tpm import SimulatedTpm
from tpm_writer import QuoteDraft, public_area, sized

from aoshell.attest.errors import EvidenceError
from aoshell.attest.tpm.structures import (
    AES,
    ATTRIBUTES,
    CFB,
    ECC,
    ECDSA,
    LARGEST_PUBLIC,
    LARGEST_QUOTE,
    RSA,
    RSAES,
    RSAPSS,
    RSASSA,
    SHA1,
    SHA256,
    SHA384,
    SHA512,
    PublicArea,
    attribute_bits,
    attribute_names,
    qualified_name,
    read_public,
    read_quote,
)

QUICK = settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
CURVES = (ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1())
POINTS = [ec.generate_private_key(curve).public_key() for curve in CURVES]
SCHEMES: dict[int, list[tuple[int, int] | None]] = {
    RSA: [None, (RSAPSS, SHA256), (RSASSA, SHA1), (0x0017, SHA256)],
    ECC: [None, (ECDSA, SHA256), (0x0019, SHA384)],
}
NAMES = {SHA256: 32, SHA384: 48, SHA512: 64}
DRAFT = QuoteDraft(b"\x00\x0b" + bytes(32), b"n" * 32, b"d" * 32, [(SHA256, (0, 1, 7, 11, 15))])


@given(data=st.data())
@QUICK
def test_public_areas_come_back(
    tpm_keys: tuple[rsa.RSAPrivateKey, Any], data: st.DataObject
) -> None:
    key = data.draw(st.sampled_from([tpm_keys[0].public_key(), *POINTS]))
    kind = RSA if isinstance(key, rsa.RSAPublicKey) else ECC
    attributes = attribute_bits(*data.draw(st.sets(st.sampled_from([*ATTRIBUTES]))))
    name_alg = data.draw(st.sampled_from([*NAMES]))
    policy = data.draw(st.sampled_from([b"", bytes(NAMES[name_alg])]))
    symmetric = data.draw(st.sampled_from([None, (AES, 128, CFB), (AES, 256, CFB)]))
    scheme = data.draw(st.sampled_from(SCHEMES[kind]))
    raw = public_area(key, attributes, policy, symmetric, scheme, name_alg)
    area = read_public(sized(raw))
    assert (area.raw, area.type, area.name_alg, area.attributes) == (
        raw,
        kind,
        name_alg,
        attributes,
    )
    assert (area.policy, area.symmetric, area.scheme) == (policy, symmetric, scheme)
    assert area.key_bits == key.key_size
    assert area.as_key().public_numbers() == key.public_numbers()
    assert area.name[:2] == struct.pack(">H", name_alg) and len(area.name) == 2 + NAMES[name_alg]
    assert attribute_bits(*attribute_names(attributes)) == attributes


@given(data=st.data())
@QUICK
def test_quotes_come_back(data: st.DataObject) -> None:
    number = st.integers(0, (1 << 32) - 1)
    pcrs = st.sets(st.integers(0, 23)).map(sorted)
    banks = data.draw(st.dictionaries(st.sampled_from([SHA1, SHA256, SHA384]), pcrs))
    draft = QuoteDraft(
        name=struct.pack(">H", SHA256) + data.draw(st.binary(min_size=32, max_size=32)),
        nonce=data.draw(st.binary(max_size=64)),
        pcr_digest=data.draw(st.binary(max_size=64)),
        selection=[*banks.items()],
        clock=data.draw(st.integers(0, (1 << 64) - 1)),
        reset_count=data.draw(number),
        restart_count=data.draw(number),
        safe=data.draw(st.integers(0, 1)),
    )
    quote = read_quote(draft.write())
    assert quote.qualified_signer == qualified_name(draft.name)
    assert (quote.extra_data, quote.pcr_digest) == (draft.nonce, draft.pcr_digest)
    assert quote.selection == {bank: tuple(chosen) for bank, chosen in banks.items()}
    assert (quote.clock, quote.reset_count) == (draft.clock, draft.reset_count)
    assert (quote.restart_count, quote.safe) == (draft.restart_count, bool(draft.safe))
    assert quote.firmware_version == draft.firmware_version


def test_each_bit_of_a_public_area_counts(tpm: SimulatedTpm) -> None:
    for area in (tpm.ek_area, tpm.ak_area, PublicArea.parse(public_area(POINTS[0], 0))):
        for at in range(8 * len(area.raw)):
            try:
                other = PublicArea.parse(flipped(area.raw, at))
            except EvidenceError as error:
                assert error.error == "TPM_STRUCTURE"
                continue
            assert other.name != area.name
            assert replace(other, raw=b"") != replace(area, raw=b"")


def test_each_bit_of_a_quote_counts() -> None:
    raw = DRAFT.write()
    quote = read_quote(raw)
    for at in range(8 * len(raw)):
        try:
            assert read_quote(flipped(raw, at)) != quote
        except EvidenceError as error:
            assert error.error.startswith(("QUOTE_", "TPM_STRUCTURE"))


def flipped(data: bytes, at: int) -> bytes:
    changed = bytearray(data)
    changed[at // 8] ^= 1 << at % 8
    return bytes(changed)


def test_nothing_may_be_cut_off_or_added(tpm: SimulatedTpm) -> None:
    for raw in (tpm.ek_area.raw, tpm.ak_area.raw, public_area(POINTS[1], 0)):
        for end in range(len(raw)):
            refused("TPM_STRUCTURE", PublicArea.parse, raw[:end])
            refused("TPM_STRUCTURE", read_public, sized(raw)[:end])
            refused("TPM_STRUCTURE", read_public, sized(raw[:end]))
        refused("TPM_STRUCTURE", PublicArea.parse, raw + b"\0")
        refused("TPM_STRUCTURE", read_public, sized(raw) + b"\0")
    quote = DRAFT.write()
    for end in range(len(quote)):
        refused("TPM_STRUCTURE", read_quote, quote[:end])
    refused("QUOTE_TRAILING", read_quote, quote + b"\0")


def refused(error: str, read: Any, data: bytes) -> None:
    with pytest.raises(EvidenceError) as raised:
        read(data)
    assert raised.value.error == error


RSA_HEAD = struct.pack(">HHIH", RSA, SHA256, 0, 0)
NO_ALGORITHMS = b"\x00\x10\x00\x10"
MODULUS = b"\x80" + bytes(254) + b"\x01"
PUBLIC_FAULTS = {
    "another type": b"\x00\x08" + RSA_HEAD[2:] + NO_ALGORITHMS,
    "a name by SHA-1": struct.pack(">HHIH", RSA, SHA1, 0, 0) + NO_ALGORITHMS,
    "no hash for the name": struct.pack(">HHIH", RSA, 0x10, 0, 0) + NO_ALGORITHMS,
    "a reserved attribute": struct.pack(">HHIH", RSA, SHA256, 1, 0) + NO_ALGORITHMS,
    "the highest attribute": struct.pack(">HHIH", RSA, SHA256, 1 << 31, 0) + NO_ALGORITHMS,
    "a policy of another hash": struct.pack(">HHIH", RSA, SHA256, 0, 20) + bytes(20),
    "a policy of 64 KiB": struct.pack(">HHIH", RSA, SHA256, 0, 0xFFFF) + bytes(70),
    "another cipher": RSA_HEAD + b"\x00\x0a\x00\x80\x00\x43\x00\x10",
    "a cipher of odd bits": RSA_HEAD + b"\x00\x06\x00\x81\x00\x43\x00\x10",
    "a scheme of ECC": RSA_HEAD + b"\x00\x10\x00\x18\x00\x0b",
    "another scheme": RSA_HEAD + b"\x00\x10\x12\x34\x00\x0b",
    "RSA of 1024 bits": RSA_HEAD
    + NO_ALGORITHMS
    + struct.pack(">HI", 1024, 0)
    + sized(b"\x80" + bytes(126) + b"\x01"),
    "RSA of 65535 bits": RSA_HEAD + NO_ALGORITHMS + struct.pack(">HI", 0xFFFF, 0) + sized(MODULUS),
    "an exponent of 1": RSA_HEAD + NO_ALGORITHMS + struct.pack(">HI", 2048, 1) + sized(MODULUS),
    "an even exponent": RSA_HEAD + NO_ALGORITHMS + struct.pack(">HI", 2048, 4) + sized(MODULUS),
    "an even modulus": RSA_HEAD
    + NO_ALGORITHMS
    + struct.pack(">HI", 2048, 0)
    + sized(b"\x80" + bytes(255)),
    "a short modulus": RSA_HEAD
    + NO_ALGORITHMS
    + struct.pack(">HI", 2048, 0)
    + sized(MODULUS[:1] + MODULUS[2:]),
    "a modulus with a zero": RSA_HEAD
    + NO_ALGORITHMS
    + struct.pack(">HI", 2048, 0)
    + sized(b"\0" + MODULUS[1:]),
    "another curve": struct.pack(">HHIH", ECC, SHA256, 0, 0)
    + NO_ALGORITHMS
    + b"\x00\x20\x00\x10"
    + sized(bytes(32)) * 2,
    "another derivation": struct.pack(">HHIH", ECC, SHA256, 0, 0)
    + NO_ALGORITHMS
    + b"\x00\x03\x12\x34"
    + sized(bytes(32)) * 2,
    "no point": struct.pack(">HHIH", ECC, SHA256, 0, 0)
    + NO_ALGORITHMS
    + b"\x00\x03\x00\x10"
    + sized(b"") * 2,
    "a long point": struct.pack(">HHIH", ECC, SHA256, 0, 0)
    + NO_ALGORITHMS
    + b"\x00\x03\x00\x10"
    + sized(bytes(33)) * 2,
    "too many bytes": bytes(LARGEST_PUBLIC + 1),
}


@pytest.mark.parametrize("fault", PUBLIC_FAULTS)
def test_faults_of_public_areas(fault: str) -> None:
    refused("TPM_STRUCTURE", PublicArea.parse, PUBLIC_FAULTS[fault])


def test_other_fields_are_read() -> None:
    """A scheme without a hash, one with a counter, a derivation with a hash."""
    raw = RSA_HEAD + struct.pack(">HHHI", 0x10, RSAES, 2048, 65537) + sized(MODULUS)
    area = PublicArea.parse(raw)
    assert (area.scheme, area.exponent) == ((RSAES, 0), 65537)
    head = struct.pack(">HHIHHHHH", ECC, SHA256, 0, 0, 0x10, 0x1A, SHA256, 7)
    point = POINTS[0].public_numbers()
    tail = sized(point.x.to_bytes(32, "big")) + sized(point.y.to_bytes(32, "big"))
    area = PublicArea.parse(head + struct.pack(">HHH", 3, 0x20, SHA256) + tail)
    assert area.scheme == (0x1A, SHA256)
    assert area.as_key().public_numbers() == point


def test_a_point_beside_its_curve_is_no_key() -> None:
    raw = public_area(POINTS[0], 0)
    area = PublicArea.parse(raw[:-1] + bytes([raw[-1] ^ 1]))
    with pytest.raises(EvidenceError) as raised:
        area.as_key()
    assert raised.value.error == "TPM_STRUCTURE"


QUOTE_FAULTS: dict[str, tuple[str, bytes]] = {
    "another magic": ("QUOTE_MAGIC", replace(DRAFT, magic=0xFF544346).write()),
    "a certification": ("QUOTE_TYPE", replace(DRAFT, type=0x8017).write()),
    "a creation": ("QUOTE_TYPE", replace(DRAFT, type=0x801A).write()),
    "half a truth": ("TPM_STRUCTURE", replace(DRAFT, safe=2).write()),
    "a long nonce": ("TPM_STRUCTURE", replace(DRAFT, nonce=bytes(67)).write()),
    "a long digest": ("TPM_STRUCTURE", replace(DRAFT, pcr_digest=bytes(65)).write()),
    "a bank twice": (
        "QUOTE_SELECTION",
        replace(DRAFT, selection=[(SHA256, (0,)), (SHA256, (1,))]).write(),
    ),
    "a short selection": (
        "QUOTE_SELECTION",
        replace(DRAFT, selection=[(SHA256, (0,))], bitmap=2).write(),
    ),
    "a long selection": ("QUOTE_SELECTION", replace(DRAFT, bitmap=4).write()),
    "many banks": (
        "TPM_STRUCTURE",
        replace(DRAFT, selection=[(at, (0,)) for at in range(17)]).write(),
    ),
    "2^32 banks": (
        "TPM_STRUCTURE",
        DRAFT.write().replace(b"\0\0\0\x01\x00\x0b\x03", b"\xff\xff\xff\xff\x00\x0b\x03"),
    ),
    "too many bytes": ("TPM_STRUCTURE", DRAFT.write().ljust(LARGEST_QUOTE + 1, b"\0")),
}


@pytest.mark.parametrize("fault", QUOTE_FAULTS)
def test_faults_of_quotes(fault: str) -> None:
    error, data = QUOTE_FAULTS[fault]
    refused(error, read_quote, data)


@given(data=st.binary(max_size=400))
@QUICK
def test_anything(data: bytes) -> None:
    for tried in (data, sized(data), RSA_HEAD + data, DRAFT.write()[:40] + data):
        for read in (read_public, PublicArea.parse, read_quote):
            try:
                read(tried)
            except EvidenceError as error:
                assert error.error.startswith(("QUOTE_", "TPM_STRUCTURE"))
