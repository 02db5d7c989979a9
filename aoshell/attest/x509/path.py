"""Finds the three certificates that count: the VEK, its issuer (ASK or ASVK), and the ARK.

Files have certificates in any order, and more than are needed. What is found here is not trusted:
the checks verify it, whichever it is (RFC 5280 section 6.1 needs a path to verify, not how to find
one). If several fit, one whose signatures fit is taken, so that other certificates do no harm.

The verifier's own (its files, AMD's service) come first, then those that came with the evidence.
Who gave a certificate decides whether a fault in it counts against the evidence.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from aoshell.attest import tables
from aoshell.attest.errors import EvidenceError
from aoshell.attest.evidence import Collateral, Evidence
from aoshell.attest.products import Product
from aoshell.attest.report import VLEK, Report
from aoshell.attest.x509 import amd_profile, material
from aoshell.attest.x509.certificates import Certificate, check_signature, ec_key
from aoshell.attest.x509.crl import Crl
from aoshell.attest.x509.material import Material

_WHAT = {"vek": "the VEK certificate", "chain": "the certificate chain", "crl": "the CRL"}


@dataclass(frozen=True)
class Pool:
    """The certificates and CRLs from one side: the verifier, or the evidence.

    Attributes:
        ours: whether they are the verifier's.
        found: by part of `Collateral`.
        faults: why a file, or something in it, cannot be used; by part of `Collateral`.
    """

    ours: bool
    found: Mapping[str, Material]
    faults: Mapping[str, EvidenceError]

    @classmethod
    def read(cls, collateral: Collateral, ours: bool) -> Pool:
        """Reads all files. Raises nothing: a fault matters only once something is missing."""
        found: dict[str, Material] = {}
        faults: dict[str, EvidenceError] = {}
        for part, what in _WHAT.items():
            if data := getattr(collateral, part):
                try:
                    found[part] = material.read_material(data, what)
                except EvidenceError as error:
                    faults[part] = error
                else:
                    faults.update((part, fault) for fault in found[part].faults[:1])
        return cls(ours, found, faults)

    @cached_property
    def certificates(self) -> tuple[Certificate, ...]:
        """All, each once; those of the file for VEKs first."""
        listed = (one for part in self.found.values() for one in part.certificates)
        return tuple({one.signed.der: one for one in listed}.values())

    @cached_property
    def crls(self) -> tuple[Crl, ...]:
        return tuple(one for part in self.found.values() for one in part.crls)

    def serves(self, product: Product) -> bool:
        """Whether there seems to be a certificate of one of AMD's authorities for a product."""
        named = {amd_profile.issuer_of(product, vlek) for vlek in (False, True)}
        named.add(amd_profile.root_of(product))
        return any(one.common_name in named for one in self.certificates)

    def names(self, part: str) -> str:
        """Common names in a file, for people; "" without one."""
        return self.found[part].names if part in self.found else ""


def read_enclosed_collateral(evidence: Evidence) -> Collateral:
    """The collateral that came with evidence, including its certificate table. A broken table
    counts as empty; the check `certificate-table` reports it."""
    try:
        found = tables.parse_table(evidence.table)
    except EvidenceError:
        return evidence.collateral
    vek, chain = (
        material.bundle_as_pem(found[name] for name in names if name in found)
        for names in (("VLEK", "VCEK"), ("ASK", "ARK"))
    )
    return evidence.collateral.filled(Collateral(vek, chain, found.get("CRL", b"")))


def is_authority(certificate: Certificate) -> bool:
    """Whether a certificate signs others, by its names."""
    named = amd_profile.product_of(certificate.common_name) is not None
    return named or certificate.subject == certificate.issuer


def find_leaf(pool: Pool, report: Report, at: int) -> Certificate | None:
    """The certificate that fits best as that of the key that signed a report."""
    tried = [one for one in pool.certificates if not is_authority(one)]
    if len(tried) < 2:
        return tried[0] if tried else None
    kind = amd_profile.VLEK_NAME if report.signing_key == VLEK else amd_profile.VCEK_NAME

    def rank(one: Certificate) -> tuple[bool, bool, bool]:
        return _has_made(one, report), one.common_name == kind, _is_valid(one, at)

    return max(tried, key=rank)


def find_root(pools: Iterable[Pool], product: Product, pinned: str) -> Certificate | None:
    """The root of a product: the pinned one, else one of that name. Of those that came with
    evidence any root will do, so that the check `root` refuses it."""
    own_name = amd_profile.root_of(product)
    listed = [(one, pool) for pool in pools for one in pool.certificates]
    for one, _ in listed:
        if one.fingerprint == pinned:
            return one
    for one, pool in listed:
        if one.subject == one.issuer and (one.common_name == own_name or not pool.ours):
            return one
    return None


def find_intermediate(
    pools: Iterable[Pool], vek: Certificate, ark: Certificate, at: int
) -> Certificate | None:
    """The certificate between a VEK and a root: one with the name of the VEK's issuer, or whose key
    has signed the VEK."""

    def rank(one: Certificate) -> tuple[bool, bool, bool]:
        return has_signed(one, vek), has_signed(ark, one), _is_valid(one, at)

    tried = [
        one
        for pool in pools
        for one in pool.certificates
        if one is not vek and one.subject != one.issuer
    ]
    tried = [one for one in tried if one.subject == vek.issuer or has_signed(one, vek)]
    return max(tried, key=rank) if len(tried) > 1 else next(iter(tried), None)


def has_signed(issuer: Certificate, certificate: Certificate) -> bool:
    """Whether the issuer's key has signed a certificate by AMD's algorithm."""
    try:
        check_signature(certificate.signed, certificate.algorithm, issuer, "CHAIN_SIGNATURE")
    except EvidenceError:
        return False
    return True


def _has_made(certificate: Certificate, report: Report) -> bool:
    try:
        return report.is_signed_by(ec_key(certificate))
    except EvidenceError:
        return False


def _is_valid(certificate: Certificate, at: int) -> bool:
    return certificate.not_before <= at <= certificate.not_after
