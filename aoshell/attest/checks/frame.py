"""What all checks share: their input, their results, and their declaration.

A check is a function of a `Case`. It returns what it found, in words, or raises: EvidenceError if
the evidence is refused, InconclusiveError if something is missing, SkippedCheckError if it does not
apply. It runs only if the checks in its `needs` did not fail, so it may rely on their results.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property
from typing import TYPE_CHECKING, NoReturn

from aoshell.attest.errors import EvidenceError, InconclusiveError, UnusableFileError
from aoshell.attest.evidence import Collateral, Evidence
from aoshell.attest.kinds import WITH_REPORT, Kind
from aoshell.attest.policy import Image, Policy
from aoshell.attest.products import Product
from aoshell.attest.report import VLEK, Report
from aoshell.attest.unverified import kind_of
from aoshell.attest.urls import chain_hint, vek_hint
from aoshell.attest.x509 import amd_profile, path
from aoshell.attest.x509.certificates import Certificate, common_name
from aoshell.attest.x509.path import Pool, read_enclosed_collateral

if TYPE_CHECKING:
    from aoshell.attest.envelope.reading import Envelope
    from aoshell.attest.envelope.snp import SnpEvidence
    from aoshell.attest.signed import SignedPart
    from aoshell.attest.tpm.ek_certificate import EkCertificate
    from aoshell.attest.tpm.ek_path import EkPath, EkPool
    from aoshell.attest.tpm.eventlog import EventLog
    from aoshell.attest.tpm.evidence import TpmEvidence
    from aoshell.attest.tpm.roots import EkRoot
    from aoshell.attest.tpm.secureboot import SecureBoot
    from aoshell.attest.tpm.structures import PublicArea, Quote
    from aoshell.protocol.structured import Value

IF_KNOWN = "if you know what this is: .trust NAME"  # hint for software that has no name yet


class Status(Enum):
    """How a check ended. For SKIPPED the detail says why: the policy leaves it out, it does not
    apply, or a check that it needs did not pass."""

    PASS = "PASS"
    FAIL = "FAIL"
    INCONCLUSIVE = "INCONCLUSIVE"
    SKIPPED = "SKIPPED"


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The result of one check.

    Attributes:
        error: name of the error, "" unless FAIL or INCONCLUSIVE.
        detail: what was found, for people.
        hint: the command that helps, "" if there is none.
        unusable: the part of the verifier's own `Collateral` that cannot be used, "" for none.
    """

    name: str
    status: Status
    error: str = ""
    detail: str = ""
    hint: str = ""
    unusable: str = ""

    def as_json(self) -> dict[str, str | None]:
        detail = f"{self.detail} → {self.hint}" if self.hint else self.detail
        status, error = self.status.value, self.error or None
        return {"name": self.name, "status": status, "error": error, "detail": detail}


@dataclass
class TpmCase:
    """The state of checking a TPM. The checks set all but the evidence, in their order.

    Attributes:
        certificate: of the endorsement key.
        path: from it to the root.
        ak: the attestation key.
        log: the event log, once it leads to the quoted PCRs.
        secure_boot: None if it is unknown.
        programs: Authenticode hashes of what the firmware started.
    """

    evidence: TpmEvidence
    certificate: EkCertificate | None = None
    path: EkPath | None = None
    ak: PublicArea | None = None
    quote: Quote | None = None
    log: EventLog | None = None
    secure_boot: SecureBoot | None = None
    programs: tuple[bytes, ...] = ()


@dataclass
class Case:
    """The state of checking evidence. The checks set the attributes from `raw` on, in their order.

    Attributes:
        collateral: the verifier's: what the user or AMD's service gave.
        at: the time of evaluation, seconds since the Unix epoch.
        roots: fingerprints of the trusted roots, by product.
        ek_roots: instead of the pinned roots of TPMs, for tests; None for these.
        expected_data, expected_measurement: what the report must hold, b"" for anything.
        raw: the report's bytes.
        signed: what the node's key has signed.
        product: the one that the report is from.
        hashes: the node's local-hashes, once they are shown to give the measurement.
        image: the trusted software that was found.
        envelope: the fresh one, and boot: the one of the start, once they are read.
        snp: what the fresh one has of SEV-SNP. tpm: what it has of a TPM.
    """

    evidence: Evidence
    collateral: Collateral
    policy: Policy
    at: int
    roots: Mapping[str, str]
    ek_roots: Mapping[str, EkRoot] | None = None
    expected_data: bytes = b""
    expected_measurement: bytes = b""
    raw: bytes = b""
    signed: SignedPart | None = None
    product: Product | None = None
    hashes: Mapping[str, str | int] = field(default_factory=dict)
    image: Image | None = None
    envelope: Envelope | None = None
    boot: Envelope | None = None
    snp: SnpEvidence | None = None
    _tpm: TpmCase | None = None

    @property
    def tpm(self) -> TpmCase:
        """There is one once `links` passed, for evidence of a TPM."""
        assert self._tpm
        return self._tpm

    @tpm.setter
    def tpm(self, found: TpmCase) -> None:
        self._tpm = found

    @cached_property
    def ek_pool(self) -> EkPool:
        """Certificates and CRLs for the endorsement key."""
        from aoshell.attest.tpm.ek_path import EkPool

        given = (self.collateral.ek_chain,) if self.collateral.ek_chain else ()
        return EkPool.read(self.tpm.evidence.ek_chain.encode("utf-8", "replace"), given)

    @cached_property
    def kind(self) -> Kind:
        return kind_of(self.evidence)

    @property
    def asked_now(self) -> bool:
        """Whether the nonce or the challenge was made by this verifier just now."""
        exchange, challenge = self.evidence.exchange, self.evidence.challenge
        return exchange.asked_now if exchange else bool(challenge and challenge.fresh)

    @property
    def configuration(self) -> Mapping[str, Value] | None:
        """The configuration of the node, as its key signed it; None if there is none."""
        if self.envelope:
            return self.envelope.node
        found = self.signed.message.get("node-message") if self.signed else None
        return found if isinstance(found, Mapping) else None

    @cached_property
    def report(self) -> Report:
        """Raises EvidenceError: REPORT_SIZE."""
        return Report.parse(self.raw)

    @property
    def is_vlek(self) -> bool:
        return self.report.signing_key == VLEK

    @cached_property
    def ours(self) -> Pool:
        """The certificates that the verifier has."""
        return Pool.read(self.collateral, ours=True)

    @cached_property
    def theirs(self) -> Pool:
        """The certificates that came with the evidence."""
        came = read_enclosed_collateral(self.evidence)
        return Pool.read(came.filled(self.snp.certificates) if self.snp else came, ours=False)

    def is_theirs(self, certificate: Certificate) -> bool:
        """Whether a certificate came with the evidence only."""
        return certificate not in self.ours.certificates

    @cached_property
    def vek(self) -> Certificate:
        """The certificate of the key that signed the report.

        Raises:
            EvidenceError: CERT_PARSE, in what came with the evidence.
            InconclusiveError: VCEK_UNAVAILABLE, or CERT_PARSE in the verifier's own.
        """
        for pool in (self.ours, self.theirs):
            if found := path.find_leaf(pool, self.report, self.at):
                return found
        self.refuse_unreadable("vek")
        what = "the certificate of the key that signed the report is missing"
        raise InconclusiveError("VCEK_UNAVAILABLE", what, vek_hint(self.report))

    @cached_property
    def ark(self) -> Certificate:
        """The root.

        Raises:
            EvidenceError: CERT_PARSE, in what came with the evidence.
            InconclusiveError: CHAIN_UNAVAILABLE, CERT_PARSE in the verifier's own, or
                ROOT_NOT_PINNED if the verifier has other products' certificates only.
        """
        assert self.product
        pinned = self.roots.get(self.product.name, "")
        found = path.find_root((self.ours, self.theirs), self.product, pinned)
        return found or self._without(amd_profile.root_of(self.product))

    @cached_property
    def ask(self) -> Certificate:
        """The intermediate, ASK or ASVK. Raises as `ark` does."""
        found = path.find_intermediate((self.ours, self.theirs), self.vek, self.ark, self.at)
        return found or self._without(common_name(self.vek.issuer))

    def _without(self, name: str) -> NoReturn:
        """Ends a check that needs a certificate which is missing."""
        self.refuse_unreadable("chain")
        assert self.product
        hint = chain_hint(self.product, self.is_vlek)
        if not (names := self.ours.names("chain")):
            what = f"the certificate {name}, above that of the chip, is missing"
            raise InconclusiveError("CHAIN_UNAVAILABLE", what, hint)
        if self.ours.serves(self.product):
            what = f"the certificate {name} is missing; the certificate chain has {names}"
            raise InconclusiveError("CHAIN_UNAVAILABLE", what, hint)
        what = f"the certificate chain has {names}, not AMD's certificates for {self.product.name}"
        raise UnusableFileError("ROOT_NOT_PINNED", what, "chain", hint)

    def refuse_unreadable(self, part: str, error: str = "CERT_PARSE") -> None:
        """Ends a check that lacks something, if a file that should have it cannot be read."""
        for pool in (self.ours, self.theirs):
            if fault := pool.faults.get(part):
                if pool.ours:
                    raise UnusableFileError(error, fault.what, part)
                raise EvidenceError(error, fault.what)


@dataclass(frozen=True, slots=True)
class Check:
    """One check.

    Attributes:
        number: as in the list of checks in docs/attest.md. `attest.verify` has the order of checks.
        name: as in results and for `--explain`.
        errors: names of the errors it can end with.
        needs: names of checks that must not have failed.
        run: what it does.
        core: whether there is no PASS unless this check passes; SKIPPED is not enough.
        kinds: the kinds of evidence that it is for.
    """

    number: int
    name: str
    errors: tuple[str, ...]
    needs: tuple[str, ...]
    run: Callable[[Case], str]
    core: bool
    kinds: frozenset[Kind]

    @property
    def explanation(self) -> str:
        """What it checks and why, for people."""
        return " ".join((self.run.__doc__ or "").split())


def check(
    number: int,
    name: str,
    errors: str,
    *,
    needs: tuple[str, ...] = ("report-version",),
    core: bool = False,
    kinds: Iterable[Kind] = WITH_REPORT,
) -> Callable[[Callable[[Case], str]], Check]:
    """Declares a check; the docstring of its function is what `--explain` shows."""

    def declare(run: Callable[[Case], str]) -> Check:
        return Check(number, name, tuple(errors.split()), needs, run, core, frozenset(kinds))

    return declare
