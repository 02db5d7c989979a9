"""The certificate of a TPM's endorsement key (EK): what it must be, and what it says.

Its maker signs it. It names the TPM's manufacturer, model and version in the subject's alternative
name, and often nobody as the subject. Source: TCG EK Credential Profile for TPM 2.0, sections 3.2
and 3.5. Everything here is a function of bytes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from aoshell.attest.errors import EvidenceError
from aoshell.attest.tpm.vendors import vendor_id
from aoshell.attest.x509 import extensions
from aoshell.attest.x509.certificates import Certificate
from aoshell.attest.x509.extensions import CrlPoint
from aoshell.attest.x509.keys import public_key
from aoshell.attest.x509.material import read_material

EK_PURPOSE = "2.23.133.8.1"  # tcg-kp-EKCertificate
_MANUFACTURER, _MODEL, _VERSION = "2.23.133.2.1", "2.23.133.2.2", "2.23.133.2.3"
_KNOWN_CRITICAL = (
    extensions.CONSTRAINTS,
    extensions.USAGE,
    extensions.EXTENDED_USAGE,
    extensions.ALTERNATIVE_NAME,
    extensions.POLICIES,  # no policy is asked for
)
_ID = re.compile(r"id:([0-9A-Fa-f]{8})")
_WHAT = "the EK certificate"


@dataclass(frozen=True, slots=True)
class EkCertificate:
    """An EK certificate with the profile of one. Who signed it is not checked.

    Attributes:
        manufacturer: the TPM's, as the number that the TPM itself reports.
        model, version: as the manufacturer writes them.
        issuer_urls: where the issuer's certificate may be; a hint, never fetched.
        crl_points: where the list of revoked certificates may be; a hint, too.
    """

    certificate: Certificate
    manufacturer: int
    model: str
    version: str
    issuer_urls: tuple[str, ...]
    crl_points: tuple[CrlPoint, ...]

    @property
    def vendor(self) -> str:
        """The vendor id, as in `vendors.VENDORS`."""
        return vendor_id(self.manufacturer)


def read_ek_certificate(data: bytes) -> Certificate:
    """The one certificate in PEM or DER.

    Raises:
        EvidenceError: EK_CERT_MISSING, or EK_CERT_PARSE.
    """
    if not data.strip():
        raise EvidenceError("EK_CERT_MISSING", "the evidence has no EK certificate")
    try:
        found = read_material(data, _WHAT, written_defaults=True)
    except EvidenceError as error:
        raise EvidenceError("EK_CERT_PARSE", error.what) from None
    if found.faults:
        raise EvidenceError("EK_CERT_PARSE", found.faults[0].what)
    if len(found.certificates) != 1 or found.crls:
        count = len(found.certificates) + len(found.crls)
        raise EvidenceError("EK_CERT_PARSE", f"{count} certificates and CRLs are where one is due")
    return found.certificates[0]


def check_profile(certificate: Certificate) -> EkCertificate:
    """Checks that a certificate is one of an EK.

    Raises:
        EvidenceError: EK_CERT_PROFILE.
    """
    try:
        _check_uses(certificate)
        manufacturer, model, version = _read_tpm(certificate)
        access = certificate.extension(extensions.AUTHORITY_ACCESS)
        points = certificate.extension(extensions.CRL_POINTS)
        return EkCertificate(
            certificate,
            manufacturer,
            model,
            version,
            extensions.read_issuer_urls(access.value) if access else (),
            extensions.read_crl_points(points.value) if points else (),
        )
    except EvidenceError as error:
        raise EvidenceError("EK_CERT_PROFILE", error.what) from None


def _check_uses(certificate: Certificate) -> None:
    """Checks everything but the names. Raises EvidenceError of any name."""
    if certificate.version != 3:
        raise _unfit(f"it has version {certificate.version}")
    if not certificate.issuer:
        raise _unfit("it does not say who issued it")
    for one in certificate.extensions:
        certificate.extension(one.oid)  # raises if it occurs twice
        if one.critical and one.oid not in _KNOWN_CRITICAL:
            raise _unfit(f"its critical extension {one.oid} is unknown")
    constraints = certificate.extension(extensions.CONSTRAINTS)
    if constraints and extensions.read_constraints(constraints.value, written_defaults=True)[0]:
        raise _unfit("it is an authority")
    purposes = certificate.extension(extensions.EXTENDED_USAGE)
    if not purposes or EK_PURPOSE not in extensions.read_extended_usage(purposes.value):
        raise _unfit(f"its extended key usage lacks {EK_PURPOSE}")
    _check_key(certificate)


def _check_key(certificate: Certificate) -> None:
    from cryptography.hazmat.primitives.asymmetric import rsa

    is_rsa = isinstance(public_key(certificate), rsa.RSAPublicKey)
    needed = extensions.ENCIPHER_KEYS if is_rsa else extensions.AGREE_KEYS
    usage = certificate.extension(extensions.USAGE)
    uses = extensions.read_usage(usage.value) if usage else 0
    if not uses & needed:
        # Google certifies signing keys with the purpose of an EK; they have digitalSignature.
        raise _unfit("its key usage does not let the key decrypt")
    if uses & (extensions.SIGN_CERTIFICATES | extensions.SIGN_CRLS):
        raise _unfit("its key may sign certificates")


def _read_tpm(certificate: Certificate) -> tuple[int, str, str]:
    """(manufacturer, model, version) from the one name that has all three."""
    named = certificate.extension(extensions.ALTERNATIVE_NAME)
    names = extensions.read_directory_names(named.value) if named else ()
    pairs = [pair for name in names for part in name for pair in part]
    values = []
    for oid in (_MANUFACTURER, _MODEL, _VERSION):
        found = [value for key, value in pairs if key == oid]
        if len(found) != 1:
            raise _unfit(f"its alternative name has {len(found)} values of {oid} instead of one")
        values.append(found[0])
    manufacturer = _ID.fullmatch(values[0])
    if manufacturer is None:
        raise _unfit(f"its manufacturer {values[0]!r} is not an id of eight hexadecimal digits")
    return int(manufacturer[1], 16), values[1], values[2]


def _unfit(why: str) -> EvidenceError:
    return EvidenceError("EK_CERT_PROFILE", f"{_WHAT} has not the profile of one: {why}")


def check_validity(certificate: Certificate, at: int, what: str = _WHAT) -> None:
    """Checks that a certificate is valid at a time, both ends included (RFC 5280 section 4.1.2.5).

    Args:
        at: seconds since the Unix epoch.
        what: the certificate, for errors.

    Raises:
        EvidenceError: EK_CERT_EXPIRED: it is not yet valid, or not any more.
    """
    if at < certificate.not_before:
        what = f"{what} is not valid before {day(certificate.not_before)}"
        raise EvidenceError("EK_CERT_EXPIRED", what)
    if at > certificate.not_after:
        raise EvidenceError("EK_CERT_EXPIRED", f"{what} expired on {day(certificate.not_after)}")


def day(at: int) -> str:
    """The day of a time, for people."""
    from datetime import UTC, datetime

    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d")
