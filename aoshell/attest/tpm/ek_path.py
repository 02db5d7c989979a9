"""Finds and verifies the path from an EK certificate to a pinned root (RFC 5280 section 6).

Certificates between come from the evidence (a TPM may keep them beside its EK certificate) and from
the verifier's files. Nothing is fetched. Who gave a certificate decides nothing about trust; it
decides whether an expired one counts against the evidence.

The search goes level by level from the EK certificate and takes each certificate once, on its
shortest way. So a limit on the length below an authority is met if possible, and circles of
certificates lead nowhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from aoshell.attest.errors import EvidenceError, InconclusiveError, UnusableFileError
from aoshell.attest.tpm.ek_certificate import EK_PURPOSE, EkCertificate, check_validity
from aoshell.attest.tpm.roots import EK_ROOTS, EkRoot
from aoshell.attest.tpm.vendors import VENDORS
from aoshell.attest.x509 import algorithms, extensions
from aoshell.attest.x509.certificates import Certificate, Name, SignedDer, common_name
from aoshell.attest.x509.crl import Crl
from aoshell.attest.x509.keys import public_key
from aoshell.attest.x509.material import Material, read_material

MOST_ENCLOSED = 16  # certificates that come with evidence
MOST_GIVEN = 512  # certificates and CRLs in one file of the verifier's
LONGEST = 10  # certificates of a path, with both ends; Intel's have seven
CHAIN_PART = "ek_chain"  # what UnusableFileError calls the verifier's files

# No policy is asked for, so policies limit nothing (RFC 5280 section 6.1.1 c and d).
_KNOWN_CRITICAL = (
    extensions.CONSTRAINTS,
    extensions.USAGE,
    extensions.EXTENDED_USAGE,
    extensions.POLICIES,
)
_SHOWN = 120  # characters of a name that an error shows
_NO_HINT = "get it from the maker of the TPM and give it with --ek-chain FILE"


@dataclass(frozen=True, slots=True)
class EkPool:
    """Certificates and CRLs that may help.

    Attributes:
        enclosed: those that came with the evidence.
        given: the verifier's.
        faults: why a file, or something in it, cannot be used.
    """

    enclosed: tuple[Certificate, ...] = ()
    given: tuple[Certificate, ...] = ()
    crls: tuple[Crl, ...] = ()
    faults: tuple[EvidenceError, ...] = ()

    @classmethod
    def read(cls, enclosed: bytes = b"", given: Iterable[bytes] = ()) -> EkPool:
        """Reads PEM or DER, many in one. Raises nothing: a fault matters only once something is
        missing."""
        faults: list[EvidenceError] = []
        theirs = Material()
        if enclosed.strip():
            try:
                what = "the chain of the EK certificate"
                theirs = read_material(enclosed, what, most=MOST_ENCLOSED, written_defaults=True)
            except EvidenceError as error:
                faults.append(EvidenceError("EK_CERT_PARSE", error.what))
        faults += [EvidenceError("EK_CERT_PARSE", fault.what) for fault in theirs.faults]
        ours: list[Material] = []
        for data in given:
            try:
                what = "the file with the chain of EK certificates"
                ours.append(read_material(data, what, most=MOST_GIVEN, written_defaults=True))
            except EvidenceError as error:
                faults.append(UnusableFileError("EK_CERT_PARSE", error.what, CHAIN_PART))
        for fault in (fault for one in ours for fault in one.faults):
            faults.append(UnusableFileError("EK_CERT_PARSE", fault.what, CHAIN_PART))
        return cls(
            theirs.certificates,
            tuple(certificate for one in ours for certificate in one.certificates),
            tuple(crl for one in ours for crl in one.crls),
            tuple(faults),
        )


@dataclass(frozen=True, slots=True)
class EkPath:
    """A verified path.

    Attributes:
        certificates: from the EK certificate to the root, each signed by the next one.
        root: the pinned one.
    """

    certificates: tuple[Certificate, ...]
    root: EkRoot


def find_path(
    ek: EkCertificate, pool: EkPool, at: int, *, test_roots: Mapping[str, EkRoot] | None = None
) -> EkPath:
    """The path from an EK certificate to a pinned root of its vendor.

    Args:
        at: seconds since the Unix epoch; all certificates above the EK's must be valid then.
        test_roots: trusted instead of the pinned ones; for tests only.

    Raises:
        EvidenceError: EK_ROOT_NOT_PINNED, EK_CHAIN_SIGNATURE, EK_VENDOR_MISMATCH, EK_CERT_PROFILE,
            EK_CERT_EXPIRED or EK_CERT_PARSE.
        InconclusiveError: EK_CHAIN_UNAVAILABLE, EK_CERT_EXPIRED or EK_CERT_PARSE in the verifier's
            own files.
    """
    search = _Search(ek, pool, at, EK_ROOTS if test_roots is None else test_roots)
    return search.run()


@dataclass(slots=True)
class _Search:
    """One search. `dead` has the reasons why paths ended, by how informative they are."""

    ek: EkCertificate
    pool: EkPool
    at: int
    roots: Mapping[str, EkRoot]
    foreign: list[EvidenceError] = field(default_factory=list)
    faults: list[EvidenceError] = field(default_factory=list)
    missing: list[EvidenceError] = field(default_factory=list)

    def run(self) -> EkPath:
        by_subject: dict[Name, list[Certificate]] = {}
        for one in (*self.pool.given, *self.pool.enclosed):
            by_subject.setdefault(one.subject, []).append(one)
        seen = {self.ek.certificate.signed.der}
        level: list[tuple[Certificate, ...]] = [(self.ek.certificate,)]
        while level:
            above: list[tuple[Certificate, ...]] = []
            for path in level:
                for issuer in self._issuers(path[-1], by_subject):
                    if issuer.signed.der in seen:
                        continue
                    seen.add(issuer.signed.der)
                    if self._accepts(issuer, path):
                        longer = (*path, issuer)
                        if root := self._root(issuer):
                            return EkPath(longer, root)
                        above.append(longer)
            level = above
        raise self._failure()

    def _issuers(
        self, certificate: Certificate, by_subject: Mapping[Name, list[Certificate]]
    ) -> list[Certificate]:
        """The certificates whose key has signed one. Notes what is wrong if there are none."""
        if certificate.subject == certificate.issuer and not signature_fault(
            certificate.signed, certificate.algorithm, certificate
        ):
            what = (
                f"the EK certificate's path ends at {name_for_people(certificate.subject)}, which"
            )
            what += f" is no root of a vendor: its SHA-256 is {certificate.fingerprint}"
            self.foreign.append(EvidenceError("EK_ROOT_NOT_PINNED", what))
            return []
        named = by_subject.get(certificate.issuer, [])
        why = {
            one.signed.der: signature_fault(certificate.signed, certificate.algorithm, one)
            for one in named
        }
        signers = [one for one in named if not why[one.signed.der]]
        if not signers:
            if meant := [one for one in named if _may_be_meant(one, certificate)]:
                signer = name_for_people(certificate.issuer)
                what = f"{describe(certificate)} is not signed by {signer}"
                what += f": {why[meant[0].signed.der]}"
                self.faults.append(EvidenceError("EK_CHAIN_SIGNATURE", what))
            else:
                self.missing.append(self._missing(certificate))
        return signers

    def _missing(self, certificate: Certificate) -> InconclusiveError:
        named = name_for_people(certificate.issuer)
        what = f"the certificate of {named}, which signed {describe(certificate)}, is missing"
        urls = _issuer_urls(certificate) or self._root_urls(common_name(certificate.issuer))
        hint = _NO_HINT
        if urls:
            hint = f"fetch {' or '.join(urls)} and give it with --ek-chain FILE"
        elif certificate is self.ek.certificate:
            hint = "the TPM may have it at NV index 0x01c00100; give it with --ek-chain FILE"
        return InconclusiveError("EK_CHAIN_UNAVAILABLE", what, hint)

    def _root_urls(self, name: str) -> tuple[str, ...]:
        """Where roots of that name and of the EK's vendor are published."""
        vendors = [one for one in self.roots.values() if one.vendor == self.ek.vendor]
        return tuple(one.url for one in vendors if one.url and one.is_named(name))

    def _accepts(self, issuer: Certificate, path: tuple[Certificate, ...]) -> bool:
        """Whether a certificate may sign the last one of a path. Notes why not."""
        try:
            if len(path) >= LONGEST:
                what = f"the path of the EK certificate has more than {LONGEST} certificates"
                raise EvidenceError("EK_CERT_PROFILE", what)
            _check_authority(issuer, below=len(path) - 1)
            check_validity(issuer, self.at, name_for_people(issuer.subject))
        except EvidenceError as error:
            self.faults.append(self._weighed(error, issuer))
            return False
        return True

    def _weighed(self, error: EvidenceError, issuer: Certificate) -> EvidenceError:
        """An error, INCONCLUSIVE if it says only that a certificate of ours is out of date."""
        if error.error != "EK_CERT_EXPIRED" or issuer in self.pool.enclosed:
            return error
        hint = "give a certificate that is valid then, or another time with --at"
        return InconclusiveError(error.error, error.what, hint)

    def _root(self, certificate: Certificate) -> EkRoot | None:
        """The root that a certificate is. Notes one of another vendor."""
        root = self.roots.get(certificate.fingerprint)
        if root is None or root.vendor == self.ek.vendor:
            return root
        what = f"the EK certificate is of a TPM by {VENDORS.get(self.ek.vendor, self.ek.vendor)},"
        what += f" but its root {root.name} is for TPMs by {VENDORS.get(root.vendor, root.vendor)}"
        self.foreign.insert(0, EvidenceError("EK_VENDOR_MISMATCH", what))
        return None

    def _failure(self) -> EvidenceError:
        """The most informative reason why there is no path; FAIL before INCONCLUSIVE."""
        circle = InconclusiveError(
            "EK_CHAIN_UNAVAILABLE",
            "the certificates above the EK certificate lead to each other, not to a root",
            _NO_HINT,
        )
        found = [*self.foreign, *self.faults, *self.pool.faults, *reversed(self.missing), circle]
        failed = [one for one in found if not isinstance(one, InconclusiveError)]
        return next(iter((*failed, *found)))


def _check_authority(certificate: Certificate, below: int) -> None:
    """Checks that a certificate may sign others.

    Args:
        below: how many authorities are below it.

    Raises:
        EvidenceError: EK_CERT_PROFILE.
    """
    name = name_for_people(certificate.subject)
    try:
        if why := _unfit_authority(certificate, below):
            raise EvidenceError("EK_CERT_PROFILE", f"{name} may not sign certificates: {why}")
    except EvidenceError as error:
        raise EvidenceError("EK_CERT_PROFILE", error.what) from None


def _unfit_authority(certificate: Certificate, below: int) -> str:
    """Why a certificate is none of an authority, "" if it is (RFC 5280 section 6.1.4)."""
    if certificate.version != 3:
        return f"its version is {certificate.version}"
    if not certificate.subject:
        return "it has no name"
    for one in certificate.extensions:
        certificate.extension(one.oid)  # raises if it occurs twice
        if one.critical and one.oid not in _KNOWN_CRITICAL:
            return f"its critical extension {one.oid} is unknown"
    constraints = certificate.extension(extensions.CONSTRAINTS)
    if constraints is None:
        return "it is not marked as an authority"
    authority, longest = extensions.read_constraints(constraints.value, written_defaults=True)
    if not authority:
        return "it is no authority"
    if longest is not None and below > longest:
        return f"{below} authorities are below it, and {longest} may be"
    usage = certificate.extension(extensions.USAGE)
    if usage is None or not extensions.read_usage(usage.value) & extensions.SIGN_CERTIFICATES:
        return "its key usage does not include that"
    purposes = certificate.extension(extensions.EXTENDED_USAGE)
    if purposes and purposes.critical:
        found = extensions.read_extended_usage(purposes.value)
        if not {EK_PURPOSE, extensions.ANY_PURPOSE}.intersection(found):
            return "its critical extended key usage is not for EK certificates"
    return ""


def signature_fault(signed: SignedDer, algorithm: bytes, issuer: Certificate) -> str:
    """Why a signature is not one of the issuer's key, "" if it is.

    Args:
        algorithm: the one in the signed part. It must be the one outside, too (RFC 5280 section
            4.1.1.2).
    """
    known = algorithms.ALGORITHMS.get(algorithm)
    if known is None or signed.algorithm != algorithm:
        return "its algorithm is none that is accepted (RSA or ECDSA with SHA-256, -384 or -512)"
    try:
        key = public_key(issuer)
    except EvidenceError as error:
        return error.what
    if not algorithms.verify(known, key, signed.signature, signed.content):
        return "the signature does not fit its key"
    return ""


def _may_be_meant(issuer: Certificate, certificate: Certificate) -> bool:
    """Whether a certificate with the name of another's issuer has the key that the other names."""
    try:
        named = certificate.extension(extensions.AUTHORITY_KEY)
        own = issuer.extension(extensions.SUBJECT_KEY)
        wanted = extensions.read_authority_key(named.value) if named else b""
        return not (wanted and own) or wanted == extensions.read_subject_key(own.value)
    except EvidenceError:
        return True


def _issuer_urls(certificate: Certificate) -> tuple[str, ...]:
    """Where a certificate says that its issuer's is; at most one."""
    try:
        access = certificate.extension(extensions.AUTHORITY_ACCESS)
        urls = extensions.read_issuer_urls(access.value) if access else ()
    except EvidenceError:
        return ()
    return extensions.printable(urls)[:1]


def describe(certificate: Certificate) -> str:
    """A certificate for people. That of an EK names nobody as its subject."""
    named = certificate.subject
    return name_for_people(named) if named else "the EK certificate"


def name_for_people(name: Name) -> str:
    """The values in a name, the last one first, in quotes and of moderate length."""
    values = [value for part in reversed(name) for _, value in part]
    return repr(", ".join(values)[:_SHOWN]) if values else "an authority without a name"
