"""Certificates between an EK certificate and its root: which may sign others."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from der_writer import (
    NOW,
    Draft,
    constraints,
    extension,
    oid,
    seq,
    spki,
    tlv,
    usage,
)
from ek import (
    SIGN_BOTH,
    Maker,
    alternative,
    attribute,
    called,
    ecdsa,
    key_ids,
    pkcs1,
    profile,
    purposes,
    refused,
    sign_ecdsa,
    sign_rsa,
    tpm_name,
)

from aoshell.attest.tpm.ek_path import EkPool, find_path
from aoshell.attest.tpm.roots import EkRoot


def changed(change: Callable[[Maker], tuple[Draft, Draft, Draft]]) -> Callable[[Maker], Any]:
    """The path of changed certificates: EK's, authority's and root's."""

    def run(maker: Maker) -> Any:
        ek, ca, root = (draft.der() for draft in change(maker))
        roots = {hashlib.sha256(root).hexdigest(): EkRoot("INTC", "a synthetic root")}
        pool = EkPool.read(b"", (ca, root))
        return find_path(profile(ek), pool, NOW, test_roots=roots)

    return run


def with_ca(change: Callable[[Draft, Maker], Draft]) -> Callable[[Maker], Any]:
    return changed(lambda maker: (maker.ek_draft, change(maker.ca_draft, maker), maker.root_draft))


def with_root(change: Callable[[Draft, Maker], Draft]) -> Callable[[Maker], Any]:
    return changed(lambda maker: (maker.ek_draft, maker.ca_draft, change(maker.root_draft, maker)))


def with_ek(change: Callable[[Draft, Maker], Draft]) -> Callable[[Maker], Any]:
    return changed(lambda maker: (change(maker.ek_draft, maker), maker.ca_draft, maker.root_draft))


def having(*extensions: bytes) -> Callable[[Draft, Maker], Draft]:
    return lambda draft, _: draft.but(extensions=extensions)


KU = usage(SIGN_BOTH)
CRITICAL_NAMES = extension("2.5.29.30", seq(tlv(0xA0, seq(tlv(0x82, b"a.example")))), critical=True)
POLICY_RULES = extension("2.5.29.36", seq(tlv(0x80, b"\0")), critical=True)

GOOD: dict[str, Callable[[Maker], Any]] = {
    "a length that suffices": with_root(having(KU, constraints(path=1))),
    "length 0 for the last authority": with_ca(having(KU, constraints(path=0))),
    "critical policies": with_ca(
        having(KU, constraints(), extension("2.5.29.32", seq(), critical=True))
    ),
    "a critical purpose": with_ca(having(KU, constraints(), purposes(critical=True))),
    "any critical purpose": with_ca(
        having(KU, constraints(), purposes("2.5.29.37.0", critical=True))
    ),
    "another purpose": with_ca(having(KU, constraints(), purposes("2.23.133.8.12"))),
    "uncritical constraints": with_ca(having(KU, extension("2.5.29.19", seq(tlv(1, b"\xff"))))),
    "a name in another kind of string": with_ca(
        lambda draft, _: draft.but(
            issuer=seq(
                tlv(0x31, seq(oid("2.5.4.10"), tlv(0x13, b"Synthetic"))),
                tlv(0x31, seq(oid("2.5.4.3"), tlv(0x13, b"Root"))),
            )
        )
    ),
    "key identifiers that do not fit": changed(
        lambda maker: (
            maker.ek_draft.but(
                extensions=(*maker.ek_draft.extensions, *key_ids(issuer=maker.other_key))
            ),
            maker.ca_draft.but(extensions=(*maker.ca_draft.extensions, *key_ids(own=maker.ca_key))),
            maker.root_draft,
        )
    ),
    "ECDSA with parameters": with_ek(lambda draft, _: draft.but(algorithm=ecdsa(null=True))),
    "ECDSA with SHA-256": with_ek(
        lambda draft, _: draft.but(algorithm=ecdsa(256), sign=partial(sign_ecdsa, bits_of_hash=256))
    ),
    "ECDSA with SHA-512": with_ek(
        lambda draft, _: draft.but(algorithm=ecdsa(512), sign=partial(sign_ecdsa, bits_of_hash=512))
    ),
}


@pytest.mark.parametrize("run", GOOD.values(), ids=GOOD)
def test_good_authorities(maker: Maker, run: Callable[[Maker], Any]) -> None:
    assert len(run(maker).certificates) == 3


PROFILE, SIGNATURE, UNAVAILABLE = "EK_CERT_PROFILE", "EK_CHAIN_SIGNATURE", "EK_CHAIN_UNAVAILABLE"
BAD: dict[str, tuple[Callable[[Maker], Any], str, str]] = {
    "no authority": (with_ca(having(KU, constraints(ca=False))), PROFILE, "no authority"),
    "authority left out": (with_ca(having(KU)), PROFILE, "not marked"),
    "a root that is no authority": (
        with_root(having(KU, constraints(ca=False))),
        PROFILE,
        "no authority",
    ),
    "too long below the root": (
        with_root(having(KU, constraints(path=0))),
        PROFILE,
        "1 authorities are below it, and 0 may be",
    ),
    "may not sign certificates": (
        with_ca(having(usage(0x02), constraints())),
        PROFILE,
        "key usage",
    ),
    "no key usage": (with_ca(having(constraints())), PROFILE, "key usage"),
    "names limited": (
        with_ca(having(KU, constraints(), CRITICAL_NAMES)),
        PROFILE,
        "2.5.29.30 is unknown",
    ),
    "policies limited": (
        with_root(having(KU, constraints(), POLICY_RULES)),
        PROFILE,
        "2.5.29.36 is unknown",
    ),
    "for another purpose": (
        with_ca(having(KU, constraints(), purposes("1.3.6.1.5.5.7.3.1", critical=True))),
        PROFILE,
        "not for EK",
    ),
    "constraints twice": (
        with_ca(having(KU, constraints(), constraints())),
        PROFILE,
        "2 times",
    ),
    "malformed constraints": (
        with_ca(having(KU, extension("2.5.29.19", b"\5\0", critical=True))),
        PROFILE,
        "basic constraints",
    ),
    "version 1": (
        with_ca(lambda draft, _: draft.but(version=b"", extensions=())),
        PROFILE,
        "version is 1",
    ),
    "signed by another key": (
        with_ek(lambda draft, maker: draft.but(signer=maker.other_key)),
        SIGNATURE,
        "does not fit its key",
    ),
    "authority signed by another key": (
        with_ca(lambda draft, maker: draft.but(signer=maker.other_key)),
        SIGNATURE,
        "'Issuing CA, Synthetic' is not signed by 'Root, Synthetic'",
    ),
    "another key in the authority": (
        with_ca(lambda draft, maker: draft.but(key=spki(maker.other_key))),
        SIGNATURE,
        "does not fit its key",
    ),
    "two algorithms": (
        with_ek(lambda draft, _: draft.but(outer_algorithm=ecdsa(256))),
        SIGNATURE,
        "none that is accepted",
    ),
    "SHA-1": (
        with_ek(lambda draft, _: draft.but(algorithm=seq(oid("1.2.840.10045.4.1")))),
        SIGNATURE,
        "none that is accepted",
    ),
    "RSA's algorithm with a curve": (
        with_ek(lambda draft, _: draft.but(algorithm=pkcs1())),
        SIGNATURE,
        "does not fit its key",
    ),
    "a key of another kind": (
        with_ca(lambda draft, _: draft.but(key=seq(seq(oid("1.3.101.112")), tlv(3, bytes(33))))),
        SIGNATURE,
        "neither RSA nor",
    ),
    "a set instead of two parts of a name": (
        with_ca(
            lambda draft, _: draft.but(
                subject=seq(
                    tlv(
                        0x31, attribute("2.5.4.10", "Synthetic"), attribute("2.5.4.3", "Issuing CA")
                    )
                )
            )
        ),
        UNAVAILABLE,
        "missing",
    ),
    "another vendor's TPM": (
        with_ek(
            lambda draft, _: draft.without("2.5.29.17").but(
                extensions=(
                    *draft.without("2.5.29.17").extensions,
                    alternative(tpm_name("id:414D4400")),
                )
            )
        ),
        "EK_VENDOR_MISMATCH",
        "of a TPM by AMD, but its root a synthetic root is for TPMs by Intel",
    ),
    "signs itself": (
        with_ek(
            lambda draft, maker: draft.but(
                subject=called("me"),
                issuer=called("me"),
                algorithm=pkcs1(),
                signer=maker.ek_key,
                sign=sign_rsa,
            )
        ),
        "EK_ROOT_NOT_PINNED",
        "'me, Synthetic'",
    ),
}


@pytest.mark.parametrize(("run", "name", "why"), BAD.values(), ids=BAD)
def test_bad_authorities(maker: Maker, run: Callable[[Maker], Any], name: str, why: str) -> None:
    refused(lambda: run(maker), name, why, name == UNAVAILABLE)
