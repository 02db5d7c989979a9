"""EK certificates: what they must be, and what they say."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from der_writer import DAY, NOW, Draft, constraints, extension, integer, oid, pem, seq, spki, tlv
from der_writer import usage as usage_of
from ek import (
    AGREE,
    EK_PURPOSE,
    ENCIPHER,
    MANUFACTURER,
    MODEL,
    VERSION,
    Maker,
    alternative,
    attribute,
    called,
    crl_at,
    issuer_at,
    profile,
    purposes,
    refusal,
    tpm_name,
)

from aoshell.attest.tpm.ek_certificate import check_profile, check_validity, read_ek_certificate
from aoshell.attest.tpm.vendors import VENDORS, vendor_id
from aoshell.attest.x509.certificates import Certificate


def test_what_is_written_here_is_what_another_reads(maker: Maker) -> None:
    theirs = x509.load_der_x509_certificate(maker.ek)
    theirs.verify_directly_issued_by(x509.load_der_x509_certificate(maker.ca))
    assert theirs.serial_number == profile(maker.ek).certificate.serial


def test_what_it_says(maker: Maker) -> None:
    draft = maker.ek_draft
    ek = profile(
        draft.but(
            extensions=(
                *draft.extensions,
                issuer_at("https://a.example/ca.cer"),
                crl_at("https://a.example/ca.crl", called("CRLs")),
            )
        ).der()
    )
    assert (ek.manufacturer, ek.vendor) == (0x494E5443, "INTC")
    assert (ek.model, ek.version) == ("SYN", "id:00010002")
    assert ek.issuer_urls == ("https://a.example/ca.cer",)
    (point,) = ek.crl_points
    assert point.urls == ("https://a.example/ca.crl",)
    assert len(point.issuers) == 1


def test_vendors() -> None:
    assert vendor_id(0x414D4400) == "AMD"
    assert vendor_id(0x53544D20) == "STM"
    assert vendor_id(0x494E5443) == "INTC"
    assert vendor_id(0x00001014) == "00001014"
    assert vendor_id(0xFFFFFFFF) == "ffffffff"
    assert all(len(one) in (3, 4) and one.isupper() for one in VENDORS)


def swapped(dotted: str, *instead: bytes) -> Callable[[Draft], Draft]:
    """Other extensions in place of one."""
    return lambda draft: draft.but(extensions=(*draft.without(dotted).extensions, *instead))


def keyed(key: Any, uses: int) -> Callable[[Draft], Draft]:
    return lambda draft: swapped("2.5.29.15", usage_of(uses))(draft).but(key=spki(key))


def multi(*pairs: tuple[str, str]) -> bytes:
    """A name with all attributes in one set, in this order."""
    return seq(tlv(0x31, *(attribute(*pair) for pair in pairs)))


TPM = ((VERSION, "id:1"), (MODEL, "NPCT"), (MANUFACTURER, "id:4e544300"))

GOOD: dict[str, Callable[[Draft], Draft]] = {
    "as it is": lambda draft: draft,
    "no basic constraints": lambda draft: draft.without("2.5.29.19"),
    "defaults written out": swapped(
        "2.5.29.19",
        seq(oid("2.5.29.19"), tlv(1, b"\0"), tlv(4, seq(tlv(1, b"\0")))),
    ),
    "one set, not sorted": swapped("2.5.29.17", alternative(multi(*TPM))),
    "a critical purpose": swapped("2.5.29.37", purposes(critical=True)),
    "several purposes": swapped("2.5.29.37", purposes("2.23.133.8.3", EK_PURPOSE)),
    "an uncritical alternative name": swapped("2.5.29.17", alternative(critical=False)),
    "other alternative names besides": swapped(
        "2.5.29.17",
        extension(
            "2.5.29.17",
            seq(tlv(0x82, b"tpm.example"), tlv(0xA4, called("x")), tlv(0xA4, tpm_name())),
        ),
    ),
    "critical policies": lambda draft: draft.but(
        extensions=(*draft.extensions, extension("2.5.29.32", seq(), critical=True))
    ),
    "an unknown extension": lambda draft: draft.but(
        extensions=(*draft.extensions, extension("1.2.3.4", b"?"))
    ),
    "P-256": keyed(ec.generate_private_key(ec.SECP256R1()), AGREE),
    "P-384": keyed(ec.generate_private_key(ec.SECP384R1()), AGREE),
    "P-521": keyed(ec.generate_private_key(ec.SECP521R1()), AGREE),
    "a subject": lambda draft: draft.but(subject=called("a TPM")),
    "a negative-looking serial number": lambda draft: draft.but(serial=integer(1 << 159)),
}


@pytest.mark.parametrize("change", GOOD.values(), ids=GOOD)
def test_good_profiles(maker: Maker, change: Callable[[Draft], Draft]) -> None:
    assert profile(change(maker.ek_draft).der()).manufacturer in (0x494E5443, 0x4E544300)


BAD: dict[str, tuple[Callable[[Draft], Draft], str]] = {
    "version 1": (lambda draft: draft.but(version=b"", extensions=()), "version 1"),
    "no issuer": (lambda draft: draft.but(issuer=seq()), "who issued it"),
    "an authority": (swapped("2.5.29.19", constraints()), "an authority"),
    "no purpose": (lambda draft: draft.without("2.5.29.37"), EK_PURPOSE),
    "another purpose": (swapped("2.5.29.37", purposes("2.23.133.8.3")), EK_PURPOSE),
    "any purpose": (swapped("2.5.29.37", purposes("2.5.29.37.0")), EK_PURPOSE),
    "no key usage": (lambda draft: draft.without("2.5.29.15"), "decrypt"),
    "a signing key": (swapped("2.5.29.15", usage_of(0x80)), "decrypt"),
    "agreement with RSA": (swapped("2.5.29.15", usage_of(AGREE)), "decrypt"),
    "encipherment on a curve": (
        keyed(ec.generate_private_key(ec.SECP256R1()), ENCIPHER),
        "decrypt",
    ),
    "signs certificates": (swapped("2.5.29.15", usage_of(ENCIPHER | 4)), "may sign"),
    "signs CRLs": (swapped("2.5.29.15", usage_of(ENCIPHER | 2)), "may sign"),
    "an unknown critical extension": (
        lambda draft: draft.but(
            extensions=(*draft.extensions, extension("2.5.29.30", seq(), critical=True))
        ),
        "2.5.29.30 is unknown",
    ),
    "an extension twice": (
        lambda draft: draft.but(extensions=(*draft.extensions, purposes())),
        "2 times",
    ),
    "no alternative name": (
        lambda draft: draft.without("2.5.29.17"),
        f"0 values of {MANUFACTURER}",
    ),
    "no model": (
        swapped("2.5.29.17", alternative(multi(TPM[0], TPM[2]))),
        f"0 values of {MODEL}",
    ),
    "two manufacturers": (
        swapped("2.5.29.17", alternative(multi(*TPM, (MANUFACTURER, "id:414D4400")))),
        f"2 values of {MANUFACTURER}",
    ),
    "two TPMs": (
        swapped(
            "2.5.29.17",
            extension("2.5.29.17", seq(tlv(0xA4, tpm_name()), tlv(0xA4, tpm_name("id:414D4400")))),
        ),
        f"2 values of {MANUFACTURER}",
    ),
    "a short manufacturer": (
        swapped("2.5.29.17", alternative(tpm_name("id:494E54"))),
        "eight hexadecimal digits",
    ),
    "a manufacturer in letters": (
        swapped("2.5.29.17", alternative(tpm_name("INTC"))),
        "eight hexadecimal digits",
    ),
    "a line behind the manufacturer": (
        swapped("2.5.29.17", alternative(tpm_name("id:494E5443\n"))),
        "eight hexadecimal digits",
    ),
    "a small key": (
        keyed(rsa.generate_private_key(public_exponent=65537, key_size=1024), ENCIPHER),
        "1024 bits",
    ),
    "Ed25519": (keyed(ed25519.Ed25519PrivateKey.generate(), ENCIPHER), "neither RSA"),
    "another curve": (keyed(ec.generate_private_key(ec.SECP256K1()), AGREE), "not a point"),
    "malformed key usage": (swapped("2.5.29.15", extension("2.5.29.15", b"\x05\0")), "key usage"),
    "malformed purposes": (swapped("2.5.29.37", extension("2.5.29.37", b"")), "extended key usage"),
    "a malformed URL": (
        lambda draft: draft.but(
            extensions=(
                *draft.extensions,
                extension(
                    "1.3.6.1.5.5.7.1.1",
                    seq(seq(oid("1.3.6.1.5.5.7.48.2"), tlv(0x86, "é".encode()))),
                ),
            )
        ),
        "not ASCII",
    ),
}


@pytest.mark.parametrize(("change", "why"), BAD.values(), ids=BAD)
def test_bad_profiles(maker: Maker, change: Callable[[Draft], Draft], why: str) -> None:
    error = refusal(lambda: profile(change(maker.ek_draft).der()))
    assert error.error == "EK_CERT_PROFILE"
    assert why in error.what


def test_a_default_that_is_written_out_is_read_for_tpms_only(maker: Maker) -> None:
    leaf = GOOD["defaults written out"](maker.ek_draft).der()
    assert refusal(lambda: Certificate.parse(leaf)).error == "CERT_PARSE"
    constraints_oid = oid("2.5.29.19")
    wrong = leaf.replace(constraints_oid + tlv(1, b"\0"), constraints_oid + tlv(1, b"\1"))
    assert wrong != leaf
    assert refusal(lambda: read_ek_certificate(wrong)).error == "EK_CERT_PARSE"


def test_forms_of_the_file(maker: Maker) -> None:
    for data in (maker.ek, pem(maker.ek), b"text before\n" + pem(maker.ek)):
        assert check_profile(read_ek_certificate(data)).vendor == "INTC"


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (lambda _: b"", "EK_CERT_MISSING"),
        (lambda _: b" \n", "EK_CERT_MISSING"),
        (lambda ek: ek[:-1], "EK_CERT_PARSE"),
        (lambda ek: ek + b"\0", "EK_CERT_PARSE"),
        (lambda ek: ek + bytes(300), "EK_CERT_PARSE"),
        (lambda _: b"-----BEGIN CERTIFICATE-----", "EK_CERT_PARSE"),
        (lambda ek: pem(ek) + pem(ek[:50] + b"\0" + ek[51:]), "EK_CERT_PARSE"),
        (lambda _: b"\x30\x82\xff\xff" + bytes(70_000), "EK_CERT_PARSE"),
        (lambda _: b"x" * (2 << 20), "EK_CERT_PARSE"),
    ],
)
def test_bad_files(maker: Maker, change: Callable[[bytes], bytes], name: str) -> None:
    assert refusal(lambda: read_ek_certificate(change(maker.ek))).error == name


def test_two_certificates_and_a_crl(maker: Maker) -> None:
    for data in (pem(maker.ek, maker.ca), maker.ek + maker.crl(), maker.crl()):
        error = refusal(partial(read_ek_certificate, data))
        assert error.error == "EK_CERT_PARSE"
        assert "where one is due" in error.what


@pytest.mark.parametrize(
    ("at", "why"),
    [
        (NOW - 100 * DAY - 1, "not valid before 2025-11-21"),
        (NOW - 100 * DAY, ""),
        (NOW + 100 * DAY, ""),
        (NOW + 100 * DAY + 1, "expired on 2026-06-09"),
    ],
)
def test_validity(maker: Maker, at: int, why: str) -> None:
    certificate = read_ek_certificate(maker.ek)
    if not why:
        check_validity(certificate, at)
        return
    error = refusal(lambda: check_validity(certificate, at))
    assert error.error == "EK_CERT_EXPIRED"
    assert why in error.what


def test_a_real_certificate(shared: Path) -> None:
    """One of an Intel TPM, which `cryptography` refuses."""
    file = shared / "measurement" / "adl-ek-leaf.pem"
    if not file.is_file():
        pytest.skip(f"no {file}")
    with pytest.raises(ValueError, match="EncodedDefault"):
        list(x509.load_pem_x509_certificate(file.read_bytes()).extensions)
    ek = check_profile(read_ek_certificate(file.read_bytes()))
    assert (ek.vendor, ek.model, ek.version) == ("INTC", "ADL", "id:02580012")
    assert ek.certificate.serial == 0x79986503_7C2F356C_A9F78314_2449A598
    assert ek.crl_points[0].urls == (
        "https://tsci.intel.com/content/OnDieCA/crls/ODCA_CA2_CSME_Indirect.crl",
    )
    assert ek.issuer_urls == ()
    check_validity(ek.certificate, NOW)
