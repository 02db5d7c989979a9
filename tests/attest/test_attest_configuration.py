"""What a node tells of its configuration now, beside the one in its evidence."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from amd import Line
from attest_command import Command
from attest_node import SimulatedNode
from envelope_node import POLICY, SnpNode, raw
from envelope_wire import sign
from faults import sign_linked
from served import Wire, served

from aoshell.attest.checks.configuration import LONGEST_NAME, _differing
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
    assert verdict(node, None).configuration_now == "unknown: the node does not report it"
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


LINKED = [{"a+link": "x"}, {"a": {"b+link": "x", "d": 1}}, {"a": [1, {"b+link": "x"}]}]


@pytest.mark.parametrize("now", LINKED)
def test_values_that_came_as_links_are_not_compared(now: dict[str, Any]) -> None:
    assert _differing({"a": {"b": 1}, "c": 1}, now) == ["c"]


def test_what_an_answer_adds_is_compared_where_it_was_attested() -> None:
    added = {"address": "x", "status": 200, "trace": "x"}
    assert _differing({}, added) == []
    assert _differing({"address": "y", "trace": "y"}, added) == ["address"]


def test_long_names_are_cut(node: SnpNode) -> None:
    found = verdict(node, told(node, **{"n" * (LONGEST_NAME + 1): 1}))
    assert found.configuration_now == f"differs from the attested one in {'n' * LONGEST_NAME}"


# --- in the output of the command


class Changed(SimulatedNode):
    """It tells another configuration than the one in its report."""

    def respond(self, path: str) -> Wire | None:
        if path == "/~meta@1.0/info":
            return self.info()
        return super().respond(path)

    def info(self) -> Wire | None:
        return self.sign(self.now() | {"status": 200})

    def now(self) -> dict[str, Any]:
        return dict(self.node_message)


class Retuned(Changed):
    def now(self) -> dict[str, Any]:
        hashes = self.node_message["snp_trusted"]
        kept = {key: one for key, one in self.node_message.items() if key != "snp_trusted"}
        changed = {"port": 1, "snp-trusted": [*hashes, *hashes], "priv_x": 1, "trace": "x"}
        return kept | changed | {"operator": "me"}


class Respelled(Changed):
    def now(self) -> dict[str, Any]:
        kept = {key: one for key, one in self.node_message.items() if key != "snp_trusted"}
        hashes = [one | {"priv_note": "x"} for one in self.node_message["snp_trusted"]]
        return kept | {"snp-trusted": hashes, "trace": "y"}


class Large(Changed):
    def now(self) -> dict[str, Any]:
        return super().now() | {f"k{number:02}": number for number in range(20)}


class Linked(Changed):
    """It sends a link instead of a value."""

    def info(self) -> Wire | None:
        return sign_linked(self, self.now() | {"port": 1}, "snp_trusted", "A" * 43)


class Silent(Changed):
    def info(self) -> Wire | None:
        return None


class Unsigned(Changed):
    def info(self) -> Wire | None:
        return [("port", "1")], b""


SHOWN: dict[type[Changed], str] = {
    Changed: "",
    Respelled: "",
    Linked: "differs from the attested one in port",
    Retuned: "differs from the attested one in operator, port, snp-trusted",
    Large: "differs from the attested one in "
    + ", ".join(f"k{number:02}" for number in range(16))
    + " and 4 more",
    Silent: "unknown: the node does not report it",
    Unsigned: "unknown: the answer is not signed",
}


@pytest.mark.parametrize("kind", SHOWN, ids=lambda kind: kind.__name__)
def test_the_configuration_now(
    command: Command, generate_node: SimulatedNode, kind: type[Changed]
) -> None:
    with kind(generate_node.wallet, generate_node.line).served() as url:
        said = command(url, *command.collateral, *command.policy)
        value = command(url, *command.collateral, *command.policy, "--json").value
    assert (said.code, said.err) == (0, "")
    assert value.get("configuration_now", "") == SHOWN[kind]
    lines = [line for line in said.out.splitlines() if line.startswith("Configuration now: ")]
    assert lines == ([f"Configuration now: {SHOWN[kind]}"] if SHOWN[kind] else [])


def test_a_kept_answer_tells_nothing_of_now(command: Command, generate_node: SimulatedNode) -> None:
    kept = str(command.folder / "kept.json")
    with Retuned(generate_node.wallet, generate_node.line).served() as url:
        assert command(url, *command.collateral, *command.policy, "--save", kept).code == 0
    said = command(kept, *command.collateral, *command.policy)
    assert said.code == 0 and "Configuration now" not in said.out


def test_a_configuration_that_another_key_signed_is_not_compared(
    command: Command, generate_node: SimulatedNode, attacker: Wallet
) -> None:
    class Mixed(Changed):
        def info(self) -> Wire | None:
            return self.but(signer=attacker).sign(self.now() | {"port": 2})

    with Mixed(generate_node.wallet, generate_node.line).served() as url:
        said = command(url, *command.collateral, *command.policy)
    assert said.code == 0
    assert "Configuration now: unknown: another key signed it than the evidence" in said.out


def test_without_an_attested_configuration_nothing_is_compared(
    command: Command, generate_node: SimulatedNode
) -> None:
    values = {"report_data": generate_node.report_data[:32] + bytes(32)}
    with Retuned(generate_node.wallet, generate_node.line, report_values=values).served() as url:
        said = command(url, *command.collateral, *command.policy)
    assert said.code == 1 and "Configuration now" not in said.out
