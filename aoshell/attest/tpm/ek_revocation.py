"""Whether a certificate on the path of an EK certificate is revoked, by the lists (CRLs) that the
verifier gives (RFC 5280 section 6.3).

A list speaks of the certificates of its issuer. An indirect one (Intel has it for what its chips
issue themselves) names in its entries the issuers of what it revokes. A list counts only if the key
of a certificate on the verified path has signed it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from aoshell.attest.errors import EvidenceError, InconclusiveError
from aoshell.attest.tpm.ek_certificate import day
from aoshell.attest.tpm.ek_path import EkPath, describe, name_for_people, signature_fault
from aoshell.attest.x509 import der, extensions
from aoshell.attest.x509.amd_profile import may_sign_crls
from aoshell.attest.x509.certificates import Certificate, Name, read_extensions
from aoshell.attest.x509.crl import Crl, Revoked
from aoshell.attest.x509.extensions import CrlPoint, CrlScope

_EVERYTHING = CrlScope()


@dataclass(frozen=True, slots=True)
class _List:
    """A CRL that the key of a certificate on the path has signed.

    Attributes:
        signer: the place of that certificate on the path; the EK's is 0.
        revoked: (issuer, serial number) of each entry.
        flaw: why it cannot show that a certificate is good, "" if it can.
    """

    crl: Crl
    signer: int
    scope: CrlScope = _EVERYTHING
    revoked: frozenset[tuple[Name, int]] = frozenset()
    flaw: str = ""


def check_revocation(path: EkPath, crls: Sequence[Crl], at: int) -> str:
    """Checks that no certificate below the root is revoked.

    Args:
        at: seconds since the Unix epoch.

    Returns:
        how current the oldest list is, for people.

    Raises:
        EvidenceError: EK_REVOKED.
        InconclusiveError: EK_CRL_UNAVAILABLE: for one of them there is no current list.
    """
    lists = [one for crl in crls if (one := _signed_list(crl, path))]
    below = path.certificates[:-1]
    # Before anything else: what an outdated list revokes stays revoked.
    for place, certificate in enumerate(below):
        for one in lists:
            if one.signer > place and (certificate.issuer, certificate.serial) in one.revoked:
                what = f"{describe(certificate)}, serial number {certificate.serial:#x}, is revoked"
                what += f" by the CRL of {name_for_people(one.crl.issuer)}"
                raise EvidenceError("EK_REVOKED", what)
    updated = [
        # A certificate cannot vouch for itself, nor for those above it.
        _newest(certificate, [one for one in lists if one.signer > place], at).this_update
        for place, certificate in enumerate(below)
    ]
    return f"none of {len(below)} certificates is revoked, as of {day(min(updated))}"


def _signed_list(crl: Crl, path: EkPath) -> _List | None:
    """A list, read, if a certificate above the EK's on the path has signed it."""
    for place, signer in enumerate(path.certificates):
        fits = place and signer.subject == crl.issuer
        if fits and not signature_fault(crl.signed, crl.algorithm, signer):
            try:
                return _read_list(crl, signer, place)
            except EvidenceError as error:
                return _List(crl, place, flaw=error.what)
    return None


def _read_list(crl: Crl, signer: Certificate, place: int) -> _List:
    """Raises EvidenceError: CERT_PARSE, an extension or an entry is malformed."""
    flaw = "" if may_sign_crls(signer) else "its issuer may not sign CRLs"
    scope = _EVERYTHING
    for one in crl.extensions:
        if one.oid == extensions.CRL_SCOPE:
            scope = extensions.read_crl_scope(one.value)
        elif one.critical:
            # Such a list may mean something else, as a delta CRL does (RFC 5280 section 5.2).
            flaw = f"its critical extension {one.oid} is unknown"
    revoked: set[tuple[Name, int]] = set()
    issuers: tuple[Name, ...] = (crl.issuer,)
    for entry in crl.revoked:
        named, unknown = _read_entry(entry)
        if unknown:
            flaw = f"an entry has the critical extension {unknown}, which is unknown"
        # An entry without an issuer has that of the one before it (RFC 5280 section 5.3.3).
        issuers = named or issuers
        revoked |= {(issuer, entry.serial) for issuer in issuers}
    return _List(crl, place, scope, frozenset(revoked), flaw)


def _read_entry(entry: Revoked) -> tuple[tuple[Name, ...], str]:
    """(issuers that an entry names, its unknown critical extension or "")."""
    reader = der.DerReader(entry.rest, "entry of a CRL", written_defaults=True)
    reader.time()
    names: tuple[Name, ...] = ()
    unknown = ""
    for one in read_extensions(reader) if reader else ():
        if one.oid == extensions.CERTIFICATE_ISSUER:
            names = extensions.read_directory_names(one.value)
            unknown = unknown if names else one.oid
        elif one.critical:
            unknown = one.oid
    return names, unknown


def _newest(certificate: Certificate, lists: Sequence[_List], at: int) -> Crl:
    """The newest current list that speaks of a certificate."""
    points = list(_points(certificate))
    why = ["there is no CRL for it"]
    current = []
    for one in lists:
        if not _speaks_of(one, certificate, points):
            continue
        until = one.crl.next_update
        if one.flaw:
            why.append(f"the CRL for it cannot be used: {one.flaw}")
        elif at < one.crl.this_update or until is None or at > until:
            why.append(f"the CRL for it, of {day(one.crl.this_update)}, is not current")
        else:
            current.append(one.crl)
    if not current:
        what = f"whether {describe(certificate)} is revoked is unknown: {why[-1]}"
        raise InconclusiveError("EK_CRL_UNAVAILABLE", what, _hint(points))
    return max(current, key=lambda crl: crl.this_update)


def _points(certificate: Certificate) -> Iterator[CrlPoint]:
    found = certificate.extension(extensions.CRL_POINTS)
    try:
        yield from extensions.read_crl_points(found.value) if found else ()
    except EvidenceError:
        return


def _speaks_of(one: _List, certificate: Certificate, points: Sequence[CrlPoint]) -> bool:
    """Whether a certificate would be in a list if it were revoked."""
    scope, is_user = one.scope, not _is_authority(certificate)
    if scope.partial or scope.only_attributes:
        return False
    if (scope.only_users and not is_user) or (scope.only_authorities and is_user):
        return False
    if one.crl.issuer == certificate.issuer:
        named = [point for point in points if not point.issuers]
    else:
        named = [point for point in points if one.crl.issuer in point.issuers]
        if not scope.indirect or not named:
            return False
    return not scope.names or any(scope.names & point.names for point in named)


def _is_authority(certificate: Certificate) -> bool:
    found = certificate.extension(extensions.CONSTRAINTS)
    return found is not None and extensions.read_constraints(found.value, written_defaults=True)[0]


def _hint(points: Sequence[CrlPoint]) -> str:
    urls = extensions.printable(url for point in points for url in point.urls)
    how = "give the list of the TPM's maker, if there is one, with --ek-chain FILE"
    if urls:
        how = f"fetch {urls[0]} and give it with --ek-chain FILE"
    return f"{how}; ek_revocation = false in the policy does without"
