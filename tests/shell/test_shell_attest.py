"""`.attest`, `.trust`, `.nodes` and attested results on a simulated node over real HTTP."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

sys.path.extend(str(Path(__file__).parents[1] / room) for room in ("attest", "nodes"))

from amd import Line
from attest_node import HASHES, SimulatedNode, Wire
from attested_shell import Guest, There, fill, opened
from eventually import until
from hyper_server import Reply, Request
from rsa_keys import RsaKeys
from shell_fake import FakeNode
from shell_session import Screen, failed, printed, replied, use

from aoshell import backends
from aoshell.home.endpoints import Endpoints
from aoshell.home.folders import Settings
from aoshell.nodes.values import Pin, Verify
from aoshell.protocol.wallet import Wallet
from aoshell.shell.attached.session import Session
from aoshell.shell.attestation import judging
from aoshell.shell.attestation.holding import hold_to_pin
from aoshell.shell.attestation.pins import LIFETIME, AttestationPins, Passed, Trusted
from aoshell.shell.lines.run import run_line


@pytest.fixture(scope="module")
def milan(rsa_keys: RsaKeys) -> Line:
    ark, ask = rsa_keys.key(2), rsa_keys.key(3)
    return Line("Milan", ark, ask, ask)


@pytest.fixture(scope="module")
def stranger(other_wallet: Wallet) -> Wallet:
    return other_wallet


@pytest.fixture
def server(wallet: Wallet, milan: Line) -> Guest:
    server = Guest(wallet, sign_all=True)
    server.guest = SimulatedNode(wallet, milan)
    return server


Body = Callable[[There], Awaitable[None]]


@pytest.fixture
def there(server: Guest, home: Settings) -> Callable[[Body], None]:
    """Runs a body in a session on the node, with AMD's files in the cache."""

    async def run(body: Body) -> None:
        assert isinstance(server.guest, SimulatedNode)
        await fill(server.guest, home)
        async with opened(server, home) as at, asyncio.timeout(60):
            await body(at)

    return lambda body: asyncio.run(run(body))


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aoshell.attest.collateral.kds.PAUSE", 0.0)


# --- attesting


def test_from_unknown_software_to_attested(there: Any) -> None:
    async def body(at: There) -> None:
        session = at.session
        assert session.attestation == ""
        missing = failed(await run_line(session, ".verify attested"))
        assert "is not attested" in missing.what and ".attest" in missing.hint
        found = await at.attest()
        assert not found.ok and "(SOFTWARE_UNKNOWN)" in found.text
        assert (
            found.text.splitlines()[-1] == "→ once you know what that is: .trust NAME, then .attest"
        )
        assert session.attestation == "" and at.node.pin is None
        said = printed(await run_line(session, ".trust my build"))
        measured = at.server.guest.sample.report[144:192].hex()
        assert said.startswith(f"my build is trusted: {measured}")
        found = await at.attest()
        assert found.ok and found.text.startswith("PASS: ") and "my build" in found.text
        value: Any = found.value
        assert value["verdict"] == "PASS" and value["changed"] == []
        assert value["origin"] == at.server.url
        assert session.attestation == f"attested {time.strftime('%H:%M')}"
        assert at.node.pin.address == at.server.guest.wallet.address
        assert at.node.pin.until == pytest.approx(time.time() + LIFETIME, abs=60)
        assert "any other key than the attested one" in printed(
            await run_line(session, ".verify attested")
        )
        assert "refused (.verify attested)" in printed(await run_line(session, ".node"))

    there(body)


def test_the_command_itself_trusts_amd_only(there: Any) -> None:
    async def body(at: There) -> None:
        found = replied(await run_line(at.session, ".attest --offline"))
        assert not found.ok and "VCEK_UNAVAILABLE" in found.text
        assert at.session.attestation == ""

    there(body)


def test_a_failed_attestation_ends_the_one_before(there: Any, stranger: Wallet) -> None:
    async def body(at: There) -> None:
        await at.pass_()
        replied(await run_line(at.session, ".verify attested"))
        at.server.guest = at.server.guest.but(signer=stranger)
        found = await at.attest()
        assert not found.ok and "(ADDRESS_MISMATCH)" in found.text
        assert at.session.attestation == "FAIL" and at.node.pin is None
        assert "is not attested" in failed(await run_line(at.session, ".verify attested")).what
        with pytest.raises(Exception, match="is not attested, so nothing of it is taken"):
            await at.node.slots("A" * 43)

    there(body)


def test_what_could_not_be_had_ends_nothing(there: Any, home: Settings) -> None:
    async def body(at: There) -> None:
        await at.pass_()
        (home.cache / "attest" / "Milan" / "vcek.crl").unlink()
        found = await at.attest()
        assert not found.ok and "(CRL_UNAVAILABLE)" in found.text
        assert at.session.attestation.startswith("attested ") and at.node.pin is not None

    there(body)


def test_a_page_in_between_ends_nothing(there: Any) -> None:
    class Behind(SimulatedNode):
        def respond(self, path: str) -> Wire | None:
            page = ([("content-type", "text/html")], b"<html><title>Log in</title></html>")
            return page if "~snp" in path or "~measurement" in path else super().respond(path)

    async def body(at: There) -> None:
        await at.pass_()
        guest = at.server.guest
        at.server.guest = Behind(guest.wallet, guest.line)
        error = failed(await run_line(at.session, ".attest"))
        assert error.stage == "evidence" and "200, but HTML in place of" in error.what
        assert at.session.attestation.startswith("attested ") and at.node.pin is not None
        assert AttestationPins(Settings.find()).get(at.server.url).pin() is not None

    there(body)


def test_a_new_key_is_loud(there: Any, stranger: Wallet, milan: Line) -> None:
    async def body(at: There) -> None:
        before = at.server.guest.wallet.address
        await at.pass_()
        at.server.become(SimulatedNode(stranger, milan))
        found = await at.attest()
        assert found.ok
        change = f"the key was {before} and is {stranger.address}"
        assert found.note == f"CHANGED SINCE IT WAS ATTESTED LAST: {change}"
        assert found.value["changed"] == [change]  # type: ignore[index]
        assert at.node.pin.address == stranger.address
        assert (await at.attest()).note == ""

    there(body)


def test_a_configuration_that_has_changed_is_noted(there: Any) -> None:
    class Retuned(SimulatedNode):
        def respond(self, path: str) -> Wire | None:
            if path == "/~meta@1.0/info":
                return self.sign(self.node_message | {"port": 1})
            return super().respond(path)

    async def body(at: There) -> None:
        found = await at.pass_()
        assert "Configuration now" not in found.text
        guest = at.server.guest
        at.server.guest = Retuned(guest.wallet, guest.line)
        found = await at.attest()
        assert found.ok
        assert "Configuration now: differs from the attested one in port" in found.text

    there(body)


def test_new_software_is_loud(there: Any, milan: Line) -> None:
    async def body(at: There) -> None:
        await at.pass_()
        other = dict(HASHES) | {"kernel": "ab" * 32}
        at.server.guest = SimulatedNode(at.server.guest.wallet, milan, hashes=other)
        found = await at.attest()
        assert not found.ok and "(SOFTWARE_UNTRUSTED)" in found.text
        assert found.note.startswith("CHANGED SINCE IT WAS ATTESTED LAST: the measurement was")
        assert at.session.attestation == "FAIL" and at.node.pin is None
        replied(await run_line(at.session, ".trust the next"))
        found = await at.attest()
        assert found.ok and "the next" in found.text and found.note

    there(body)


def test_files_and_other_nodes(there: Any, tmp_path: Path, stranger: Wallet, milan: Line) -> None:
    async def body(at: There) -> None:
        kept = tmp_path / "my evidence.json"
        await at.pass_()
        found = await at.attest(f"--save '{kept}' --offline")
        assert found.ok and f"kept in {kept}" in found.note
        session = at.session
        found = await at.attest(f"'{kept}' --offline")
        assert found.ok and "as its keeper says" in found.text
        assert "origin" not in found.value  # type: ignore[operator]
        pin, said = at.node.pin, session.attestation
        with SimulatedNode(stranger, milan, configuration={"trusted_nodes": 1}).served() as url:
            found = await asyncio.wait_for(at.attest(f"{url}/ --offline"), 60)
            assert found.ok and found.value["origin"] == url  # type: ignore[index]
        assert (at.node.pin, session.attestation) == (pin, said)
        for words in ("a b", "--save", "--online", "'"):
            assert ".help attest" in failed(await run_line(session, f".attest {words}")).hint
        assert "cannot be read" in failed(await run_line(session, ".attest missing")).what

    there(body)


def test_no_evidence(there: Any) -> None:
    class Bare(SimulatedNode):
        def respond(self, path: str) -> Wire | None:
            return None if "snp" in path else super().respond(path)

    async def body(at: There) -> None:
        at.server.guest = Bare(at.server.guest.wallet, at.server.guest.line)
        error = failed(await run_line(at.session, ".attest"))
        assert "offers no evidence: ~measurement@1.0: 404 Not Found" in error.what
        assert "; ~snp@1.0: 404 Not Found" in error.what
        assert ".nodes --tee" in error.hint

    there(body)


# --- trust


def test_trust(there: Any, home: Settings) -> None:
    async def body(at: There) -> None:
        session = at.session
        assert printed(await run_line(session, ".trust")) == "no software is trusted yet\n"
        assert "no node was attested yet" in failed(await run_line(session, ".trust mine")).what
        for wrong in (".trust --covers-os", ".trust --covers", ".trust --covers mine"):
            assert ".trust [--covers-os]" in failed(await run_line(session, wrong)).hint
        await at.attest()
        replied(await run_line(session, '.trust a "quoted" \\ name'))
        replied(await run_line(session, f".trust another {'ab' * 48}"))
        replied(await run_line(session, f".trust another {'cd' * 48}"))
        (first, second) = Trusted(home).images()
        assert first.name == 'a "quoted" \\ name' and second.measurement == b"\xcd" * 48
        listed = printed(await run_line(session, ".trust"))
        assert "another" in listed and "cd" * 48 in listed
        home.config.mkdir()
        named = f'[[trusted]]\nname = "written"\nmeasurement = "{"00" * 48}"\n'
        judging.policy_file(home).write_text(named)
        assert (
            "has the name written already" in failed(await run_line(session, ".trust written")).what
        )
        assert {one.name for one in judging.load_user_policy(home, "").trusted} == {
            "written",
            first.name,
            "another",
        }
        Trusted(home).path.write_text("?")
        assert failed(await run_line(session, ".trust")).stage == "policy"

    there(body)


def test_what_is_not_certain_gets_no_name(there: Any, stranger: Wallet) -> None:
    async def body(at: There) -> None:
        at.server.guest = at.server.guest.but(signer=stranger)
        await at.attest()
        error = failed(await run_line(at.session, ".trust mine"))
        assert "is not verified: ADDRESS_MISMATCH" in error.what

    there(body)


# --- which nodes have evidence


def test_nodes(there: Any) -> None:
    async def body(at: There) -> None:
        nowhere = "http://127.0.0.1:1"
        with SimulatedNode(at.server.wallet, at.server.guest.line).served() as url:
            line = f".nodes --tee {url} {nowhere} {at.server.url}"
            found = replied(await run_line(at.session, line))
        rows: Any = found.value
        assert [row["offered"] for row in rows] == [True, False, True]
        assert "version 2, unknown product, measurement" in rows[0]["what"]
        assert "does not take connections" in rows[1]["what"]
        assert ".attest URL" in found.note
        for words in ("", "--tee", "x", "--tee '"):
            assert ".help nodes" in failed(await run_line(at.session, f".nodes {words}")).hint
        assert (
            "is not the URL of a node"
            in failed(await run_line(at.session, ".nodes --tee file")).what
        )

    there(body)


def test_the_built_in_node_checks_files(node: FakeNode, home: Settings, server: Guest) -> None:
    file = home.state / "report"
    file.write_bytes(server.guest.sample.report)

    async def body(session: Session, _: Screen) -> None:
        found = replied(await run_line(session, f".attest {file} --offline"))
        assert not found.ok and "VCEK_UNAVAILABLE" in found.text

    use(node, home, body)


# --- attested results


def test_attested_results(there: Any, stranger: Wallet) -> None:
    async def body(at: There) -> None:
        session, server = at.session, at.server
        await at.attach()
        await at.pass_()
        replied(await run_line(session, ".verify attested"))
        assert printed(await run_line(session, "1+1")) == "2\n"
        await at.told("compute: signed by the attested key; nothing in it names the request")
        shown = printed(await run_line(session, ".node"))
        assert "attested (bound to requests by nothing)" in shown
        # Another key, and none.
        assert "schedule: signed" not in str(at.screen.said)
        server.signer = stranger
        error = failed(await run_line(session, "1+1"))
        assert error.stage == "verify" and "not by the attested key" in error.what
        server.signer, server.sign_all = None, False
        error = failed(await run_line(session, "1+1"))
        assert "does not sign this answer" in error.what
        replied(await run_line(session, ".verify off"))
        assert printed(await run_line(session, "1+1")) == "2\n"

    there(body)


def test_only_covered_bytes_are_shown(there: Any) -> None:
    async def body(at: There) -> None:
        await at.attach()
        await at.pass_()
        replied(await run_line(at.session, ".verify attested"))

        def besides(_: Request, reply: Reply) -> Reply:
            status, headers, content = reply
            return status, [*headers, ("error", "unsigned")], content

        at.server.faults["results"] = besides
        assert printed(await run_line(at.session, "1+1")) == "2\n"
        at.server.faults = {"now": lambda *_: (500, [], b"unsigned")}
        error = failed(await run_line(at.session, ".now x"))
        assert "unsigned" not in error.what and "500 (what it says is not" in error.what

    there(body)


def test_an_expired_pin_refuses_before_anything_is_sent(there: Any, home: Settings) -> None:
    async def body(at: There) -> None:
        await at.attach()
        await at.pass_()
        replied(await run_line(at.session, ".verify attested"))
        known = AttestationPins(home).get(at.server.url)
        assert known is not None
        ended = replace(known, until=int(time.time()))
        AttestationPins(home).put(ended)
        at.node.pin = Pin(ended.address, ended.until)
        (log,) = at.server.logs.values()
        length = len(log)
        error = failed(await run_line(at.session, "1+1"))
        assert "was attested too long ago" in error.what and ".attest does it" in error.hint
        assert len(log) == length
        assert "too long ago" in failed(await run_line(at.session, ".verify attested")).what
        await at.attest()
        assert printed(await run_line(at.session, "1+1")) == "2\n"

    there(body)


def test_another_shell_changes_the_pin(there: Any, home: Settings) -> None:
    async def body(at: There) -> None:
        await at.attach()
        await at.pass_()
        replied(await run_line(at.session, ".verify attested"))
        pins = AttestationPins(home)
        known = pins.get(at.server.url)
        assert known is not None
        later = replace(known, until=known.until + 60)
        pins.put(later)
        assert printed(await run_line(at.session, "1+1")) == "2\n"
        assert at.node.pin == Pin(known.address, known.until + 60)
        pins.put(replace(later, address="B" * 43))
        assert f"{'B' * 43} was attested" in failed(await run_line(at.session, "1+1")).what
        assert f"CHANGED: another shell attested the key {'B' * 43}" in "".join(at.screen.said)
        pins.end(later)
        for _ in range(2):
            assert "is not attested" in failed(await run_line(at.session, "1+1")).what
        told = "did not pass when another shell attested it"
        assert "".join(at.screen.said).count(told) == 1
        file = next((home.state / "attested").iterdir())
        file.write_bytes(b"{")
        assert "is not attested" in failed(await run_line(at.session, "1+1")).what

    there(body)


def test_the_toolbar_says_when_it_is_over() -> None:
    async def body() -> None:
        session: Any = SimpleNamespace(attestation="")
        node: Any = SimpleNamespace(pin=None)
        hold_to_pin(session, node, Pin("A" * 43, int(time.time())), "attested 10:00")
        assert session.attestation == "attested 10:00"
        await until(lambda: session.attestation == "attest again")

    asyncio.run(body())


def test_from_the_start(home: Settings) -> None:
    """`--verify attested` holds to the pin that is kept."""
    url, until = "https://node.example", int(time.time()) + 60
    endpoints = Endpoints("hyperbeam", url)

    async def body() -> None:
        for expected in (None, Pin("A" * 43, until)):
            node: Any = backends.remote_node(endpoints, home, None, "attested")  # type: ignore
            assert (node.verify, node.pin) == (Verify.ATTESTED, expected)
            await node.close()
            AttestationPins(home).put(Passed(url, "A" * 43, "", "", "", 0, until))

    asyncio.run(body())
