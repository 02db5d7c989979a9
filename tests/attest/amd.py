"""A synthetic AMD: for each product roots, intermediates, chips' keys, CRLs and reports.

Its roots are trusted by nobody but a caller that passes `Amd.roots` to `verify_evidence()`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa, utils
from der_writer import (
    DAY,
    NOW,
    CrlDraft,
    Draft,
    constraints,
    extension,
    ia5,
    integer,
    name,
    pem,
    pss,
    seq,
    sign_pss,
    spki,
    usage,
    utc,
)

from aoshell.attest.evidence import Collateral, Evidence
from aoshell.attest.policy import Policy
from aoshell.attest.verify import Verdict, checks_of, verify_evidence

SIGNED = 0x2A0
ORDER = int(
    "ffffffffffffffffffffffffffffffffffffffffffffffff"
    "c7634d81f4372ddf581a0db248b0a77aecec196accc52973",
    16,
)

AMD = "1.3.6.1.4.1.3704.1"
LEGACY = {"bootloader": 0, "tee": 1, "snp": 6, "microcode": 7}
LAYOUTS = {
    "Milan": LEGACY,
    "Genoa": LEGACY,
    "Turin": {"fmc": 0, "bootloader": 1, "tee": 2, "snp": 3, "microcode": 7},
}
SPL = {"bootloader": 1, "tee": 2, "snp": 3, "microcode": 8, "fmc": 9}
CPUIDS = {"Milan": (0x19, 1, 1), "Genoa": (0x19, 0x11, 1), "Turin": (0x1A, 2, 1)}
TCBS = {
    "Milan": {"bootloader": 4, "tee": 0, "snp": 24, "microcode": 219},
    "Genoa": {"bootloader": 10, "tee": 0, "snp": 23, "microcode": 84},
    "Turin": {"fmc": 1, "bootloader": 1, "tee": 1, "snp": 4, "microcode": 81},
}
# Products and versions of reports. Turin's TCB has a layout of its own, and reports of version 2 do
# not say whose they are: these two together are refused.
REPORTS = [
    (product, version)
    for product in CPUIDS
    for version in (2, 3, 4, 5)
    if (product, version) != ("Turin", 2)
]
CHIP = hashlib.sha512(b"a chip").digest()

# offset, size
FIELDS = {
    "version": (0x000, 4),
    "guest_svn": (0x004, 4),
    "policy": (0x008, 8),
    "family_id": (0x010, 16),
    "image_id": (0x020, 16),
    "vmpl": (0x030, 4),
    "signature_algorithm": (0x034, 4),
    "current_tcb": (0x038, 8),
    "platform": (0x040, 8),
    "key_info": (0x048, 4),
    "report_data": (0x050, 64),
    "measurement": (0x090, 48),
    "host_data": (0x0C0, 32),
    "id_key_digest": (0x0E0, 48),
    "author_key_digest": (0x110, 48),
    "report_id": (0x140, 32),
    "report_id_ma": (0x160, 32),
    "reported_tcb": (0x180, 8),
    "cpuid": (0x188, 3),
    "chip_id": (0x1A0, 64),
    "committed_tcb": (0x1E0, 8),
    "current": (0x1E8, 3),
    "committed": (0x1EC, 3),
    "launch_tcb": (0x1F0, 8),
    "launch_mitigations": (0x1F8, 8),
    "current_mitigations": (0x200, 8),
}


def put(report: bytearray, field_name: str, value: int | bytes) -> None:
    at, size = FIELDS[field_name]
    octets = value.to_bytes(size, "little") if isinstance(value, int) else value
    assert len(octets) == size, field_name
    report[at : at + size] = octets


def tcb_bytes(product: str, parts: Mapping[str, int]) -> bytes:
    octets = bytearray(8)
    for part, byte in LAYOUTS[product].items():
        octets[byte] = parts[part]
    return bytes(octets)


_CUSTODY = {"key-custody": ("KEY_NOT_EXCLUSIVE",)}


def check_form(verdict: Verdict) -> None:
    """What holds of every verdict, whatever the evidence."""
    declared = {one.name: one.errors for one in checks_of(verdict.kind)} | _CUSTODY
    for one in verdict.checks:
        assert one.error in declared[one.name] or one.status.value in ("PASS", "SKIPPED"), one
        assert bool(one.error) == (one.status.value in ("FAIL", "INCONCLUSIVE")), one
        assert one.detail, one
    statuses = {one.status.value for one in verdict.checks}
    worst = next((one for one in ("FAIL", "INCONCLUSIVE") if one in statuses), "PASS")
    assert verdict.verdict == worst
    unreached = [one for one in verdict.checks if one.detail.startswith("not reached")]
    assert not (unreached and worst == "PASS")


@dataclass(frozen=True)
class Sample:
    """A report and what it is checked against."""

    report: bytes
    vek: bytes
    chain: bytes
    crl: bytes
    roots: Mapping[str, str]

    @property
    def collateral(self) -> Collateral:
        return Collateral(self.vek, self.chain, self.crl)

    def but(self, **parts: Any) -> Sample:
        return replace(self, **parts)

    def verify(
        self,
        policy: Policy | None = None,
        at: int = NOW,
        evidence: Evidence | None = None,
        came: bool = False,
        **wishes: Any,
    ) -> Verdict:
        """The verdict; `came` tells whether the collateral came with the evidence."""
        evidence = evidence or Evidence(raw=self.report)
        if came:
            evidence = replace(evidence, collateral=self.collateral)
        collateral = Collateral() if came else self.collateral
        verdict = verify_evidence(
            evidence, collateral, policy or Policy(), at, test_roots=self.roots, **wishes
        )
        check_form(verdict)
        return verdict


@dataclass(frozen=True)
class Line:
    """One product of the synthetic AMD."""

    product: str
    ark_key: Any
    ask_key: Any
    asvk_key: Any
    vek_key: Any = field(default_factory=lambda: ec.generate_private_key(ec.SECP384R1()))

    @cached_property
    def ark_draft(self) -> Draft:
        return Draft(
            subject=name(f"ARK-{self.product}"),
            issuer=name(f"ARK-{self.product}"),
            key=spki(self.ark_key),
            extensions=(usage(0x06), constraints()),
            signer=self.ark_key,
            serial=integer(0x10000),
        )

    @cached_property
    def ask_draft(self) -> Draft:
        return self.ark_draft.but(
            subject=name(f"SEV-{self.product}"),
            key=spki(self.ask_key),
            extensions=(usage(0x04), constraints(path=0)),
            serial=integer(0x10001),
        )

    @cached_property
    def asvk_draft(self) -> Draft:
        return self.ask_draft.but(
            subject=name(f"SEV-VLEK-{self.product}"),
            key=spki(self.asvk_key),
            serial=integer(0x10101),
        )

    @cached_property
    def ark(self) -> bytes:
        return self.ark_draft.der()

    @cached_property
    def ask(self) -> bytes:
        return self.ask_draft.der()

    @cached_property
    def asvk(self) -> bytes:
        return self.asvk_draft.der()

    def vek_draft(
        self, tcb: Mapping[str, int] | None = None, chip: bytes = CHIP, vlek: bool = False
    ) -> Draft:
        tcb = TCBS[self.product] if tcb is None else tcb
        turin = self.product == "Turin"
        reserved = (5, 6, 7) if turin else (4, 5, 6, 7)
        stepping = "Milan-B0" if self.product == "Milan" and not vlek else self.product
        extensions = [
            extension(f"{AMD}.1", integer(1 if turin else 0)),
            extension(f"{AMD}.2", ia5(stepping)),
            *(extension(f"{AMD}.3.{SPL[part]}", integer(value)) for part, value in tcb.items()),
            *(extension(f"{AMD}.3.{number}", integer(0)) for number in reserved),
        ]
        if vlek:
            extensions.append(extension(f"{AMD}.5", ia5("CN=cloud.example")))
        else:
            extensions.append(extension(f"{AMD}.4", chip[: 8 if turin else 64]))
        return Draft(
            subject=name("SEV-VLEK" if vlek else "SEV-VCEK"),
            issuer=name(f"SEV-VLEK-{self.product}" if vlek else f"SEV-{self.product}"),
            key=spki(self.vek_key),
            extensions=tuple(extensions),
            signer=self.asvk_key if vlek else self.ask_key,
        )

    def crl(
        self,
        serials: Iterable[int] = (),
        *,
        this_update: int = NOW - DAY,
        next_update: int | None = NOW + DAY,
        issuer: bytes | None = None,
        signer: Any = None,
        extensions: tuple[bytes, ...] = (),
        version: int = 1,
    ) -> bytes:
        draft = CrlDraft(
            algorithm=pss(),
            issuer=issuer or name(f"ARK-{self.product}"),
            this_update=this_update,
            next_update=next_update,
            entries=tuple(seq(integer(serial), utc(NOW - DAY)) for serial in serials),
            extensions=extensions,
            version=version,
        )
        return draft.der(lambda content: sign_pss(signer or self.ark_key, content))

    def body(self, version: int = 3, vlek: bool = False, **values: int | bytes) -> bytes:
        """The signed part of a report, good unless `values` say otherwise."""
        report = bytearray(SIGNED)
        turin = self.product == "Turin"
        tcb = tcb_bytes(self.product, TCBS[self.product])
        good: dict[str, int | bytes] = {
            "version": version,
            "policy": 0x30000,
            "vmpl": 1,
            "signature_algorithm": 1,
            "platform": 1,
            "key_info": 4 if vlek else 0,
            "report_data": hashlib.sha512(b"data").digest(),
            "measurement": hashlib.sha384(b"image").digest(),
            "report_id": hashlib.sha256(b"guest").digest(),
            "report_id_ma": b"\xff" * 32,
            "cpuid": bytes(CPUIDS[self.product]) if version > 2 else bytes(3),
            "chip_id": bytes(64) if vlek else CHIP[:8] + bytes(56) if turin else CHIP,
            "current": bytes((29, 55, 1)),
            "committed": bytes((29, 55, 1)),
            "launch_mitigations": 3 if version == 5 else 0,
            "current_mitigations": 3 if version == 5 else 0,
            **{f"{which}_tcb": tcb for which in ("current", "reported", "committed", "launch")},
        }
        for field_name, value in (good | values).items():
            put(report, field_name, value)
        return bytes(report)

    def signed(self, body: bytes, key: Any = None, algorithm: Any = None) -> bytes:
        """A report: its signed part and a signature."""
        signature = (key or self.vek_key).sign(body, ec.ECDSA(algorithm or hashes.SHA384()))
        r, s = utils.decode_dss_signature(signature)
        return body + signature_field(r, s)

    def report(self, version: int = 3, vlek: bool = False, **values: int | bytes) -> bytes:
        return self.signed(self.body(version, vlek, **values))

    @cached_property
    def roots(self) -> Mapping[str, str]:
        return {self.product: hashlib.sha256(self.ark).hexdigest()}

    @cached_property
    def _common(self) -> dict[bool, Sample]:
        crl = self.crl()
        return {
            vlek: Sample(
                b"",
                self.vek_draft(vlek=vlek).der(),
                pem(self.asvk if vlek else self.ask, self.ark),
                crl,
                self.roots,
            )
            for vlek in (False, True)
        }

    def sample(self, version: int = 3, vlek: bool = False, **values: int | bytes) -> Sample:
        """A good report, unless `values` say otherwise, with good collateral."""
        return self._common[vlek].but(report=self.report(version, vlek, **values))


def signature_field(r: int, s: int) -> bytes:
    return r.to_bytes(72, "little") + s.to_bytes(72, "little") + bytes(368)


class Amd:
    """All products. Three RSA keys serve in turns, so that no product's key fits another's.

    Args:
        keys: four RSA-4096 keys, of which the last one is nobody's.
    """

    def __init__(self, keys: Sequence[rsa.RSAPrivateKey]) -> None:
        one, two, three, self.stranger = keys
        self.milan = Line("Milan", one, two, three)
        self.genoa = Line("Genoa", two, three, one)
        self.turin = Line("Turin", three, one, two)
        self.lines = {line.product: line for line in (self.milan, self.genoa, self.turin)}
