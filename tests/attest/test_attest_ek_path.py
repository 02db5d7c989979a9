"""The path from an EK certificate to a pinned root."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from der_writer import (
    DAY,
    NOW,
    Draft,
    constraints,
    integer,
    oid,
    pem,
    pss,
    seq,
    sign_pss,
    spki,
    tlv,
    usage,
)
from ek import (
    HASHES,
    SIGN_BOTH,
    Maker,
    alternative,
    called,
    issuer_at,
    key_ids,
    pkcs1,
    profile,
    refusal,
    refused,
    sign_rsa,
    tpm_name,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rsa_keys import RsaKeys

from aoshell.attest.errors import EvidenceError, InconclusiveError, UnusableFileError
from aoshell.attest.tpm import ek_path
from aoshell.attest.tpm.ek_certificate import check_profile, check_validity, read_ek_certificate
from aoshell.attest.tpm.ek_path import LONGEST, MOST_ENCLOSED, EkPool, find_path
from aoshell.attest.tpm.roots import EK_ROOTS, EkRoot
from aoshell.attest.tpm.vendors import VENDORS
from aoshell.attest.x509.certificates import Certificate, SignedDer
from aoshell.attest.x509.keys import public_key

PROFILE, SIGNATURE, UNAVAILABLE = "EK_CERT_PROFILE", "EK_CHAIN_SIGNATURE", "EK_CHAIN_UNAVAILABLE"


def test_the_pinned_roots() -> None:
    for fingerprint, root in EK_ROOTS.items():
        assert len(bytes.fromhex(fingerprint)) == 32
        assert fingerprint == fingerprint.lower()
        assert root.vendor in VENDORS
        assert not root.url or root.url.startswith("https://")
    named = [root.name for root in EK_ROOTS.values()]
    assert len(set(named)) == len(named)


def test_a_good_path(maker: Maker) -> None:
    path = maker.path()
    assert [one.signed.der for one in path.certificates] == [maker.ek, maker.ca, maker.root]
    assert path.root.name == "a synthetic root"


@pytest.mark.parametrize("where", ["enclosed", "given"])
def test_who_brings_a_certificate_does_not_matter(maker: Maker, where: str) -> None:
    others = pem(maker.root, maker.crl(), kind="CERTIFICATE") + pem(maker.ek, maker.ca)
    enclosed, given = ((others,), ()) if where == "enclosed" else ((), (others,))
    path = maker.path(enclosed=enclosed, given=given)
    assert len(path.certificates) == 3


def test_only_the_parameter_trusts_a_synthetic_root(maker: Maker) -> None:
    pool = EkPool.read(b"", (maker.ca, maker.root))
    refused(lambda: find_path(profile(maker.ek), pool, NOW), "EK_ROOT_NOT_PINNED", "SHA-256")


@pytest.mark.parametrize(
    ("given", "missing"),
    [((), "Issuing CA"), (("root",), "Issuing CA"), (("ca",), "Root")],
)
def test_something_is_missing(maker: Maker, given: Sequence[str], missing: str) -> None:
    files = [getattr(maker, one) for one in given]
    refused(lambda: maker.path(given=files), "EK_CHAIN_UNAVAILABLE", f"'{missing}, Syn", True)


def test_hints(maker: Maker) -> None:
    def hint(leaf: Draft, *given: bytes) -> str:
        return refusal(lambda: maker.path(leaf.der(), given=given)).hint

    leaf, url = maker.ek_draft, "https://a.example/ca.cer"
    assert "NV index" in hint(leaf)
    named = leaf.but(extensions=(*leaf.extensions, issuer_at(url)))
    assert hint(named) == f"fetch {url} and give it with --ek-chain FILE"
    for strange in ("ldap://a.example", "https://a.example/\x1b[2J", f"https://{'a' * 300}"):
        odd = leaf.but(extensions=(*leaf.extensions, issuer_at(strange)))
        assert strange not in hint(odd)
    ca = maker.ca_draft
    linked = ca.but(extensions=(*ca.extensions, issuer_at(url)))
    assert url in hint(leaf, linked.der())
    assert (
        hint(leaf, maker.ca) == "get it from the maker of the TPM and give it with --ek-chain FILE"
    )


def test_hints_where_a_pinned_root_is(maker: Maker) -> None:
    leaf = maker.ek_draft.without("2.5.29.17")
    nuvoton = leaf.but(
        issuer=called("Nuvoton TPM Root CA 2111"),
        extensions=(*leaf.extensions, alternative(tpm_name("id:4E544300"))),
    )
    error = refusal(lambda: find_path(profile(nuvoton.der()), EkPool(), NOW))
    assert "NTC-TPM-EK-Cert/Nuvoton%20TPM%20Root%20CA%202111.cer and give it" in error.hint
    other = leaf.but(
        issuer=called("AMDTPM"), extensions=(*leaf.extensions, alternative(tpm_name("id:414D4400")))
    )
    error = refusal(lambda: find_path(profile(other.der()), EkPool(), NOW))
    assert error.hint.count("https://ftpm.amd.com/pki/aia/") == 2


def test_a_key_that_its_certificate_does_not_mean(maker: Maker) -> None:
    """An authority of the same name, with another key: the right one is missing."""
    leaf, ca = maker.ek_draft, maker.ca_draft
    signed = leaf.but(extensions=(*leaf.extensions, *key_ids(issuer=maker.ca_key)))
    other = ca.but(
        key=spki(maker.other_key), extensions=(*ca.extensions, *key_ids(own=maker.other_key))
    )
    run = partial(maker.path, signed.der(), given=(other.der(), maker.root))
    refused(run, UNAVAILABLE, "missing", True)
    # Both are there, in either order.
    for files in ((other.der(), maker.ca, maker.root), (maker.ca, other.der(), maker.root)):
        assert len(maker.path(signed.der(), given=files).certificates) == 3


def test_a_foreign_root(maker: Maker) -> None:
    stranger = Maker()
    run = partial(maker.path, stranger.ek, given=(stranger.ca, stranger.root))
    refused(run, "EK_ROOT_NOT_PINNED", hashlib.sha256(stranger.root).hexdigest())
    mixed = partial(maker.path, stranger.ek, (stranger.ca, stranger.root), (maker.ca, maker.root))
    refused(mixed, "EK_ROOT_NOT_PINNED", "no root of a vendor")
    # A root with the pinned one's name and key is another certificate.
    again = maker.root_draft.but(serial=integer(5)).der()
    refused(lambda: maker.path(given=(maker.ca, again)), "EK_ROOT_NOT_PINNED", "SHA-256")
    assert maker.path(given=(maker.ca, again, maker.root)).root.vendor == "INTC"


def test_dates(maker: Maker) -> None:
    past = {"not_before": NOW - 50 * DAY, "not_after": NOW - DAY}
    future = {"not_before": NOW + DAY, "not_after": NOW + 50 * DAY}
    for dates, why in ((past, "expired on"), (future, "not valid before")):
        ca = maker.ca_draft.but(**dates).der()
        ours = partial(maker.path, given=(ca, maker.root))
        refused(ours, "EK_CERT_EXPIRED", why, True)
        theirs = partial(maker.path, enclosed=(ca,), given=(maker.root,))
        refused(theirs, "EK_CERT_EXPIRED", why)
        # A good one beside it is found.
        assert len(maker.path(enclosed=(ca,), given=(maker.ca, maker.root)).certificates) == 3
    root = maker.root_draft.but(**past).der()
    roots = {hashlib.sha256(root).hexdigest(): EkRoot("INTC", "a synthetic root")}
    pool = EkPool.read(b"", (maker.ca, root))
    late = partial(find_path, profile(maker.ek), pool, NOW, test_roots=roots)
    refused(late, "EK_CERT_EXPIRED", "'Root, Synthetic' expired", True)


def chain_of(maker: Maker, count: int) -> list[bytes]:
    """An EK certificate and `count` authorities between it and the root."""
    keys = [maker.root_key, *(ec.generate_private_key(ec.SECP256R1()) for _ in range(count))]
    names = ["Root", *(f"CA {number}" for number in range(count))]
    cas = [
        maker.draft(names[at + 1], names[at], keys[at + 1], keys[at]).der() for at in range(count)
    ]
    leaf = maker.ek_draft.but(issuer=called(names[-1]), signer=keys[-1])
    return [leaf.der(), *cas]


def test_the_length_of_a_path(maker: Maker) -> None:
    leaf, *cas = chain_of(maker, LONGEST - 2)
    assert len(maker.path(leaf, given=(*cas, maker.root)).certificates) == LONGEST
    leaf, *cas = chain_of(maker, LONGEST - 1)
    refused(lambda: maker.path(leaf, given=(*cas, maker.root)), PROFILE, f"more than {LONGEST}")


def test_a_hundred_certificates(maker: Maker) -> None:
    leaf, *cas = chain_of(maker, 100)
    refused(lambda: maker.path(leaf, given=(*cas, maker.root)), PROFILE, f"more than {LONGEST}")
    refused(lambda: maker.path(leaf, enclosed=cas, given=()), "EK_CERT_PARSE", str(MOST_ENCLOSED))
    many = pem(*cas) * 6
    assert len(maker.path(given=(many, maker.ca, maker.root)).certificates) == 3


def test_too_many_in_a_file(maker: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ek_path, "MOST_GIVEN", 2)
    _, *cas = chain_of(maker, 3)
    error = refusal(lambda: maker.path(given=(pem(*cas),)))
    assert isinstance(error, UnusableFileError)
    assert (error.error, error.part) == ("EK_CERT_PARSE", "ek_chain")


def test_circles(maker: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Authorities that sign each other, all of them: each signature is verified once at most."""
    names = ["Issuing CA", *(f"CA {number}" for number in range(4))]
    ring = [
        maker.draft(own, issuer, maker.ca_key, maker.ca_key).but(serial=integer(number)).der()
        for number, (own, issuer) in enumerate((own, issuer) for own in names for issuer in names)
        if own != issuer
    ]
    calls = []
    real = ek_path.signature_fault

    def counted(signed: SignedDer, algorithm: bytes, issuer: Certificate) -> str:
        calls.append(issuer)
        return real(signed, algorithm, issuer)

    monkeypatch.setattr(ek_path, "signature_fault", counted)
    error = refusal(lambda: maker.path(given=ring))
    assert error.error in (UNAVAILABLE, PROFILE)
    assert len(calls) <= (len(ring) + 1) * 5
    # A way out is found.
    assert len(maker.path(given=(*ring, maker.ca, maker.root)).certificates) == 3


def test_the_shortest_way_counts_for_a_limit_of_length(maker: Maker) -> None:
    """The authority below a root that permits one is reached directly and by a detour."""
    root = maker.root_draft.but(extensions=(usage(SIGN_BOTH), constraints(path=1))).der()
    detour = maker.draft("Detour", "Root", maker.other_key, maker.root_key)
    crossed = maker.draft("Issuing CA", "Detour", maker.ca_key, maker.other_key, serial=integer(9))
    roots = {hashlib.sha256(root).hexdigest(): EkRoot("INTC", "a synthetic root")}
    given = (crossed.der(), detour.der(), maker.ca, root)
    pool = EkPool.read(b"", given)
    path = find_path(profile(maker.ek), pool, NOW, test_roots=roots)
    assert len(path.certificates) == 3
    pool = EkPool.read(b"", given[:2] + given[3:])
    run = partial(find_path, profile(maker.ek), pool, NOW, test_roots=roots)
    refused(run, PROFILE, "2 authorities are below it, and 1 may be")


@pytest.mark.parametrize("bits", [256, 384, 512])
@pytest.mark.parametrize("scheme", ["RSA", "RSA without parameters", "RSA-PSS"])
def test_rsa_signatures(maker: Maker, rsa_keys: RsaKeys, scheme: str, bits: int) -> None:
    key = rsa_keys.key(2)
    algorithm, sign = pkcs1(bits, null=scheme == "RSA"), partial(sign_rsa, bits_of_hash=bits)
    if scheme == "RSA-PSS":
        algorithm = pss(f"2.16.840.1.101.3.4.2.{ {256: 1, 384: 2, 512: 3}[bits] }", bits // 8)
        sign = partial(sign_pss, salt=bits // 8, algorithm=HASHES[bits])
    ca = maker.ca_draft.but(key=spki(key)).der()
    leaf = maker.ek_draft.but(signer=key, algorithm=algorithm, sign=sign)
    assert len(maker.path(leaf.der(), given=(ca, maker.root)).certificates) == 3
    other = {256: 384, 384: 512, 512: 256}[bits]
    for wrong in (
        leaf.but(sign=partial(sign_rsa, bits_of_hash=other)),
        leaf.but(sign=partial(sign_pss, salt=20)),
        leaf.but(algorithm=pss(salt=20)),
        leaf.but(algorithm=pkcs1(other)),
    ):
        run = partial(maker.path, wrong.der(), given=(ca, maker.root))
        assert refusal(run).error == SIGNATURE


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()])
def test_curves(maker: Maker, curve: ec.EllipticCurve) -> None:
    key = ec.generate_private_key(curve)
    ca = maker.ca_draft.but(key=spki(key)).der()
    leaf = maker.ek_draft.but(signer=key).der()
    assert len(maker.path(leaf, given=(ca, maker.root)).certificates) == 3


def test_keys_of_odd_sizes(maker: Maker) -> None:
    def named(exponent: int, modulus: int) -> str:
        key = seq(
            seq(oid("1.2.840.113549.1.1.1"), b"\x05\0"),
            tlv(3, b"\0", seq(integer(modulus), integer(exponent))),
        )
        parsed = Certificate.parse(maker.ca_draft.but(key=key).der())
        return refusal(lambda: public_key(parsed)).what

    large = (1 << 8192) + 1
    assert "8193 bits" in named(65537, large)
    assert "accepted" in named(1 << 32, (1 << 2047) + 1)
    assert "cannot be one" in named(2, (1 << 2047) + 1)


def test_every_byte_of_a_leaf(maker: Maker) -> None:
    """A certificate with any byte changed has no path to a pinned root."""
    pool = EkPool.read(b"", (maker.ca, maker.root))
    for at in range(len(maker.ek)):
        wrong = bytearray(maker.ek)
        wrong[at] ^= 1 << at % 8
        with pytest.raises(EvidenceError):
            ek = check_profile(read_ek_certificate(bytes(wrong)))
            find_path(ek, pool, NOW, test_roots=maker.roots)


def test_every_byte_of_an_authority(maker: Maker) -> None:
    for at in range(len(maker.ca)):
        wrong = bytearray(maker.ca)
        wrong[at] ^= 1 << at % 8
        with pytest.raises(EvidenceError):
            maker.path(given=(bytes(wrong), maker.root))


QUICK = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@given(data=st.binary(max_size=600), at=st.integers(0, 900), cut=st.integers(0, 40))
@QUICK
def test_any_bytes(maker: Maker, data: bytes, at: int, cut: int) -> None:
    """Only errors of this room come out."""
    spliced = maker.ek[:at] + data[:20] + maker.ek[at + cut :]
    for leaf in (data, b"\x30\x82" + data, spliced):
        try:
            ek = check_profile(read_ek_certificate(leaf))
            find_path(ek, EkPool.read(data, (data, spliced)), NOW, test_roots=maker.roots)
        except EvidenceError as error:
            assert error.error.startswith("EK_")
    pool = EkPool.read(pem(spliced, maker.ca), (data, maker.root))
    assert len(find_path(profile(maker.ek), pool, NOW, test_roots=maker.roots).certificates) == 3


def test_what_cannot_be_read_matters_only_if_something_is_missing(maker: Maker) -> None:
    junk = b"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"
    assert maker.path(enclosed=(junk,)).root
    refused(lambda: maker.path(enclosed=(junk,), given=()), "EK_CERT_PARSE", "chain of the EK")
    error = refusal(lambda: maker.path(given=(junk,)))
    assert isinstance(error, UnusableFileError)
    refused(lambda: maker.path(enclosed=(junk,), given=(junk,)), "EK_CERT_PARSE", "chain of the EK")


def test_a_certificate_that_swtpm_makes(tmp_path: Path) -> None:
    """Its local authority and what it signs, as `swtpm_setup` has it done."""
    tool = shutil.which("swtpm_localca")
    if not tool:
        pytest.skip("no swtpm_localca")
    names = {"signingkey": "key.pem", "issuercert": "ca.pem", "certserial": "serial"}
    files = {"statedir": tmp_path, **{key: tmp_path / name for key, name in names.items()}}
    config, options = tmp_path / "localca.conf", tmp_path / "options"
    config.write_text("".join(f"{key} = {value}\n" for key, value in files.items()))
    options.write_text("--platform-manufacturer a\n--platform-version b\n--platform-model c\n")
    modulus = rsa.generate_private_key(public_exponent=65537, key_size=2048).public_key()
    made = {
        **{"type": "ek", "ek": f"{modulus.public_numbers().n:x}", "dir": tmp_path, "vmid": "a"},
        **{"tpm-spec-family": "2.0", "tpm-spec-level": 0, "tpm-spec-revision": 164},
        **{"tpm-manufacturer": "id:00001014", "tpm-model": "swtpm", "tpm-version": "id:20191023"},
        **{"configfile": config, "optsfile": options},
    }
    flags = [text for key, value in made.items() for text in (f"--{key}", str(value))]
    subprocess.run([tool, *flags, "--tpm2"], check=True, capture_output=True, timeout=120)
    ek = check_profile(read_ek_certificate((tmp_path / "ek.cert").read_bytes()))
    assert (ek.vendor, ek.model, ek.version) == ("00001014", "swtpm", "id:20191023")
    root = tmp_path / "swtpm-localca-rootca-cert.pem"
    pool = EkPool.read(b"", (root.read_bytes(), (tmp_path / "ca.pem").read_bytes()))
    at = ek.certificate.not_before
    refused(partial(find_path, ek, pool, at), "EK_ROOT_NOT_PINNED", "swtpm-localca-rootca")
    roots = {pool.given[0].fingerprint: EkRoot("00001014", "swtpm's")}
    assert len(find_path(ek, pool, at, test_roots=roots).certificates) == 3
    other = {pool.given[0].fingerprint: EkRoot("IBM", "another's")}
    run = partial(find_path, ek, pool, at, test_roots=other)
    refused(run, "EK_VENDOR_MISMATCH", "a TPM by 00001014, but its root another's")


def test_a_real_certificate_without_its_chain(shared: Path) -> None:
    folder = shared / "measurement"
    files = [folder / "adl-ek-leaf.pem", folder / "adl-issuing-ca-2820.pem"]
    if not all(file.is_file() for file in files):
        pytest.skip(f"no {files[0]} and {files[1].name}")
    leaf, authority = (file.read_bytes() for file in files)
    ek = check_profile(read_ek_certificate(leaf))
    check_validity(ek.certificate, NOW)
    for pool in (EkPool(), EkPool.read(b"", (authority,))):
        error = refusal(partial(find_path, ek, pool, NOW))
        assert isinstance(error, InconclusiveError)
        assert error.error == UNAVAILABLE
        assert "'CSME ADL PTT  01SVN'" in error.what
    # The authority is the fourth one above the EK, and below Intel's root.
    issuing = Certificate.parse(EkPool.read(b"", (authority,)).given[0].signed.der)
    below = replace(ek, certificate=issuing)
    error = refusal(lambda: find_path(below, EkPool(), NOW))
    assert error.hint == (
        "fetch https://tsci.intel.com/content/OnDieCA/certs/ODCA_CA2_CSME_Intermediate.cer"
        " and give it with --ek-chain FILE"
    )
