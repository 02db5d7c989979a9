"""What a node tells of its configuration now, beside the one in an envelope."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from amd import Line
from envelope_node import POLICY, SnpNode, raw, sign
from served import Wire, served

from aoshell.attest.checks.configuration import _differing
from aoshell.attest.evidence import Evidence
from aoshell.attest.verify import Verdict
from aoshell.nodes.remote.hyperbeam.evidence import ask
from aoshell.protocol.wallet import Wallet

CONFIGURATION = {"green": {"a": [1, True], "b": None}, "port": 8734}


@pytest.fixture(scope="module")
def node(wallet: Wallet, milan: Line) -> SnpNode:
    return SnpNode(wallet=wallet, line=milan, configuration=CONFIGURATION)


def told(node: SnpNode, signer: Wallet | None = None, **changes: Any) -> Wire:
    """As `~meta@1.0/info` tells it: with the atoms that the envelope has as text."""
    now = {
        "address": node.wallet.address,
        "initialized": "permanent",
        "load_remote_devices": False,
        **CONFIGURATION,
        "status": 200,
        **changes,
    }
    return sign(signer or node.wallet, now)


def verdict(node: SnpNode, answer: Wire | None, **parts: Any) -> Verdict:
    configuration = raw(answer) if answer else None
    evidence = Evidence(exchange=node.exchange(**parts), configuration=configuration)
    return node.sample().verify(POLICY, evidence=evidence)


def test_it_is_the_attested_one(node: SnpNode) -> None:
    found = verdict(node, told(node))
    assert (found.verdict, found.configuration_now) == ("PASS", "")
    assert "configuration_now" not in found.as_json()


def test_it_differs(node: SnpNode) -> None:
    found = verdict(node, told(node, port=1, green={"a": [1, False], "b": None}, more="x"))
    changes = "differs from the attested one in green, more, port"
    assert (found.verdict, found.configuration_now) == ("PASS", changes)
    assert found.as_json()["configuration_now"] == changes


def test_it_is_unknown(node: SnpNode, attacker: Wallet) -> None:
    assert verdict(node, None).configuration_now == "unknown: the node does not tell it"
    by_another = verdict(node, told(node, signer=attacker, port=1)).configuration_now
    assert by_another == "unknown: another key signed it than the evidence"


def test_nothing_is_said_of_what_was_kept_or_is_not_attested(node: SnpNode) -> None:
    assert verdict(node, told(node, port=1), asked_now=False).configuration_now == ""
    other = node.but(report_values={"report_data": bytes(64)})
    assert verdict(other, told(node, port=1)).configuration_now == ""


@pytest.mark.parametrize("nonce", [b"n" * 32, b""])
def test_it_is_asked_for_with_a_nonce_only(node: SnpNode, nonce: bytes) -> None:
    asked: list[str] = []
    with served(node.respond, asked) as url:
        found = asyncio.run(ask(url, nonce))
    assert found.configuration is None
    assert asked.count("/~meta@1.0/info") == bool(nonce)


@pytest.mark.parametrize("now", [{"a+link": "x"}, {"a": {"b+link": "x"}}, {"a": [{"b+link": "x"}]}])
def test_values_that_came_as_links_are_not_compared(now: dict[str, Any]) -> None:
    assert _differing({"a": {"b": 1}, "c": 1}, now) == ["c"]
