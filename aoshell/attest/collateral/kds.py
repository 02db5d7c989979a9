"""AMD's Key Distribution Service: what a report is checked against, fetched once and kept.

The only part of this room that touches the network, through a function given from outside, and the
disk, in a folder given from outside. The service limits how often it may be asked: one request at a
time, with pauses, and as long as it says after a refusal. What is kept is checked again each time
it is used, as what has just come is: nothing becomes true by lying on a disk.

    <folder>/Milan/vcek/<chip>-<TCB>.der    for each chip and reported TCB
    <folder>/Milan/vcek-chain.pem
    <folder>/Milan/vcek.crl
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

from aoshell.attest import urls
from aoshell.attest.answer import raw_report
from aoshell.attest.checks.frame import CheckResult, Status
from aoshell.attest.collateral.cache import Folder
from aoshell.attest.errors import EvidenceError
from aoshell.attest.evidence import Collateral, Evidence
from aoshell.attest.policy import Policy
from aoshell.attest.products import PINNED_ROOTS, Product
from aoshell.attest.report import VLEK, Report
from aoshell.attest.verify import verify
from aoshell.attest.x509 import amd_profile, certificates, crl, material, path
from aoshell.attest.x509.certificates import Certificate
from aoshell.attest.x509.path import Pool, came_along

PAUSE = 1.0  # seconds between two requests
REFUSED_PAUSE = 10.0  # after a refusal that does not say for how long
LONGEST_PAUSE = 60.0
ATTEMPTS = 3
CRL_AGE = 24 * 3600  # seconds after which a newer CRL is asked for
TIMEOUT = 20.0
LARGEST_CHAIN = 64 << 10  # bytes; AMD's have 5 KB

# What a certificate must pass before it is kept. Whether it has expired, or has signed this very
# report, is left to who asked: a bad report must not look like a missing certificate.
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
    """An answer of the service.

    Attributes:
        headers: names in lower case.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes


Fetch: TypeAlias = Callable[[str, int], Awaitable[KdsResponse]]
"""Gets (URL, at most so many bytes), follows no redirects; OSError where nothing answers."""


@dataclass(frozen=True, slots=True)
class Gathered:
    """What could be had.

    Attributes:
        collateral: the verifier's: what the user has, and the rest from the service.
        problems: why something is missing, for people.
    """

    collateral: Collateral
    problems: tuple[str, ...]


class UnavailableError(Exception):
    """Something could not be had; the text says why."""


class Kds:
    """Gathers what reports are checked against.

    Args:
        folder: where to keep it; made when needed. None keeps nothing.
        fetch: None to stay offline.
        roots: as in `verify()`, for tests only.
        clock, sleep: seconds on a clock that never steps, and waiting for some.
    """

    def __init__(
        self,
        folder: Path | None,
        fetch: Fetch | None,
        *,
        test_roots: Mapping[str, str] | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.kept = Folder(folder)
        self._fetch = fetch
        self._roots = PINNED_ROOTS if test_roots is None else test_roots
        self._clock = clock
        self._sleep = sleep
        self._turn = asyncio.Lock()
        self._next = 0.0

    async def gather(self, evidence: Evidence, have: Collateral, at: int) -> Gathered:
        """What it takes to check evidence at a time (seconds since the Unix epoch): what the user
        has, and from the service what neither is there nor came along. Raises nothing."""
        try:
            parsed = Report.parse(raw_report(evidence))
        except EvidenceError as error:
            return Gathered(have, (error.what,))
        problems: list[str] = []
        came = came_along(evidence)
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
        """A file that was kept, or from the service.

        Args:
            name: of the kept file, in the folder.
            refuse: says why content will not do, "" where it will.
            fresh: whether a kept file will do; else it does where the service does not answer.

        Raises:
            UnavailableError: neither has it.
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
        assert self._fetch
        await self._sleep(max(0.0, self._next - self._clock()))
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
        """The first check of these that evidence with this collateral does not pass."""
        lenient = Policy(vlek=True, masked_chip=True)
        verdict = verify(evidence, collateral, lenient, at, test_roots=self._roots)
        checks = (verdict.check(name) for name in names)
        return next((one for one in checks if one.status is not Status.PASS), None)

    def judge_chain(self, data: bytes, product: Product) -> str:
        """Why these are not the certificates above a product's chips; "" where they are."""
        try:
            found = material.read(data, "the answer").certificates
        except EvidenceError as error:
            return error.what
        ark = next((one for one in found if one.fingerprint == self.pinned(product)), None)
        if ark is None:
            return f"this is not AMD's root for {product.name}"
        signed = any(path.has_signed(ark, one) for one in found if one is not ark)
        return "" if signed else f"AMD's root for {product.name} has signed none of these"

    def pinned(self, product: Product) -> str:
        """The fingerprint of a product's root, "" where there is none."""
        return self._roots.get(product.name, "")


@dataclass(frozen=True, slots=True)
class _Task:
    """Gathering for one report, supposing that it is of this product."""

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
        """Whether the root or what is below it is missing; not where the user gave others."""
        pools = _pools(have, self.came)
        issuer = amd_profile.issuer_of(self.product, self._kind == "vlek")
        below = any(one.common_name == issuer for pool in pools for one in pool.certificates)
        whole = below and path.root(pools, self.product, self.kds.pinned(self.product))
        return not whole and (not have.chain or pools[0].serves(self.product))

    def _lacks_vek(self, have: Collateral) -> bool:
        return not have.vek and _leaf(self.report, have, self.came, self.at) is None

    def _lacks_crl(self, have: Collateral) -> bool:
        """Whether there is none, or one that came along and is outdated."""
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
                "a chip's certificate is not asked for while those above are missing"
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
            raise UnavailableError("no CRL is asked for without the certificate it is about")
        name = f"{self.product.name}/{self._kind}.crl"
        return await self.kds.obtain(
            name,
            urls.crl_url(self.product, self._kind == "vlek"),
            crl.LARGEST,
            lambda data: self._refuse(have, "crl", data, ("revocation",)),
            fresh=self.kds.kept.age(name, self.at) < CRL_AGE,
        )

    def _refuse(self, have: Collateral, name: str, data: bytes, checks: tuple[str, ...]) -> str:
        """Why what the service gave will not do; that it revokes something is no reason."""
        evidence = Evidence(raw=self.report.raw, collateral=self.came)
        why = self.kds.judge(evidence, _with(have, name, data), self.at, checks)
        return why.detail if why and why.error != "CERT_REVOKED" else ""


def _with(have: Collateral, name: str, data: bytes) -> Collateral:
    """What is at hand and something more; what the user gave for it stays."""
    given = getattr(have, name)
    return replace(have, **{name: material.bundle((given, data)) if given else data})


def _pools(have: Collateral, came: Collateral) -> tuple[Pool, Pool]:
    return Pool.read(have, ours=True), Pool.read(came, ours=False)


def _leaf(report: Report, have: Collateral, came: Collateral, at: int) -> Certificate | None:
    """The VEK at hand."""
    found = (path.leaf(pool, report, at) for pool in _pools(have, came))
    return next(filter(None, found), None)


def _products(report: Report, vek: Certificate | None) -> tuple[Product, ...]:
    """Products that the report may be from, the certificate at hand being asked first."""
    if report.version == 2 and vek:
        named = amd_profile.product_of(certificates.common_name(vek.issuer))
        return (named,) if named else ()
    return urls.candidates(report)


def _pause(reply: KdsResponse) -> float:
    asked = reply.headers.get("retry-after", "")
    return (
        min(float(asked), LONGEST_PAUSE) if asked.isascii() and asked.isdigit() else REFUSED_PAUSE
    )


async def fetch(url: str, most: int) -> KdsResponse:
    """`Fetch` over httpx.

    Raises:
        OSError: no answer, or one longer than `most` bytes.
    """
    import httpx

    from aoshell.bounded import http

    made = httpx.AsyncClient(
        timeout=TIMEOUT, follow_redirects=False, headers={"accept-encoding": http.ACCEPTED}
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
