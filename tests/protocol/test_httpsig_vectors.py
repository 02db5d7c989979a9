"""Messages and exchanges recorded from HyperBEAM and aoconnect, byte by byte."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from aoshell.errors import AoError
from aoshell.protocol import nested, wire
from aoshell.protocol.commitment import (
    CURRENT,
    HMAC,
    INPUT,
    RSA,
    SIGNATURE,
    Commitment,
    read_commitments,
    write_commitments,
)
from aoshell.protocol.httpsig import SignatureError, SignatureStatus, check, verify
from aoshell.protocol.itemcommitment import signs_item
from aoshell.protocol.jsonform import from_json
from aoshell.protocol.message import text
from aoshell.protocol.rebuild import Rebuilder, unsigned
from aoshell.protocol.signing import unsigned_id
from aoshell.protocol.structured import Atom, Value, from_tabm, to_tabm
from aoshell.protocol.tabm import COMMITMENTS, Tabm, flatten, to_json

MESSAGES = (
    *("ao-message", "big-header", "body", "bool-atom", "content-type", "data-newlines", "flat"),
    *("int", "list-maps", "list-mixed", "list-strings", "map-deep", "map-types", "map", "no-data"),
    *("odd-bytes-data", "upper-keys"),
)
# No answer is without a signature. One of them lost the space its prompt ends in on the way.
EXCHANGES = {
    name: SignatureStatus.BAD if name == "now-results-output" else SignatureStatus.VERIFIED
    for name in (
        *("aoconnect-spawn-ans104", "compute-results-json", "compute-results-output-data"),
        *("compute-results", "compute-slot", "meta-address", "meta-info-json"),
        *("now-results-output", "push-message", "push-slot", "schedule-eval", "schedule-get-aos2"),
        *("schedule-get", "slot-current", "spawn-schedule", "wasm-compute-results-json-2"),
        *("wasm-compute-results-json", "wasm-compute-results", "wasm-now-results"),
        *("wasm-schedule-eval", "wasm-spawn"),
    )
}
NODE = "pH0bzhB45TmbnN2NsVqjbjPYT6KS_N3JFtswz0ElmKc"
CLIENT = "39zR5Dpn13gg9YUD2MO2qgBuYR_aV-IwTNPqpgDpLvM"


def test_every_vector_is_known(shared: Path) -> None:
    for folder, known in (("messages", MESSAGES), ("hyperbeam", tuple(EXCHANGES))):
        there = {path.stem for path in (shared / "vectors" / folder).glob("*.json")}
        assert there == set(known)


@pytest.fixture(params=MESSAGES)
def vector(request: pytest.FixtureRequest, shared: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(
        (shared / "vectors/messages" / f"{request.param}.json").read_bytes()
    )
    return found


def plain(value: Any) -> Any:
    """A value as the vectors write it, as a rich value."""
    match value:
        case {"__float": number}:
            return float(number)
        case {"__atom": name}:
            return None if name == "null" else Atom(name)
        case {"__b64": encoded}:
            return text(base64.b64decode(encoded))
        case {"__list": items}:
            return [plain(items[str(number)]) for number in range(1, len(items) + 1)]
        case dict():
            return {key: plain(member) for key, member in value.items()}
    return value


def sent(form: dict[str, Any]) -> tuple[dict[str, str], bytes]:
    return form["headers"], base64.b64decode(form["body_b64"])


@pytest.mark.versions
def test_the_same_bytes_and_ids(vector: dict[str, Any]) -> None:
    message = plain(vector["message"])
    tabm = to_tabm(message)
    linked, _ = Rebuilder().link(tabm)
    assert linked == plain(vector["tabm"])
    assert flatten(linked) == plain(vector["flat"])
    for form, encoded in (("unsigned_wire", linked), ("unsigned_wire_bundle", tabm)):
        fields, body = wire.encode(encoded)
        assert (fields, body or b"") == sent(vector[form])
        assert wire.decode(*sent(vector[form]))[0] == encoded
    assert {unsigned_id(message)} == set(vector["unsigned_ids"].values())
    expected = {key.lower(): value for key, value in message.items()}
    assert from_tabm(tabm) == expected


def forms(vector: dict[str, Any]) -> Iterator[tuple[bool, dict[str, Any], dict[str, Any]]]:
    plain_, bundled = vector["httpsig"], vector["httpsig_bundled_commit"]
    yield False, plain_, plain_["wire"]
    yield False, plain_, plain_["wire_bundle"]
    yield True, bundled, bundled["wire"]


@pytest.mark.versions
def test_every_signature_verifies(vector: dict[str, Any]) -> None:
    assert vector["committer"] == CLIENT
    for _, commits, form in forms(vector):
        commitments = verify(*sent(form))
        assert {one.id: nested.to_map(one) for one in commitments} == commits["commitments"]
        signer = next(one for one in commitments if one.alg == RSA)
        assert (signer.id, signer.committer) == (commits["ids"]["signed"], CLIENT)
        assert {one.id for one in commitments if one.alg == HMAC} == {commits["ids"]["none"]}
        checked = check(*sent(form))
        assert (checked.outcome, checked.committers) == (SignatureStatus.VERIFIED, (CLIENT,))
        assert checked.verified == checked.message


def test_the_values_that_come_out_are_those_that_went_in(vector: dict[str, Any]) -> None:
    message = plain(vector["message"])
    checked = check(*sent(vector["httpsig"]["wire_bundle"]))
    assert checked.verified == {key.lower(): value for key, value in message.items()}


def test_with_the_same_signature_the_same_bytes_go_out(vector: dict[str, Any]) -> None:
    tabm = to_tabm(plain(vector["message"]))
    linked, _ = Rebuilder().link(tabm)
    for bundle, commits, form in forms(vector):
        hmac = unsigned(tabm if bundle else linked, bundle=bundle)
        assert hmac.id == commits["ids"]["none"]
        recorded = next(
            base64.urlsafe_b64decode(one["signature"] + "==")
            for one in commits["commitments"].values()
            if one["type"] == RSA
        )
        keyid = next(one["keyid"] for one in commits["commitments"].values() if "committer" in one)
        signer = replace(hmac, alg=RSA, keyid=keyid, committer=CLIENT).signed(recorded)
        in_place = bundle or form is commits.get("wire_bundle")
        fields, body = wire.encode(tabm if in_place else linked)
        headers, recorded_body = sent(form)
        assert fields | write_commitments([hmac, signer]) == headers
        assert (body or b"") == recorded_body


def test_the_json_form(vector: dict[str, Any]) -> None:
    if vector["label"] == "odd-bytes-data":
        assert vector["json"] == "error"
        with pytest.raises(AoError, match="UTF-8 only"):
            to_json(to_tabm(plain(vector["message"])))
        return
    commitments = verify(*sent(vector["httpsig"]["wire"]))
    kept: Tabm = {one.id: nested.to_map(one) for one in commitments}
    linked, _ = Rebuilder().link(to_tabm(plain(vector["message"])))
    assert to_json(linked | {COMMITMENTS: kept}).decode() == vector["json"]
    read = nested.nested_commitments({COMMITMENTS: kept})
    assert {one.id: nested.to_map(one) for one, _ in read} == kept


def test_commitments_as_data_items_verify(vector: dict[str, Any]) -> None:
    tabm, _ = Rebuilder().link(to_tabm(plain(vector["message"])))
    kept = vector["ans104"]["commitments"]
    [(one, source)] = nested.nested_commitments({COMMITMENTS: kept})
    assert one.id == vector["ans104"]["ids"]["signed"]
    assert one.committer == CLIENT
    if vector["label"] == "big-header":  # an item in an item, as no tag is that long
        assert signs_item(one, source, tabm) is None
        return
    assert signs_item(one, source, tabm) == tabm
    for key in tabm:
        assert signs_item(one, source, tabm | {key: "changed"}) is None


@pytest.fixture(params=EXCHANGES)
def exchange(request: pytest.FixtureRequest, shared: Path) -> dict[str, Any]:
    path = shared / "vectors/hyperbeam" / f"{request.param}.json"
    return {**json.loads(path.read_bytes()), "name": request.param}


def recorded(half: dict[str, Any]) -> tuple[list[tuple[str, str]], bytes]:
    encoded, headers = half.get("body_b64"), [(name, value) for name, value in half["headers"]]
    body = base64.b64decode(encoded) if encoded else half.get("body_text", "").encode()
    return headers, body


def test_every_recorded_answer_is_classified(exchange: dict[str, Any]) -> None:
    checked = check(*recorded(exchange["response"]))
    assert checked.outcome is EXCHANGES[exchange["name"]], checked.failure
    if checked.outcome is SignatureStatus.VERIFIED:
        assert checked.committers == (NODE,)
        # What is not signed was put there by the server on the way out.
        left = checked.message.keys() - checked.verified.keys()
        assert {key for key in left if not key.startswith("access-control-")} <= {"status"}


def test_every_recorded_request_is_classified(exchange: dict[str, Any]) -> None:
    headers, body = recorded(exchange["request"])
    checked = check(headers, body)
    if SIGNATURE not in dict(headers):
        assert checked.outcome is SignatureStatus.UNSIGNED and not checked.commitments
        return
    assert (checked.outcome, checked.committers) == (SignatureStatus.VERIFIED, (CLIENT,))
    assert checked.verified["method"] == "POST"
    assert str(checked.verified["path"]) in exchange["request"]["line"]


@pytest.mark.parametrize(
    "name",
    ["push-message", "schedule-eval", "spawn-schedule", "wasm-schedule-eval", "wasm-spawn"],
)
def test_signed_requests_are_written_as_they_were_recorded(shared: Path, name: str) -> None:
    path = shared / "vectors/hyperbeam" / f"{name}.json"
    headers, body = recorded(json.loads(path.read_bytes())["request"])
    fields = wire.join(headers)
    inner = wire.decode(fields, body)[0]["body"]
    assert isinstance(inner, dict)
    commitments = [one for one, _ in nested.nested_commitments(inner)]
    bare = {key: value for key, value in inner.items() if key != COMMITMENTS}
    carried = nested.carry(bare, commitments, lambda keys: unsigned(keys).id)
    encoded, encoded_body = wire.encode({"body": carried, "method": "POST", "path": fields["path"]})
    assert encoded_body == body
    assert encoded.items() <= fields.items()


def test_a_space_lost_at_the_edge_of_a_header_is_said(shared: Path) -> None:
    response = json.loads((shared / "vectors/hyperbeam/now-results-output.json").read_bytes())[
        "response"
    ]
    headers, body = recorded(response)
    failure = check(headers, body).failure
    assert isinstance(failure, SignatureError)
    assert b'"prompt": aos>\n' in failure.base
    assert "spaces at the edges" in failure.hint
    restored = [(name, value + " " if name == "prompt" else value) for name, value in headers]
    assert check(restored, body).outcome is SignatureStatus.VERIFIED


def test_answers_say_what_was_computed(shared: Path) -> None:
    def verified(name: str) -> Any:
        path = shared / "vectors/hyperbeam" / f"{name}.json"
        return check(*recorded(json.loads(path.read_bytes())["response"])).verified

    def same(value: Value, expected: object) -> None:
        assert value == expected

    same(verified("slot-current")["body"], 2)
    same(verified("compute-results")["output"], {"data": "2", "prompt": "aos> "})
    same(verified("compute-results")["outbox"], [])
    same(verified("wasm-compute-results")["wasm"], {"output": [9557000], "type": Atom("ok")})
    same(verified("schedule-eval")["slot"], 2)
    same(verified("aoconnect-spawn-ans104")["body"]["data"], "1984")
    same("path" in verified("aoconnect-spawn-ans104")["body"], False)  # its item has no such tag
    same(len(verified("schedule-get")["assignments"]), 4)


def aoconnect(shared: Path) -> Iterator[tuple[dict[str, str], Commitment]]:
    for name in ("mainnet-aoconnect", "mainnet-dumb"):
        for each in json.loads((shared / f"vectors/clients/{name}.json").read_bytes()):
            headers = each["reqHeaders"]
            for one in read_commitments(headers):
                yield headers, one


def test_requests_of_aoconnect_verify(shared: Path) -> None:
    found = list(aoconnect(shared))
    assert len(found) == 3
    for headers, one in found:
        if "content-digest" in (one.components or ()):  # its body was not recorded
            assert "not the one" in str(check(headers, b"").failure)
            continue
        checked = check(headers, b"")
        assert checked.outcome is SignatureStatus.VERIFIED, checked.failure
        assert checked.committers == (one.committer,)
        assert checked.verified["signing-format"] == "httpsig"
        assert one.components == checked.commitments[0].committed
        assert not INPUT.startswith(one.profile.label)


def test_ids_of_what_a_node_wrote(shared: Path) -> None:
    """Integers of 19 digits, atoms, maps in maps: real maps, each beside its id in JSON."""
    path = shared / "measurement" / "lapee-0.4-swtpm-core.json"
    sample = json.loads(path.read_bytes())
    maps = [*sample["runtime-event-log"], sample["tpm-properties"], sample["ek-cert-source"]]
    for one in (*maps, sample["tpm-quote"]["pcr-values"]):
        assert [unsigned_id(from_tabm(from_json(one)), CURRENT)] == [*one["commitments"]]


def test_a_map_may_have_a_key_that_names_a_header_of_signatures() -> None:
    inner: dict[str, Value] = {"signature": "x", "signature-input": "y"}
    assert unsigned_id({"quote": inner}, CURRENT) != unsigned_id({"quote": {}}, CURRENT)
    with pytest.raises(AoError, match="belongs to the codec"):
        unsigned_id(inner, CURRENT)
