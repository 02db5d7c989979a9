"""Which of the certificates at hand are the three that count: VEK, its issuer (ASK or ASVK), ARK.

Files name their certificates in no order, and have more in them than is needed. What is chosen here
is only *tried*: the checks decide about it, whichever it is. Where several could be meant, the one
whose signatures fit is taken, so that a stranger among them neither helps nor hurts.

Those of the verifier (its own files, AMD's service) are asked first, then those that came with the
evidence: who gave a certificate decides whether it can speak against the evidence.
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
    """What one giver has, each file read for itself.

    Attributes:
        ours: whether the verifier has it, rather than who shows the evidence.
        found: by the file's part in `Collateral`.
        faults: why such a file cannot be used, or something in it; by part as well.
    """

    ours: bool
    found: Mapping[str, Material]
    faults: Mapping[str, EvidenceError]

    @classmethod
    def read(cls, collateral: Collateral, ours: bool) -> Pool:
        """Raises nothing: a fault matters once something is missing."""
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
        """All, those of the file for VEKs first, each once."""
        listed = (one for part in self.found.values() for one in part.certificates)
        return tuple({one.signed.der: one for one in listed}.values())

    @cached_property
    def crls(self) -> tuple[Crl, ...]:
        return tuple(one for part in self.found.values() for one in part.crls)

    def serves(self, product: Product) -> bool:
        """Whether a certificate of AMD's authorities for a product seems to be there."""
        named = {amd_profile.issuer_of(product, vlek) for vlek in (False, True)}
        named.add(amd_profile.root_of(product))
        return any(one.common_name in named for one in self.certificates)

    def names(self, part: str) -> str:
        """What is in a file, for people."""
        return self.found[part].names if part in self.found else ""


def read_enclosed_collateral(evidence: Evidence) -> Collateral:
    """What came with evidence, in its table, too. A table that is broken has nothing in it: that it
    is broken, a check of its own says."""
    try:
        found = tables.parse_table(evidence.table) if evidence.table else {}
    except EvidenceError:
        return evidence.collateral
    vek, chain = (
        material.bundle_as_pem(found[name] for name in names if name in found)
        for names in (("VLEK", "VCEK"), ("ASK", "ARK"))
    )
    return evidence.collateral.filled(Collateral(vek, chain, found.get("CRL", b"")))


def is_authority(certificate: Certificate) -> bool:
    """Whether a certificate is, by its names, one that signs others."""
    named = amd_profile.product_of(certificate.common_name) is not None
    return named or certificate.subject == certificate.issuer


def find_leaf(pool: Pool, report: Report, at: int) -> Certificate | None:
    """The certificate that may be of the key that signed a report."""
    tried = [one for one in pool.certificates if not is_authority(one)]
    if len(tried) < 2:
        return tried[0] if tried else None
    kind = amd_profile.VLEK_NAME if report.signing_key == VLEK else amd_profile.VCEK_NAME

    def rank(one: Certificate) -> tuple[bool, bool, bool]:
        return _has_made(one, report), one.common_name == kind, _is_valid(one, at)

    return max(tried, key=rank)


def find_root(pools: Iterable[Pool], product: Product, pinned: str) -> Certificate | None:
    """The root of a product: the pinned one, else one that calls itself so; for one that comes with
    evidence it is enough to be a root at all."""
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
    """The certificate between a VEK and a root: it has the name of the VEK's issuer, or its key has
    signed the VEK."""

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
    """Whether the issuer's key has signed a certificate in AMD's way."""
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
