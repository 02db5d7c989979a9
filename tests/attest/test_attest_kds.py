"""AMD's key service: what is asked for, when, and what is kept."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from amd import CHIP, TCBS, Amd, Line, Sample
from attest_node import POLICY, SimulatedNode
from der_writer import DAY, NOW, pem

from aoshell.attest.collateral import kds as service
from aoshell.attest.collateral.kds import CRL_AGE, Gathered, Kds, KdsResponse
from aoshell.attest.evidence import Collateral, Evidence
from aoshell.attest.urls import HOST
from aoshell.protocol.wallet import Wallet

NONE = Collateral()


@dataclass
class FakeKds:
    """The service, and a clock that only waiting moves."""

    files: dict[str, bytes]
    answers: list[KdsResponse | OSError] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)
    time: float = 0.0
    busy: bool = False

    async def fetch(self, url: str, most: int) -> KdsResponse:
        assert not self.busy, "two requests at a time"
        self.busy = True
        await asyncio.sleep(0)
        self.busy = False
        assert url.startswith(f"https://{HOST}/")
        path = url.removeprefix(f"https://{HOST}")
        self.asked.append(path)
        if self.answers:
            answer = self.answers.pop(0)
            if isinstance(answer, OSError):
                raise answer
            return answer
        body = self.files.get(path)
        return KdsResponse(404, {}, b"no") if body is None else KdsResponse(200, {}, body[:most])

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.time += seconds

    def kds(self, folder: Path | None, sample: Sample, online: bool = True) -> Kds:
        return Kds(
            folder,
            self.fetch if online else None,
            test_roots=sample.roots,
            clock=lambda: self.time,
            sleep=self.sleep,
        )


def paths(line: Line) -> tuple[str, str, str]:
    name, turin = line.product, line.product == "Turin"
    tcb = TCBS[name]
    query = f"fmcSPL={tcb['fmc']:02}&" if turin else ""
    query += f"blSPL={tcb['bootloader']:02}&teeSPL={tcb['tee']:02}&snpSPL={tcb['snp']:02}"
    chip = CHIP[: 8 if turin else 64].hex()
    return (
        f"/vcek/v1/{name}/cert_chain",
        f"/vcek/v1/{name}/{chip}?{query}&ucodeSPL={tcb['microcode']:02}",
        f"/vcek/v1/{name}/crl",
    )


def fake(line: Line, sample: Sample) -> FakeKds:
    content = (sample.chain, sample.vek, sample.crl)
    return FakeKds(dict(zip(paths(line), content, strict=True)))


def gather(kds: Kds, sample: Sample, have: Collateral = NONE, at: int = NOW) -> Gathered:
    return asyncio.run(kds.gather(Evidence(raw=sample.report), have, at))


@pytest.mark.parametrize("product", TCBS)
def test_everything_is_fetched_once(amd: Amd, tmp_path: Path, product: str) -> None:
    line = amd.lines[product]
    sample = line.sample()
    server = fake(line, sample)
    for _ in range(2):
        found = gather(server.kds(tmp_path / "kds", sample), sample)
        assert found == Gathered(sample.collateral, ())
        assert server.asked == list(paths(line))
    assert server.waits == [0.0, 1.0, 1.0]
    offline = gather(server.kds(tmp_path / "kds", sample, online=False), sample)
    assert offline.collateral == sample.collateral


def test_without_a_folder_nothing_is_kept(milan: Line, good: Sample) -> None:
    server = fake(milan, good)
    for _ in range(2):
        assert gather(server.kds(None, good), good).collateral == good.collateral
    assert len(server.asked) == 6


def test_what_the_user_has_is_not_asked_for(milan: Line, good: Sample) -> None:
    server = fake(milan, good)
    assert gather(server.kds(None, good), good, good.collateral).collateral == good.collateral
    assert server.asked == []


def test_reports_of_version_2_are_looked_for_in_turn(amd: Amd, tmp_path: Path) -> None:
    sample = amd.genoa.sample(2)
    server = fake(amd.genoa, sample)
    found = gather(server.kds(tmp_path, sample), sample)
    assert found.collateral == sample.collateral
    assert [path.split("/")[3] for path in server.asked] == ["Milan", "Genoa", "Genoa", "Genoa"]
    have = Collateral(vek=sample.vek)
    server.asked.clear()
    assert gather(server.kds(None, sample), sample, have).collateral == sample.collateral
    assert {path.split("/")[3] for path in server.asked} == {"Genoa"}


def test_vleks_are_not_there(amd: Amd) -> None:
    sample = amd.milan.sample(vlek=True)
    server = FakeKds({"/vlek/v1/Milan/cert_chain": sample.chain, "/vlek/v1/Milan/crl": sample.crl})
    found = gather(server.kds(None, sample), sample)
    assert found.collateral == Collateral(chain=sample.chain)
    assert "get it from the cloud provider" in found.problems[0]
    assert gather(server.kds(None, sample), sample, Collateral(vek=sample.vek)).collateral == (
        sample.collateral
    )


def test_a_hidden_chip_is_not_asked_for(milan: Line) -> None:
    sample = milan.sample(chip_id=bytes(64))
    server = fake(milan, sample)
    assert "get it from the host" in gather(server.kds(None, sample), sample).problems[0]
    assert all(path.endswith("cert_chain") for path in server.asked)


@pytest.mark.parametrize(
    ("asked", "waited"),
    [
        ("7", 7.0),
        ("9999", 60.0),
        ("", 10.0),
        ("x", 10.0),
        ("-5", 10.0),
        ("²", 10.0),
        ("٧", 10.0),
        ("Wed, 21 Oct 2015", 10.0),
    ],
)
def test_a_refusal_is_waited_out(milan: Line, good: Sample, asked: str, waited: float) -> None:
    server = fake(milan, good)
    server.answers = [KdsResponse(429, {"retry-after": asked}, b"")]
    found = gather(server.kds(None, good), good)
    assert found == Gathered(good.collateral, ())
    assert server.waits[:2] == [0.0, waited]
    assert server.asked[0] == server.asked[1]


def test_not_for_ever(milan: Line, good: Sample) -> None:
    server = fake(milan, good)
    server.answers = [KdsResponse(429, {}, b"")] * 3
    found = gather(server.kds(None, good), good)
    assert found.collateral.chain == b""
    assert "answers 429" in found.problems[0]
    verdict = good.but(vek=b"", chain=b"", crl=b"").verify()
    assert verdict.verdict == "INCONCLUSIVE"


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (KdsResponse(404, {}, b""), "answers 404"),
        (KdsResponse(500, {}, b""), "answers 500"),
        (KdsResponse(302, {"location": "https://elsewhere.example/"}, b""), "answers 302"),
        (KdsResponse(200, {}, b"<html>busy</html>"), "is an HTML page"),
        (KdsResponse(200, {}, b""), "answers 200, empty"),
        (OSError("timed out"), "timed out"),
    ],
)
def test_other_answers(milan: Line, good: Sample, answer: KdsResponse | OSError, why: str) -> None:
    for skipped in range(3):
        server = fake(milan, good)
        contents = [good.chain, good.vek][:skipped]
        server.answers = [*(KdsResponse(200, {}, content) for content in contents), answer]
        found = gather(server.kds(None, good), good)
        assert any(why in problem for problem in found.problems)
        missing = ("chain", "vek", "crl")[skipped]
        assert getattr(found.collateral, missing) == b""


WRONG: dict[str, Callable[[Amd], bytes]] = {
    "of another TCB": lambda a: a.milan.vek_draft(TCBS["Milan"] | {"snp": 23}).der(),
    "of another chip": lambda a: a.milan.vek_draft(chip=bytes(63) + b"\1").der(),
    "of another product": lambda a: a.genoa.vek_draft().der(),
    "of a stranger": lambda a: a.milan.vek_draft().but(signer=a.stranger).der(),
}


@pytest.mark.parametrize("fault", WRONG)
def test_a_wrong_certificate_is_neither_taken_nor_kept(
    amd: Amd, good: Sample, tmp_path: Path, fault: str
) -> None:
    server = fake(amd.milan, good)
    server.files[paths(amd.milan)[1]] = WRONG[fault](amd)
    found = gather(server.kds(tmp_path, good), good)
    assert found.collateral.vek == b""
    assert found.problems
    assert not list(tmp_path.rglob("*.der"))


@pytest.mark.parametrize("half", ["ark_draft", "ask_draft"])
@pytest.mark.parametrize("ours", [True, False])
def test_half_a_chain_is_completed(milan: Line, good: Sample, half: str, ours: bool) -> None:
    given = Collateral(chain=pem(getattr(milan, half).der()))
    server = fake(milan, good)
    evidence = Evidence(raw=good.report, collateral=NONE if ours else given)
    have = given if ours else NONE
    found = asyncio.run(server.kds(None, good).gather(evidence, have, NOW))
    assert server.asked == list(paths(milan)) and not found.problems


def test_a_root_that_is_not_amds_is_not_taken(amd: Amd, good: Sample) -> None:
    server = fake(amd.milan, good)
    server.files[paths(amd.milan)[0]] = pem(
        amd.milan.ask_draft.but(signer=amd.stranger).der(),
        amd.milan.ark_draft.but(signer=amd.stranger).der(),
    )
    found = gather(server.kds(None, good), good)
    assert found.collateral == NONE
    assert "not AMD's root" in found.problems[0] or "was not made by" in found.problems[0]


@pytest.mark.parametrize("name", ["*.der", "*.pem", "*.crl"])
@pytest.mark.parametrize("content", [b"", b"poison", b"\x30\x03\x02\x01\x01", bytes(2 << 20)])
def test_poisoned_files_are_fetched_again(
    milan: Line, good: Sample, tmp_path: Path, name: str, content: bytes
) -> None:
    server = fake(milan, good)
    gather(server.kds(tmp_path, good), good)
    kept = next(tmp_path.rglob(name))
    kept.write_bytes(content)
    server.asked.clear()
    assert gather(server.kds(tmp_path, good), good) == Gathered(good.collateral, ())
    assert len(server.asked) == 1
    assert kept.read_bytes() in (good.vek, good.chain, good.crl)
    kept.write_bytes(content)
    assert gather(server.kds(tmp_path, good, online=False), good).problems


def test_a_newer_crl_is_asked_for_each_day(milan: Line, good: Sample, tmp_path: Path) -> None:
    server = fake(milan, good)
    gather(server.kds(tmp_path, good), good)
    kept = next(tmp_path.rglob("*.crl"))
    os.utime(kept, (NOW - CRL_AGE - 1,) * 2)
    server.asked.clear()
    newer = milan.crl([5])
    server.files[paths(milan)[2]] = newer
    assert gather(server.kds(tmp_path, good), good).collateral.crl == newer
    os.utime(kept, (NOW - CRL_AGE - 1,) * 2)
    server.answers = [OSError("down")]
    assert gather(server.kds(tmp_path, good), good).collateral.crl == newer


def test_an_expired_crl_is_none(milan: Line, good: Sample, tmp_path: Path) -> None:
    server = fake(milan, good)
    gather(server.kds(tmp_path, good), good)
    found = gather(server.kds(tmp_path, good, online=False), good, at=NOW + 2 * DAY)
    assert found.collateral.crl == b""


def test_a_revocation_is_no_reason_to_leave_a_crl_out(milan: Line, good: Sample) -> None:
    server = fake(milan, good)
    revoking = milan.crl([0x10001])
    server.files[paths(milan)[2]] = revoking
    found = gather(server.kds(None, good), good)
    assert found.collateral.crl == revoking
    assert good.but(crl=revoking).verify().error == "CERT_REVOKED"


def test_a_bad_report_does_not_look_like_a_missing_certificate(milan: Line, good: Sample) -> None:
    report = bytearray(good.report)
    report[0x60] ^= 1
    bad = good.but(report=bytes(report))
    found = gather(fake(milan, good).kds(None, good), bad)
    assert found == Gathered(good.collateral, ())
    assert bad.verify().error == "REPORT_SIGNATURE"


def test_no_report(good: Sample) -> None:
    found = asyncio.run(FakeKds({}).kds(None, good).gather(Evidence(raw=b"?"), NONE, NOW))
    assert found.collateral == NONE
    assert "1184" in found.problems[0]


def test_for_an_answer_of_a_node(milan: Line, wallet: Wallet) -> None:
    node = SimulatedNode(wallet, milan)
    server = fake(milan, node.sample)
    evidence = node.evidence(challenge="c" * 43)
    found = asyncio.run(server.kds(None, node.sample).gather(evidence, NONE, NOW))
    assert found == Gathered(node.sample.collateral, ())
    alone = node.sample.but(vek=found.collateral.vek)
    assert alone.verify(POLICY, evidence=evidence).verdict == "PASS"
    unreadable = Evidence(text=b"{")
    found = asyncio.run(server.kds(None, node.sample).gather(unreadable, NONE, NOW))
    assert (found.collateral, len(found.problems)) == (NONE, 1)


def test_one_request_at_a_time(amd: Amd, good: Sample) -> None:
    server = fake(amd.milan, good)
    kds = server.kds(None, good)

    async def both() -> list[Gathered]:
        return await asyncio.gather(
            *(kds.gather(Evidence(raw=good.report), NONE, NOW) for _ in range(3))
        )

    assert all(found.problems == () for found in asyncio.run(both()))
    assert server.time >= 8 * service.PAUSE


def test_a_folder_that_cannot_be_written(milan: Line, good: Sample, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_bytes(b"")
    server = fake(milan, good)
    assert gather(server.kds(blocked, good), good).collateral == good.collateral


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/moved":
            self.send_response(302)
            self.send_header("location", "/long")
            self.send_header("content-length", "0")
            self.end_headers()
        elif self.path == "/long":
            self.send_response(200)
            self.send_header("content-length", "5000")
            self.end_headers()
            self.wfile.write(bytes(5000))
        else:
            self.send_response(429)
            self.send_header("Retry-After", "3")
            self.send_header("content-length", "2")
            self.end_headers()
            self.wfile.write(b"no")

    def log_message(self, *_: object) -> None:
        pass


def test_the_real_fetch() -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}"
    try:
        refused = asyncio.run(service.fetch_url(f"{url}/x", 100))
        assert (refused.status, refused.headers["retry-after"]) == (429, "3")
        assert asyncio.run(service.fetch_url(f"{url}/moved", 100)).status == 302
        assert asyncio.run(service.fetch_url(f"{url}/long", 5000)).body == bytes(5000)
        with pytest.raises(OSError, match="more than 4999 bytes"):
            asyncio.run(service.fetch_url(f"{url}/long", 4999))
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    with pytest.raises(OSError):
        asyncio.run(service.fetch_url(f"{url}/x", 100))
    with pytest.raises(OSError):
        asyncio.run(service.fetch_url("http://[", 100))
