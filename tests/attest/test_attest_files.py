"""Files of a user's own: what cannot be used is named and ends with 2, what is outdated with 3.
What came with the evidence speaks against it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from amd import Amd, Line, Sample
from attest_node import SimulatedNode
from der_writer import NOW, pem
from test_attest_command import Command
from test_attest_kds import FakeKds, fake, paths
from test_attest_tables import VLEK, table

from aoshell.attest.collateral.kds import Gathered
from aoshell.attest.evidence import Collateral, Evidence, load_evidence, save_evidence
from aoshell.attest.policy import Policy
from aoshell.attest.x509.material import LARGEST, bundle_as_pem
from aoshell.protocol.wallet import Wallet
from aoshell.shell.attestation.files import MOST_FILES


@pytest.fixture(autouse=True)
def home(aoshell_home: Path) -> Path:
    return aoshell_home


@pytest.fixture
def command(tmp_path: Path, good: Sample, capsys: pytest.CaptureFixture[str]) -> Command:
    folder = tmp_path / "files"
    folder.mkdir()
    found = Command(folder, good, capsys)
    found.file("report", good.report)
    return found


def report(command: Command, *words: str) -> list[str]:
    return [str(command.folder / "report"), *command.collateral, *words]


# --- of no use: 2

USELESS: dict[str, tuple[Callable[[Sample], bytes], str]] = {
    "HTML": (lambda _: b"<!DOCTYPE html><html>Not Found</html>", "is an HTML page, neither"),
    "404": (lambda _: b"404 - Not Found\n", "is text: '404 - Not Found', neither"),
    "empty": (lambda _: b"", "is empty, neither"),
    "truncated": (lambda good: good.vek[:700], "is cut off"),
    "truncated PEM": (lambda good: pem(good.vek)[:700], "without its end"),
    "a report": (lambda good: good.report, "is a report, neither"),
    "a report in hexadecimal": (lambda good: good.report.hex().encode(), "is text: '03000000"),
    "JSON": (lambda _: b'{"message": "busy"}', "is JSON without a certificate"),
    "too large": (lambda _: bytes(LARGEST + 1), f"has more than {LARGEST} bytes"),
}


@pytest.mark.parametrize("part", ["vek", "chain", "crl"])
@pytest.mark.parametrize("kind", USELESS)
def test_a_file_that_is_none(command: Command, good: Sample, kind: str, part: str) -> None:
    make, told = USELESS[kind]
    file = command.file("wrong", make(good))
    for words in ([], ["--json"]):
        said = command(*report(command, f"--{part}", file, *words))
        assert (said.code, said.out) == (2, "")
        assert said.err.startswith(f"{file} ") and told in said.err


WRONG: dict[str, tuple[str, Callable[[Amd], bytes], str]] = {
    "vek: ASK": (
        "vek",
        lambda a: pem(a.milan.ask),
        "has no certificate of a VCEK or VLEK but SEV-Milan",
    ),
    "vek: a CRL": (
        "vek",
        lambda a: a.milan.crl(),
        "has no certificate of a VCEK or VLEK but a CRL of ARK-Milan",
    ),
    "chain: VEK": (
        "chain",
        lambda a: a.milan.vek_draft().der(),
        "has no certificate of an ARK, ASK or ASVK but SEV-VCEK",
    ),
    "chain: Genoa's": (
        "chain",
        lambda a: pem(a.genoa.ask, a.genoa.ark),
        "cannot be used: the certificate chain has SEV-Genoa, ARK-Genoa, "
        "not AMD's certificates for Milan",
    ),
    "crl: ARK": ("crl", lambda a: a.milan.ark, "has no CRL but ARK-Milan"),
    "crl: Genoa's": (
        "crl",
        lambda a: a.genoa.crl(),
        "cannot be used: the CRL is of 'ARK-Genoa', not of ARK-Milan",
    ),
}


@pytest.mark.parametrize("kind", WRONG)
def test_a_file_of_another_kind(command: Command, amd: Amd, kind: str) -> None:
    part, make, told = WRONG[kind]
    file = command.file("wrong", make(amd))
    said = command(*report(command, f"--{part}", file))
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith(f"{file} {told}"), said.err


# --- incomplete or outdated: 3


def test_what_is_incomplete_is_inconclusive(command: Command, milan: Line) -> None:
    said = command(*report(command, "--chain", command.file("ask", pem(milan.ask))))
    assert said.code == 3 and "(CHAIN_UNAVAILABLE)" in said.out
    assert "ARK-Milan is missing" in said.out and "--chain FILE" in said.out.splitlines()[-1]


OUTDATED: dict[str, tuple[str, Callable[[Line], bytes], str]] = {
    "vek": ("vek", lambda m: m.vek_draft().but(not_after=NOW - 1).der(), "CERT_EXPIRED"),
    "ask": (
        "chain",
        lambda m: pem(m.ask_draft.but(not_after=NOW - 1).der(), m.ark),
        "CERT_EXPIRED",
    ),
    "not yet": ("vek", lambda m: m.vek_draft().but(not_before=NOW + 1).der(), "CERT_NOT_YET_VALID"),
    "crl": ("crl", lambda m: m.crl(next_update=NOW - 1), "CRL_EXPIRED"),
}


@pytest.mark.parametrize("kind", OUTDATED)
def test_what_is_outdated_is_inconclusive(command: Command, milan: Line, kind: str) -> None:
    part, make, error = OUTDATED[kind]
    said = command(*report(command, f"--{part}", command.file("old", make(milan))))
    assert said.code == 3 and f"({error})" in said.out.splitlines()[0]
    assert said.out.splitlines()[-1].startswith("→ ")


@pytest.mark.parametrize("kind", OUTDATED)
def test_what_came_with_the_evidence_is_evidence(
    command: Command, milan: Line, wallet: Wallet, kind: str
) -> None:
    part, make, error = OUTDATED[kind]
    node = SimulatedNode(wallet, milan)
    came = {"vek": node.sample.vek, "chain": node.sample.chain, "crl": node.sample.crl}
    kept = command.file("kept", save_evidence(node.evidence("c" * 43), Collateral(**came)))
    measured = ["--measurement", node.sample.report[144:192].hex()]
    assert command(kept, *measured).code == 0
    came[part] = make(milan)
    kept = command.file("kept", save_evidence(node.evidence("c" * 43), Collateral(**came)))
    said = command(kept, *measured)
    # Only the list is AMD's word of the day: an old one speaks against nobody.
    assert said.code == (3 if error == "CRL_EXPIRED" else 1)
    assert f"({error})" in said.out.splitlines()[0]
    own = {"vek": "--vek", "chain": "--chain", "crl": "--crl"}[part]
    assert command(kept, *measured, own, command.files[part]).code == 0


def test_a_kept_answer_can_be_kept_again(command: Command, milan: Line, wallet: Wallet) -> None:
    """With what came along in it, and what the user gave in its place."""
    node = SimulatedNode(wallet, milan)
    came = Collateral(node.sample.vek, node.sample.chain, milan.crl(next_update=NOW - 1))
    kept = command.file("kept", save_evidence(node.evidence("c" * 43), came))
    again = str(command.folder / "again")
    measured = ["--measurement", node.sample.report[144:192].hex()]
    assert command(kept, *measured, "--crl", command.files["crl"], "--save", again).code == 0
    assert command(again, *measured).code == 0


# --- one file, or a folder


def test_everything_in_one_file(command: Command, good: Sample) -> None:
    everything = command.file("all", bundle_as_pem([good.chain, good.crl, good.vek]))
    target = str(command.folder / "report")
    for flag in ("--vek", "--chain"):
        assert command(target, flag, everything).code == 0
    assert command(target, "--crl", everything).code == 0


def test_a_folder_of_certificates(command: Command, milan: Line, good: Sample) -> None:
    """As `snpguest fetch` and `snpguest certificates` make one, the report in it, too."""
    target, folder = str(command.folder / "report"), command.folder / "certs"
    folder.mkdir()
    said = command(target, "--vek", str(folder))
    assert said.code == 2 and "has no file with a certificate" in said.err
    for name, data in {
        "ark.pem": pem(milan.ark),
        "ask.der": milan.ask,
        "vcek.pem": pem(good.vek),
        "crl.der": good.crl,
        "report.bin": good.report,
        "notes.txt": b"mine",
    }.items():
        (folder / name).write_bytes(data)
    (folder / "older").mkdir()
    assert command(target, "--vek", str(folder)).code == 0
    assert command(target, *(f"--{part}={folder}" for part in ("vek", "chain", "crl"))).code == 0
    for at in range(MOST_FILES):
        (folder / f"{at}.txt").touch()
    said = command(target, "--vek", str(folder))
    assert said.code == 2 and f"more than {MOST_FILES} files" in said.err


def test_a_report_in_any_form_as_a_target(command: Command, good: Sample) -> None:
    said = command(command.file("hex", good.report.hex().encode()), *command.collateral)
    assert said.code == 0
    said = command(command.file("page", b"<html></html>"), *command.collateral, "--json")
    assert said.code == 1 and said.value["checks"][0]["error"] == "REPORT_FORM"


def test_what_was_checked_in_bundles_is_kept(milan: Line, wallet: Wallet) -> None:
    node = SimulatedNode(wallet, milan)
    sample, evidence = node.sample, node.evidence("c" * 43)
    everything = Collateral(vek=bundle_as_pem([sample.chain, sample.vek, sample.crl]))
    again = load_evidence(save_evidence(evidence, everything))
    alone = sample.but(vek=b"", chain=b"", crl=b"")
    measurement = sample.report[144:192]
    assert alone.verify(evidence=again, measurement=measurement).verdict == "PASS"


# --- what is asked for besides


def gathered(
    server: FakeKds, sample: Sample, have: Collateral, came: Collateral | None = None
) -> Gathered:
    evidence = Evidence(raw=sample.report, collateral=came or Collateral())
    return asyncio.run(server.kds(None, sample).gather(evidence, have, NOW))


def test_what_a_bundle_has_is_not_asked_for(milan: Line, good: Sample) -> None:
    server = fake(milan, good)
    have = Collateral(vek=bundle_as_pem([good.chain, good.vek]))
    assert gathered(server, good, have).collateral == Collateral(have.vek, b"", good.crl)
    assert server.asked == [paths(milan)[2]]


def test_what_a_file_lacks_is_asked_for(milan: Line, good: Sample) -> None:
    server = fake(milan, good)
    for one in (milan.ask, milan.ark, milan.asvk):
        server.asked.clear()
        found = gathered(server, good, Collateral(good.vek, pem(one), good.crl))
        assert (found.problems, server.asked) == ((), [paths(milan)[0]])
        assert good.but(chain=found.collateral.chain).verify().verdict == "PASS"


def test_what_is_asked_for_comes_to_what_the_user_gave(milan: Line, good: Sample) -> None:
    """The chip's certificate stands in the file for the chain, and the root is missing there."""
    server = fake(milan, good)
    have = Collateral(chain=pem(good.vek, milan.ask), crl=good.crl)
    found = gathered(server, good, have)
    assert (found.problems, server.asked) == ((), [paths(milan)[0]])
    assert good.but(vek=b"", chain=found.collateral.chain).verify().verdict == "PASS"


def test_a_chain_for_another_product_is_not_replaced_silently(amd: Amd, good: Sample) -> None:
    server = fake(amd.milan, good)
    have = Collateral(good.vek, pem(amd.genoa.ask, amd.genoa.ark), good.crl)
    assert gathered(server, good, have) == Gathered(have, ())
    assert server.asked == []


def test_a_list_that_came_along_and_is_old_is_asked_for_again(milan: Line, good: Sample) -> None:
    old = milan.crl(next_update=NOW - 1)
    came = Collateral(good.vek, good.chain, old)
    server = fake(milan, good)
    found = gathered(server, good, Collateral(), came)
    assert found == Gathered(Collateral(crl=good.crl), ())
    server.files.clear()
    found = gathered(server, good, Collateral(), came)
    assert found.collateral == Collateral() and "answers 404" in found.problems[0]
    mine = Collateral(crl=old)
    server.asked.clear()
    assert gathered(server, good, mine, came) == Gathered(mine, ()) and server.asked == []


def test_what_a_host_hands_out_is_not_asked_for_but_what_it_lacks(amd: Amd) -> None:
    """A provider's certificate comes from its host alone: the rest is AMD's to give."""
    sample = amd.milan.sample(vlek=True)
    server = FakeKds({"/vlek/v1/Milan/cert_chain": sample.chain, "/vlek/v1/Milan/crl": sample.crl})
    evidence = load_evidence(sample.report + table((VLEK, sample.vek)))
    found = asyncio.run(server.kds(None, sample).gather(evidence, Collateral(), NOW))
    assert found == Gathered(Collateral(chain=sample.chain, crl=sample.crl), ())
    alone = sample.but(vek=b"")
    assert alone.verify(Policy(vlek=True), evidence=evidence).verdict == "PASS"


def test_the_service_may_answer_in_any_order(milan: Line, good: Sample) -> None:
    server = fake(milan, good)
    server.files[paths(milan)[0]] = pem(milan.ark, milan.asvk, milan.ask)
    found = gathered(server, good, Collateral())
    assert found.problems == () and server.asked == list(paths(milan))
