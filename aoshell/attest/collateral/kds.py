"""AMD's Key Distribution Service (KDS): fetches what a report is checked against once, and keeps
it.

Only this part of `attest` uses the network and the disk, by a function and a folder that are passed
in. The service limits requests, so they are sent one at a time, with pauses, also after a refusal.
A stored file is checked at each use, like one that was just fetched.

    <folder>/Milan/vcek/<chip>-<TCB>.der    for each chip and reported TCB
    <folder>/Milan/vcek-chain.pem
    <folder>/Milan/vcek.crl
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from aoshell.attest import urls
from aoshell.attest.checks.frame import CheckResult, Status
from aoshell.attest.collateral.cache import Folder
from aoshell.attest.errors import EvidenceError
from aoshell.attest.evidence import Collateral, Evidence
from aoshell.attest.kinds import Kind
from aoshell.attest.policy import Policy
from aoshell.attest.products import PINNED_ROOTS, Product
from aoshell.attest.report import VLEK, Report
from aoshell.attest.unverified import kind_of, read_raw_report
from aoshell.attest.verify import verify_evidence
from aoshell.attest.x509 import amd_profile, certificates, crl, material, path
from aoshell.attest.x509.certificates import Certificate
from aoshell.attest.x509.path import Pool, read_enclosed_collateral

if TYPE_CHECKING:
    import asyncio

PAUSE = 1.0  # seconds between two requests
REFUSED_PAUSE = 10.0  # seconds, after a refusal that does not say how long
LONGEST_PAUSE = 60.0  # seconds
ATTEMPTS = 3
CRL_AGE = 24 * 3600  # seconds after which a newer CRL is asked for
TIMEOUT = 20.0  # seconds
LARGEST_CHAIN = 64 << 10  # bytes; AMD's have 5 KB

# Checks that a certificate must pass before it is stored. Not its validity, nor whether it signed
# this report: otherwise a bad report would look like a missing certificate.
_ABOUT_VEK = (
    "product",
    "leaf-signature",
    "certificate-profile",
    "leaf-key",
    "certificate-extensions",
    "certificate-tcb",
    "chip-id",
)


@dataclass(frozen=True, slots=True)
class KdsResponse:
    """A response of the service.

    Attributes:
        headers: names in lower case.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes


Fetch: TypeAlias = Callable[[str, int], Awaitable[KdsResponse]]
"""Gets a URL, at most so many bytes. Follows no redirects. Raises OSError if there is no
response."""


@dataclass(frozen=True, slots=True)
class Gathered:
    """What was found.

    Attributes:
        collateral: the verifier's: what the user gave, and the rest from the service.
        problems: why something is missing, for people.
    """

    collateral: Collateral
    problems: tuple[str, ...]


class UnavailableError(Exception):
    """A file is not available; the text says why."""


class Kds:
    """Gathers what reports are checked against.

    Args:
        folder: where to keep it; created when needed. None keeps nothing.
        fetch: None to stay offline.
        test_roots: as in `verify_evidence()`, for tests only.
        clock: seconds of a monotonic clock.
        sleep: waits for so many seconds; None for `asyncio.sleep`.
    """

    def __init__(
        self,
        folder: Path | None,
        fetch: Fetch | None,
        *,
        test_roots: Mapping[str, str] | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] | None = None,
    ) -> None:
        self.kept = Folder(folder)
        self._fetch = fetch
        self._roots = PINNED_ROOTS if test_roots is None else test_roots
        self._clock = clock
        self._sleep = sleep
        self._next = 0.0

    @cached_property
    def _turn(self) -> asyncio.Lock:
        # Imported where something is fetched: offline, a command takes a third less without it.
        import asyncio

        return asyncio.Lock()

    async def gather(self, evidence: Evidence, have: Collateral, at: int) -> Gathered:
        """Gathers what it takes to check evidence: what the user gave (`have`), and from the
        service what is missing there and in the evidence. Raises nothing.

        Args:
            at: the time of evaluation, seconds since the Unix epoch.
        """
        if evidence.exchange:
            if kind_of(evidence) is not Kind.SNP:
                return Gathered(have, ())
            from aoshell.attest.envelope.snp import find_report  # see `unverified`

            evidence = find_report(evidence.exchange)
        try:
            parsed = Report.parse(read_raw_report(evidence))
        except EvidenceError as error:
            return Gathered(have, (error.what,))
        problems: list[str] = []
        came = read_enclosed_collateral(evidence)
        products = _products(parsed, _leaf(parsed, have, came, at))
        for product in products:
            found, missing = await _Task(self, parsed, product, came, at).gather(have)
            if len(products) == 1 or _leaf(parsed, found, came, at):
                return Gathered(found, tuple(missing))
            problems += missing
        return Gathered(have, tuple(problems))

    async def obtain(
        self, name: str, url: str, most: int, refuse: Callable[[bytes], str], fresh: bool = True
    ) -> bytes:
        """A kept file, or the same from the service.

        Args:
            name: of the kept file, in the folder.
            most: bytes.
            refuse: why content cannot be used, "" if it can.
            fresh: whether a kept file is new enough. An older one is used if the service fails.

        Raises:
            UnavailableError: neither is there.
        """
        kept = self.kept.read(name, most)
        if kept and refuse(kept):
            kept = b""
        if kept and fresh:
            return kept
        try:
            body = await self._get(url, most)
            if why := refuse(body):
                raise UnavailableError(f"{url}: {why}")
        except UnavailableError:
            if kept:
                return kept
            raise
        self.kept.write(name, body)
        return body

    async def _get(self, url: str, most: int) -> bytes:
        if self._fetch is None:
            raise UnavailableError(f"offline: {url}")
        async with self._turn:
            for _ in range(ATTEMPTS):
                reply = await self._ask(url, most)
                if reply.status not in (429, 503):
                    break
                self._next = self._clock() + _pause(reply)
        if reply.status != 200 or not reply.body:
            raise UnavailableError(f"{url} answers {reply.status}{'' if reply.body else ', empty'}")
        return reply.body

    async def _ask(self, url: str, most: int) -> KdsResponse:
        from asyncio import sleep

        assert self._fetch
        await (self._sleep or sleep)(max(0.0, self._next - self._clock()))
        try:
            return await self._fetch(url, most)
        except OSError as error:
            raise UnavailableError(f"{url}: {error}") from None
        finally:
            self._next = self._clock() + PAUSE

    def judge(
        self,
        evidence: Evidence,
        collateral: Collateral,
        at: int,
        names: tuple[str, ...],
    ) -> CheckResult | None:
        """The first of these checks that evidence with this collateral does not pass."""
        lenient = Policy(vlek=True, masked_chip=True)
        verdict = verify_evidence(evidence, collateral, lenient, at, test_roots=self._roots)
        checks = (verdict.check(name) for name in names)
        return next((one for one in checks if one.status is not Status.PASS), None)

    def judge_chain(self, data: bytes, product: Product) -> str:
        """Why these are not the certificates above a product's chips, "" if they are."""
        try:
            found = material.read_material(data, "the answer").certificates
        except EvidenceError as error:
            return error.what
        ark = next((one for one in found if one.fingerprint == self.pinned(product)), None)
        if ark is None:
            return f"this is not AMD's root for {product.name}"
        signed = any(path.has_signed(ark, one) for one in found if one is not ark)
        return "" if signed else f"AMD's root for {product.name} has signed none of these"

    def pinned(self, product: Product) -> str:
        """The fingerprint of a product's root, "" if there is none."""
        return self._roots.get(product.name, "")


@dataclass(frozen=True, slots=True)
class _Task:
    """Gathering for one report, assumed to be from this product."""

    kds: Kds
    report: Report
    product: Product
    came: Collateral
    at: int

    async def gather(self, have: Collateral) -> tuple[Collateral, list[str]]:
        problems: list[str] = []
        steps = {
            "chain": (self._lacks_chain, self._chain),
            "vek": (self._lacks_vek, self._vek),
            "crl": (self._lacks_crl, self._crl),
        }
        for name, (lacks, step) in steps.items():
            if lacks(have):
                try:
                    have = _with(have, name, await step(have))
                except UnavailableError as why:
                    problems.append(str(why))
        return have, problems

    def _lacks_chain(self, have: Collateral) -> bool:
        """Whether the root or its intermediate is missing, and the user gave no other chain."""
        pools = _pools(have, self.came)
        issuer = amd_profile.issuer_of(self.product, self._kind == "vlek")
        below = any(one.common_name == issuer for pool in pools for one in pool.certificates)
        whole = below and path.find_root(pools, self.product, self.kds.pinned(self.product))
        return not whole and (not have.chain or pools[0].serves(self.product))

    def _lacks_vek(self, have: Collateral) -> bool:
        return not have.vek and _leaf(self.report, have, self.came, self.at) is None

    def _lacks_crl(self, have: Collateral) -> bool:
        """Whether there is none, or only an outdated one that came with the evidence."""
        ours, theirs = _pools(have, self.came)
        if ours.crls or have.crl:
            return False
        if not theirs.crls:
            return True
        evidence = Evidence(raw=self.report.raw, collateral=self.came)
        why = self.kds.judge(evidence, have, self.at, ("revocation",))
        return why is not None and why.error == "CRL_EXPIRED"

    @property
    def _kind(self) -> str:
        return "vlek" if self.report.signing_key == VLEK else "vcek"

    async def _chain(self, _have: Collateral) -> bytes:
        return await self.kds.obtain(
            f"{self.product.name}/{self._kind}-chain.pem",
            urls.chain_url(self.product, self._kind == "vlek"),
            LARGEST_CHAIN,
            lambda data: self.kds.judge_chain(data, self.product),
        )

    async def _vek(self, have: Collateral) -> bytes:
        if self._kind == "vlek" or not any(self.report.chip_id):
            raise UnavailableError(urls.vek_hint(self.report))
        if self._lacks_chain(have):
            raise UnavailableError(
                "the chip's certificate is not fetched while those above it are missing"
            )
        parts = self.report.tcb["reported"].parts.values()
        chip = self.report.chip_id[: self.product.chip_id].hex()

        return await self.kds.obtain(
            f"{self.product.name}/vcek/{chip}-{bytes(parts).hex()}.der",
            urls.vcek_url(self.report, self.product),
            certificates.LARGEST,
            lambda data: self._refuse(have, "vek", data, _ABOUT_VEK),
        )

    async def _crl(self, have: Collateral) -> bytes:
        if _leaf(self.report, have, self.came, self.at) is None:
            raise UnavailableError("the CRL is not fetched while the chip's certificate is missing")
        name = f"{self.product.name}/{self._kind}.crl"
        return await self.kds.obtain(
            name,
            urls.crl_url(self.product, self._kind == "vlek"),
            crl.LARGEST,
            lambda data: self._refuse(have, "crl", data, ("revocation",)),
            fresh=self.kds.kept.age(name, self.at) < CRL_AGE,
        )

    def _refuse(self, have: Collateral, name: str, data: bytes, checks: tuple[str, ...]) -> str:
        """Why a response of the service cannot be used. A CRL that revokes something can."""
        evidence = Evidence(raw=self.report.raw, collateral=self.came)
        why = self.kds.judge(evidence, _with(have, name, data), self.at, checks)
        return why.detail if why and why.error != "CERT_REVOKED" else ""


def _with(have: Collateral, name: str, data: bytes) -> Collateral:
    """`have` with more data in one part. What the user gave stays in it."""
    given = getattr(have, name)
    return replace(have, **{name: material.bundle_as_pem((given, data)) if given else data})


def _pools(have: Collateral, came: Collateral) -> tuple[Pool, Pool]:
    return Pool.read(have, ours=True), Pool.read(came, ours=False)


def _leaf(report: Report, have: Collateral, came: Collateral, at: int) -> Certificate | None:
    """The VEK that is there already, if any."""
    found = (path.find_leaf(pool, report, at) for pool in _pools(have, came))
    return next(filter(None, found), None)


def _products(report: Report, vek: Certificate | None) -> tuple[Product, ...]:
    """Products that the report may be from. Version 2 does not say, but its certificate does."""
    if report.version == 2 and vek:
        named = amd_profile.product_of(certificates.common_name(vek.issuer))
        return (named,) if named else ()
    return urls.candidate_products(report)


def _pause(reply: KdsResponse) -> float:
    asked = reply.headers.get("retry-after", "")
    return (
        min(float(asked), LONGEST_PAUSE) if asked.isascii() and asked.isdigit() else REFUSED_PAUSE
    )


async def fetch_url(url: str, most: int) -> KdsResponse:
    """`Fetch` over httpx.

    Raises:
        OSError: no response, or one of more than `most` bytes.
    """
    import asyncio

    import httpx

    from aoshell.bounded import http

    made = httpx.AsyncClient(
        verify=http.trusted(),
        timeout=TIMEOUT,
        follow_redirects=False,
        headers={"accept-encoding": http.ACCEPTED},
    )
    try:
        async with http.guard_client(made) as client, asyncio.timeout(3 * TIMEOUT):
            reply = await http.send(client, client.build_request("GET", url))
            try:
                body = await http.read_body(reply, most)
            finally:
                await reply.aclose()
            return KdsResponse(reply.status_code, dict(reply.headers), body)
    except http.ResponseLimitError as error:
        raise OSError(f"it {error}") from None
    except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
        raise OSError(str(error) or type(error).__name__) from None
