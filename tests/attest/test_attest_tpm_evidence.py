"""The evidence map of an envelope: each member that is missing, of another type or too large."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from simulated_tpm import NEWER, SimulatedTpm

from aoshell.attest.errors import EvidenceError
from aoshell.attest.tpm.evidence import (
    LONGEST_PEM,
    MOST_EVENTS,
    read_key_forms,
    read_policy_pcrs,
    read_tpm_evidence,
)
from aoshell.protocol.encoding import b64url

NONCE = bytes(range(32))
Make = Callable[..., SimulatedTpm]


@pytest.fixture(scope="module")
def whole(make_tpm: Make) -> dict[str, Any]:
    return make_tpm().evidence(NONCE)


def refused(members: Any, read: Callable[..., Any] = read_tpm_evidence) -> str:
    with pytest.raises(EvidenceError) as raised:
        read(members)
    assert raised.value.error == "ENVELOPE_SHAPE"
    return raised.value.what


def test_all_that_is_read(tpm: SimulatedTpm) -> None:
    members = tpm.evidence(NONCE)
    found = read_tpm_evidence(members | {"commitments": {}, "ao-types": "x", "signals": {"a": 1}})
    assert (found.subject, found.extended_pcr, found.hierarchy) == (tpm.body_id, 15, "endorsement")
    assert found.ek.public[2:] == tpm.ek_area.raw and found.ak.public[2:] == tpm.ak_area.raw
    assert (found.ak.name, found.ek.name) == (tpm.ak_area.name, tpm.ek_area.name)
    assert found.quote.selection == NEWER and found.quote.values == tpm.quoted_values
    assert (found.quote.nonce, len(found.quote.signature)) == (NONCE, 256)
    assert found.log == tpm.raw_log
    assert [one.digest for one in found.runtime] == [digest for _, digest in tpm.runtime]
    assert found.manufacturer == 0x1014
    assert read_policy_pcrs(tpm.recipient()["binding"]) == NEWER
    assert read_key_forms(tpm.recipient(), "ak", "secret-recipient") == found.ak


def test_other_ways_to_write_the_same(whole: dict[str, Any]) -> None:
    """Lists as maps with numbers, values as bytes."""
    found = read_tpm_evidence(whole)
    events = {str(at): one for at, one in enumerate(whole["runtime-event-log"], 1)}
    selection = {str(at): pcr for at, pcr in enumerate(NEWER, 1)} | {"ao-types": "x"}
    quote = whole["quote"] | {"pcr-selection": selection, "quoted": found.quote.quoted}
    log = {"tcg-event-log": found.log, "runtime-event-log": events, "quote": quote}
    assert read_tpm_evidence(whole | log) == found


def test_what_may_be_missing(whole: dict[str, Any]) -> None:
    optional = (
        *("ek-cert-pem", "ek-cert-chain-pem", "ek-cert-source", "tpm-properties"),
        *("tcg-event-log", "tcg-event-log-length-bytes", "tcg-event-log-format"),
        "extended-subject-digest",
    )
    found = read_tpm_evidence({key: one for key, one in whole.items() if key not in optional})
    assert (found.ek_certificate, found.ek_chain) == ("", "")
    assert (found.manufacturer, found.log) == (0, None)
    empty = {"tcg-event-log": "", "tcg-event-log-length-bytes": 0, "tcg-event-log-format": "empty"}
    assert read_tpm_evidence(whole | empty).log is None


REQUIRED = (
    *("extended-subject", "extended-pcr", "ak-hierarchy", "quote", "runtime-event-log"),
    *(f"{key}-{form}" for key in ("ek", "ak") for form in
      ("pub-pem", "public", "name", "qualified-name")),
)  # fmt: skip


@pytest.mark.parametrize("name", REQUIRED)
def test_what_may_not(whole: dict[str, Any], name: str) -> None:
    what = refused({key: one for key, one in whole.items() if key != name})
    assert name in what and "is missing" in what
    for value in (None, 1.5, True, -1, 1 << 63, ["x"], "\ud800", "not base64url!"):
        if not (isinstance(value, str) and name in ("ak-hierarchy", "ek-pub-pem", "ak-pub-pem")):
            refused(whole | {name: value})


@pytest.mark.parametrize("name", ["pcr-selection", "nonce", "quoted", "signature", "pcr-values"])
def test_members_of_a_quote(whole: dict[str, Any], name: str) -> None:
    quote = whole["quote"]
    assert name in refused(whole | {"quote": {k: v for k, v in quote.items() if k != name}})
    for value in (None, 7, True, "A", "AA==", [True], ["0"], [24], [-1], [0, 0]):
        refused(whole | {"quote": quote | {name: value}})
    refused(whole | {"quote": quote | {"pcr-values": {"0": b64url(bytes(31))}}})
    refused(whole | {"quote": quote | {"pcr-values": {"0": b64url(bytes(33))}}})


@pytest.mark.parametrize("name", ["seq", "pcr", "event-type", "digest"])
def test_members_of_an_event(whole: dict[str, Any], name: str) -> None:
    good = whole["runtime-event-log"][0]
    wrong: list[Any] = [None, True, -1, "A" * 300, [], {}]
    for event in (
        {key: one for key, one in good.items() if key != name},
        *(good | {name: value} for value in wrong),
        *("text", 5, None),
    ):
        refused(whole | {"runtime-event-log": [event]})
    refused(whole | {"runtime-event-log": [good] * (MOST_EVENTS + 1)})
    refused(whole | {"runtime-event-log": {"2": good}})
    refused(whole | {"runtime-event-log": "text"})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ek-pub-pem", "x" * (LONGEST_PEM + 1)),
        ("ek-cert-pem", "x" * ((16 << 10) + 1)),
        ("ek-cert-chain-pem", "x" * ((128 << 10) + 1)),
        ("ek-public", b64url(bytes(2051))),
        ("ek-public", "A" * (1 << 20)),
        ("ak-name", bytes(67)),
        ("extended-subject", b64url(bytes(31))),
        ("extended-subject", b64url(bytes(33))),
        ("extended-subject-digest", b64url(bytes(32))),
        ("tcg-event-log-length-bytes", 1),
        ("tcg-event-log", "A" * ((16 << 20) * 4 // 3 + 8)),
        ("tcg-event-log", bytes((16 << 20) + 1)),
        ("tpm-properties", "text"),
        ("tpm-properties", {"manufacturer-u32": "text"}),
    ],
)
def test_values_that_are_refused(whole: dict[str, Any], name: str, value: Any) -> None:
    refused(whole | {name: value})


def test_other_maps(tpm: SimulatedTpm) -> None:
    recipient = tpm.recipient()
    for binding in ({}, {"policy-pcrs": "0"}, {"policy-pcrs": [0, 0]}, {"policy-pcrs": [24]}):
        refused(binding, read_policy_pcrs)
    del recipient["ek-name"]
    assert "secret-recipient" in refused(
        recipient, lambda members: read_key_forms(members, "ek", "secret-recipient")
    )


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(), max_size=8)
    | st.binary(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["1", "2", "pcr", "seq", "kind", "nonce"]), inner)
    ),
    max_leaves=6,
)


@given(data=st.data())
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_anything(whole: dict[str, Any], data: st.DataObject) -> None:
    members = copy.deepcopy(whole)
    places = [members, members["quote"], members["runtime-event-log"][0]]
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.sampled_from(places))
        place[data.draw(st.sampled_from([*place]))] = data.draw(VALUES)
    try:
        read_tpm_evidence(members)
    except EvidenceError as error:
        assert error.error == "ENVELOPE_SHAPE"
