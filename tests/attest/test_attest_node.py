"""A node's answer: bound to its key, its configuration, its software, and to now."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import unquote

import httpx
import pytest
from amd import Amd, Line
from attest_node import HASHES, IMAGE, POLICY, SimulatedNode, fetch
from faults import ACCEPTED, FAULTS, INCONCLUSIVE

from aoshell.attest import signed as signed_module
from aoshell.attest.answer import compute_node_message_id
from aoshell.attest.checks.custody import CustodyState
from aoshell.attest.errors import EvidenceError, InconclusiveError
from aoshell.attest.evidence import (
    Challenge,
    Collateral,
    Evidence,
    RawResponse,
    load_evidence,
    save_evidence,
)
from aoshell.attest.policy import Image, Policy
from aoshell.attest.signed import SignedPart, verify_answer
from aoshell.errors import AoError
from aoshell.nodes.remote.http.client import Client
from aoshell.nodes.remote.http.progress import Waiting
from aoshell.nodes.remote.hyperbeam.evidence import evidence as ask_evidence
from aoshell.protocol import signing
from aoshell.protocol.commitment import CURRENT, Commitment
from aoshell.protocol.encoding import b64url, unb64url
from aoshell.protocol.fields import parameters
from aoshell.protocol.wallet import Wallet

NONCE = b64url(bytes(range(32)))


@pytest.fixture(scope="module")
def node(wallet: Wallet, milan: Line) -> SimulatedNode:
    return SimulatedNode(wallet, milan)


@pytest.mark.parametrize("product", ["Milan", "Genoa", "Turin"])
@pytest.mark.parametrize("together", [True, False])
def test_over_http(amd: Amd, wallet: Wallet, product: str, together: bool) -> None:
    """End to end: fetch, verify, keep, verify what was kept."""
    node = SimulatedNode(wallet, amd.lines[product], version=2 if product == "Milan" else 3)
    with node.served() as url:
        if together:
            answer = fetch(f"{url}/~snp@1.0/generate/set&challenge={NONCE}")
            challenge = Challenge(NONCE)
        else:
            answer = fetch(f"{url}/~snp@1.0/generate")
            challenge = Challenge(
                NONCE, fetch(f"{url}/~message@1.0/set&challenge={NONCE}/challenge")
            )
        info = fetch(f"{url}/~meta@1.0/info")
    evidence = Evidence(answer=answer, challenge=challenge, origin=url, taken=1)
    verdict = node.sample.verify(POLICY, evidence=evidence)
    assert (verdict.verdict, verdict.errors) == ("PASS", ())
    assert (verdict.address, verdict.image) == (wallet.address, "the image")
    assert verdict.check("challenge").detail.startswith("signed now")
    assert verdict.as_json()["key_custody"] == "UNKNOWN"
    kept = load_evidence(save_evidence(evidence, node.sample.collateral))
    assert (kept.origin, kept.taken) == (url, 1)
    again = node.sample.but(vek=b"", chain=b"", crl=b"").verify(POLICY, evidence=kept)
    assert again.verdict == "PASS"
    assert again.evidence_id == verdict.evidence_id
    assert "as its keeper says" in again.check("challenge").detail
    signed = verify_answer(info)
    assert (signed.commitment.committer, signed.message["port"]) == (wallet.address, 8734)


def test_an_answer_is_verified_once(node: SimulatedNode, monkeypatch: pytest.MonkeyPatch) -> None:
    """By all who ask for it: whether the challenge is in it, the checks, the configuration."""
    verified: list[RawResponse] = []
    verify = signed_module._verified_part

    def counted(answer: RawResponse) -> SignedPart:
        verified.append(answer)
        return verify(answer)

    monkeypatch.setattr(signed_module, "_verified_part", counted)

    async def asked(url: str) -> Evidence:
        client = Client(url, Waiting())
        try:
            return await ask_evidence(client, bytes(32))
        finally:
            await client.close()

    with node.served() as url:
        evidence = asyncio.run(asked(url))
    assert node.sample.verify(POLICY, evidence=evidence).verdict == "PASS"
    assert [*map(id, verified)] == [id(evidence.answer), id(evidence.configuration)]


@pytest.mark.parametrize("fault", FAULTS)
def test_faults(node: SimulatedNode, attacker: Wallet, fault: str) -> None:
    change, error = FAULTS[fault]
    verdict = change(node, attacker).verify()
    assert verdict.error == error, verdict.primary
    assert verdict.verdict == ("INCONCLUSIVE" if error in INCONCLUSIVE else "FAIL")


@pytest.mark.parametrize("form", ACCEPTED)
def test_accepted(node: SimulatedNode, attacker: Wallet, form: str) -> None:
    verdict = ACCEPTED[form](node, attacker).verify()
    assert (verdict.verdict, verdict.errors) == ("PASS", ())


def test_a_link_is_called_one(node: SimulatedNode, attacker: Wallet) -> None:
    verdict = FAULTS["linked configuration"][0](node, attacker).verify()
    assert "came as a link" in verdict.check("outer-signature").detail


@pytest.mark.parametrize("within", [{"x+link": "A" * 43}, {"a": {"x+link": "A" * 43}}])
def test_a_link_in_the_configuration_leaves_it_unbound(
    wallet: Wallet, within: dict[str, Any]
) -> None:
    signed = SignedPart({"node-message": within}, signing.commit(wallet, {})[0], ())
    with pytest.raises(InconclusiveError) as raised:
        compute_node_message_id(signed)
    assert raised.value.error == "NODE_MESSAGE_UNBOUND"


def test_what_is_not_signed_is_named(node: SimulatedNode, attacker: Wallet) -> None:
    verdict = ACCEPTED["something unsigned besides"](node, attacker).verify()
    assert "not signed, so not used: x-cache" in verdict.check("outer-signature").detail


def test_the_newer_form_of_signatures(wallet: Wallet, node: SimulatedNode) -> None:
    identity = unb64url(signing.unsigned_id(node.node_message, CURRENT))
    data = node.report_data[:32] + identity
    newer = node.but(
        report_values={"report_data": data},
        message=lambda m, _n: m | {"nonce": b64url(data)},
    )
    headers, body = signing.sign(wallet, newer.generated, profile=CURRENT)
    evidence = Evidence(answer=RawResponse(tuple(headers), body))
    assert newer.sample.verify(POLICY, evidence=evidence).errors == ()


class TestSoftware:
    def test_no_allow_list(self, node: SimulatedNode) -> None:
        verdict = node.verify(Policy())
        assert (verdict.verdict, verdict.error) == ("INCONCLUSIVE", "SOFTWARE_UNKNOWN")
        assert ".trust" in verdict.check("trusted-software").hint

    def test_another_one(self, node: SimulatedNode) -> None:
        other = Image("other", hashes=dict(IMAGE.hashes) | {"kernel": "ab" * 32})
        for image in (other, Image("other", b"m" * 48)):
            verdict = node.verify(Policy(trusted=(image,)))
            assert (verdict.verdict, verdict.error) == ("FAIL", "SOFTWARE_UNTRUSTED")

    def test_by_measurement(self, node: SimulatedNode) -> None:
        measured = node.sample.report[0x90:0xC0]
        assert node.verify(Policy(trusted=(Image("m", measured),))).image == "m"
        assert node.verify(Policy(), measurement=measured).verdict == "PASS"
        assert node.verify(POLICY, measurement=bytes(48)).error == "MEASUREMENT_MISMATCH"

    def test_a_measurement_that_cannot_be_computed_can_be_trusted_itself(
        self, node: SimulatedNode, attacker: Wallet
    ) -> None:
        unknown = FAULTS["other firmware"][0](node, attacker)
        measured = node.sample.report[0x90:0xC0]
        verdict = unknown.verify(Policy(trusted=(Image("m", measured),)))
        assert (verdict.verdict, verdict.image) == ("PASS", "m")
        # The hashes were not shown to be those of this guest, so nothing can be told by them.
        by_hashes = Image(
            "h",
            hashes={"firmware": "ab" * 48}
            | {name: HASHES[name] for name in ("kernel", "initrd", "append")},
        )
        alone = unknown.verify(Policy(trusted=(by_hashes,)))
        assert alone.error == alone.check("measurement").error == "SOFTWARE_UNKNOWN"
        both = Policy(trusted=(by_hashes, Image("m", measured)))
        assert unknown.verify(both).image == "m"
        another = unknown.verify(Policy(trusted=(Image("other", b"m" * 48),)))
        assert another.check("measurement").error == "SOFTWARE_UNKNOWN"

    def test_what_was_not_compared_is_not_called_trusted(self, node: SimulatedNode) -> None:
        verdict = node.verify(Policy(), measurement=bytes(48))
        assert verdict.error == "MEASUREMENT_MISMATCH"
        assert verdict.check("trusted-software").status.value == "SKIPPED"


class TestChallenge:
    def test_signed(self, node: SimulatedNode) -> None:
        assert node.verify(challenge=NONCE).verdict == "PASS"

    @pytest.mark.parametrize(
        "fault", ["old answer", "another key", "unsigned", "not signed", "garbage", "HMAC"]
    )
    def test_faults(self, node: SimulatedNode, attacker: Wallet, fault: str) -> None:
        def proof(own: SimulatedNode, challenge: str) -> Any:
            message = {"body": challenge, "status": 200}
            match fault:
                case "old answer":
                    return own.sign(message | {"body": "x" * 43})
                case "another key":
                    return own.but(signer=attacker).sign(message)
                case "unsigned":
                    return [("status", "200")], challenge.encode()
                case "not signed":
                    headers, _ = own.sign({"status": 200})
                    return headers, challenge.encode()
                case "HMAC":
                    headers, body = own.sign(message)
                    return list(FAULTS_HMAC(dict(headers)).items()), body
            return [("signature", "?")], b"\xff"

        verdict = node.but(proof=proof).verify(challenge=NONCE)
        assert (verdict.verdict, verdict.error) == ("FAIL", "CHALLENGE_FAILED")

    def test_a_key_that_the_report_does_not_vouch_for_is_not_asked(
        self, node: SimulatedNode
    ) -> None:
        other = node.but(report_values={"report_data": bytes(32) + node.report_data[32:]})
        verdict = other.verify(challenge=NONCE)
        assert verdict.error == "REPORT_DATA_MISMATCH"
        assert verdict.check("challenge").status.value == "SKIPPED"

    def test_a_recording_of_the_whole_answer(self, node: SimulatedNode) -> None:
        headers, body = node.generate("y" * 43)
        evidence = Evidence(answer=RawResponse(tuple(headers), body), challenge=Challenge(NONCE))
        assert node.sample.verify(POLICY, evidence=evidence).error == "CHALLENGE_FAILED"

    def test_no_answer_is_inconclusive(self, node: SimulatedNode) -> None:
        challenge = Challenge(NONCE, unanswered="the node did not answer in time")
        evidence = Evidence(answer=node.evidence().answer, challenge=challenge)
        verdict = node.sample.verify(POLICY, evidence=evidence)
        assert (verdict.verdict, verdict.error) == ("INCONCLUSIVE", "CHALLENGE_FAILED")

    def test_none_is_said(self, node: SimulatedNode) -> None:
        assert "there was no challenge" in node.verify().check("challenge").detail

    def test_a_short_value_proves_nothing(self, node: SimulatedNode) -> None:
        assert node.verify(challenge="200").error == "CHALLENGE_FAILED"


def FAULTS_HMAC(fields: dict[str, str]) -> dict[str, str]:
    from faults import only_hmac

    return only_hmac(fields, None)


class TestCustody:
    def custody(self, node: SimulatedNode, policy: Policy = POLICY) -> tuple[Any, str]:
        verdict = node.verify(policy)
        assert verdict.custody
        return verdict.custody.state, verdict.verdict

    def test_unknown_by_default(self, node: SimulatedNode) -> None:
        assert self.custody(node) == (CustodyState.UNKNOWN, "PASS")

    @pytest.mark.parametrize(
        "configuration",
        [
            {"green_zone_initialized": True},
            {"trusted_nodes": {"a": "b"}},
            {"identities": {"green-zone": {"x": "y"}}},
            {"green_zone_peer_location": "x"},
            {"green-zone-initialized": True},
            {"green-zone-peer-location": "x"},
        ],
    )
    def test_shared(self, wallet: Wallet, milan: Line, configuration: Any) -> None:
        node = SimulatedNode(wallet, milan, configuration=configuration)
        assert self.custody(node) == (CustodyState.SHARED, "PASS")
        reviewed = Policy(trusted=(Image("i", hashes=IMAGE.hashes, exclusive_key=True),))
        assert self.custody(node, reviewed) == (CustodyState.SHARED, "PASS")

    def test_exclusive_by_review(self, node: SimulatedNode) -> None:
        reviewed = Image("i", hashes=IMAGE.hashes, exclusive_key=True)
        assert self.custody(node, Policy(trusted=(reviewed,))) == (CustodyState.EXCLUSIVE, "PASS")
        policy = Policy(trusted=(reviewed,), exclusive_key=True)
        assert node.verify(policy).check("key-custody").status.value == "PASS"

    @pytest.mark.parametrize("fault", ["configuration as text", "other configuration"])
    def test_a_review_does_not_count_where_the_configuration_is_not_bound(
        self, node: SimulatedNode, attacker: Wallet, fault: str
    ) -> None:
        reviewed = Policy(trusted=(Image("i", hashes=IMAGE.hashes, exclusive_key=True),))
        changed, error = FAULTS[fault]
        verdict = changed(node, attacker).verify(reviewed)
        assert (verdict.image, verdict.errors) == ("i", (error,))
        assert verdict.custody and verdict.custody.state is CustodyState.UNKNOWN

    def test_asked_for(self, node: SimulatedNode) -> None:
        verdict = node.verify(Policy(trusted=(IMAGE,), exclusive_key=True))
        assert (verdict.verdict, verdict.error) == ("FAIL", "KEY_NOT_EXCLUSIVE")


@pytest.mark.parametrize("added", [("x", "y"), ("x", 5), ("tag", 5), ("created", "now")])
@pytest.mark.parametrize("is_signed", [True, False])
def test_parameters_that_are_not_known_are_refused(
    monkeypatch: pytest.MonkeyPatch, node: SimulatedNode, added: tuple[str, Any], is_signed: bool
) -> None:
    """Whoever put them there: they might mean anything, also that less is signed."""
    known = Commitment.parameters
    with monkeypatch.context() as patch:
        if is_signed:
            patch.setattr(Commitment, "parameters", lambda one: [*known(one), added])
        headers, body = node.generate()
    fields = dict(headers)
    if not is_signed:
        fields["signature-input"] += parameters([added])
    evidence = Evidence(answer=RawResponse(tuple(fields.items()), body))
    verdict = node.sample.verify(POLICY, evidence=evidence)
    assert (verdict.verdict, verdict.error) == ("FAIL", "HTTPSIG_INVALID")
    with pytest.raises(
        EvidenceError, match=f"parameter .{added[0]}. (is not known here|has another type)"
    ):
        verify_answer(evidence.answer or RawResponse((), b""))


@pytest.mark.parametrize("moved", ["/~snp@1.0/generate", "/~message@1.0"])
@pytest.mark.parametrize("withholds", [False, True])
def test_evidence_that_was_redirected_is_not_taken(
    node: SimulatedNode, moved: str, withholds: bool
) -> None:
    """Also where it would pass: the redirect is unsigned, and another guest may be behind it."""

    def handle(request: httpx.Request) -> httpx.Response:
        path = unquote(request.url.raw_path.decode())
        if path.startswith("/moved"):
            return respond(path.removeprefix("/moved"))
        if path.startswith(moved):
            return httpx.Response(302, headers={"location": f"/moved{path}"})
        return respond(path)

    def respond(path: str) -> httpx.Response:
        if "/set&challenge=" in path and "snp" in path:
            return httpx.Response(404)  # a node that does not take both at once
        headers, body = node.respond(path) or ([], b"")
        return httpx.Response(200, headers=headers, content=body)

    client = Client("https://node.example", Waiting(), httpx.MockTransport(handle))
    client.withholds = withholds
    if moved == "/~message@1.0":
        found = asyncio.run(ask_evidence(client, bytes(32)))
        assert found.challenge and "redirects" in found.challenge.unanswered
        assert found.challenge.answer is None
    else:
        with pytest.raises(AoError, match="redirects") as caught:
            asyncio.run(ask_evidence(client, bytes(32)))
        assert caught.value.stage == "evidence" and "name that one" in caught.value.hint
        assert ("/moved" in caught.value.what) != withholds


def test_collateral_of_the_user_comes_first(node: SimulatedNode) -> None:
    evidence = Evidence(answer=node.evidence().answer, collateral=Collateral(vek=b"?"))
    assert node.sample.verify(POLICY, evidence=evidence).verdict == "PASS"


@pytest.mark.parametrize("bit", range(0, 8 * 700, 97))
def test_a_flipped_bit_of_the_body_is_seen(node: SimulatedNode, bit: int) -> None:
    headers, body = node.generate()
    flipped = bytearray(body)
    flipped[bit // 8 % len(body)] ^= 1 << bit % 8
    evidence = Evidence(answer=RawResponse(tuple(headers), bytes(flipped)))
    assert node.sample.verify(POLICY, evidence=evidence).verdict == "FAIL"
