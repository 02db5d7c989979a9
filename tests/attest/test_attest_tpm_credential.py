"""The exchange of a secret: what only the right TPM can open, and proofs that are none."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st
from simulated_tpm import SimulatedTpm, activate

from aoshell.attest.errors import EvidenceError
from aoshell.attest.tpm.credential import (
    ActivationAnswer,
    Credential,
    check_activation,
    make_credential,
    proof_text,
    read_activation,
)
from aoshell.protocol.encoding import b64url

CHALLENGE = bytes(range(32))
Make = Callable[..., SimulatedTpm]


@pytest.mark.parametrize(
    ("template", "curve"),
    [
        ("L-1", None),
        ("H-1", None),
        ("L-2", ec.SECP256R1()),
        ("H-3", ec.SECP384R1()),
        ("H-4", ec.SECP521R1()),
    ],
)
@pytest.mark.parametrize("size", [1, 16, 31, 32])
def test_the_right_tpm_opens_it(make_tpm: Make, template: str, curve: Any, size: int) -> None:
    key = {"ek_key": ec.generate_private_key(curve)} if curve else {}
    tpm = make_tpm(template=template, **key)
    credential = make_credential(tpm.ek_area, tpm.ak_area.name, CHALLENGE[:size])
    assert tpm.activate(credential) == CHALLENGE[:size]
    again = make_credential(tpm.ek_area, tpm.ak_area.name, CHALLENGE[:size])
    assert again.blob != credential.blob and again.secret != credential.secret


def test_another_key_does_not(tpm: SimulatedTpm) -> None:
    credential = make_credential(tpm.ek_area, tpm.ak_area.name, CHALLENGE)
    assert activate(tpm.ek_key, tpm.ek_area, tpm.ek_area.name, credential) is None
    for at in range(2, len(credential.blob)):
        blob = bytearray(credential.blob)
        blob[at] ^= 1
        assert tpm.activate(Credential(bytes(blob), credential.secret)) != CHALLENGE


@pytest.mark.parametrize("challenge", [b"", bytes(33)])
def test_the_size_of_a_challenge(tpm: SimulatedTpm, challenge: bytes) -> None:
    with pytest.raises(ValueError, match="1 to 32 bytes"):
        make_credential(tpm.ek_area, tpm.ak_area.name, challenge)


@pytest.mark.parametrize("symmetric", [None, (0x13, 128, 0x43), (6, 128, 0x42)])
def test_a_key_that_protects_otherwise(tpm: SimulatedTpm, symmetric: Any) -> None:
    with pytest.raises(EvidenceError) as raised:
        make_credential(replace(tpm.ek_area, symmetric=symmetric), tpm.ak_area.name, CHALLENGE)
    assert raised.value.error == "EK_TEMPLATE"


def answer(tpm: SimulatedTpm, credential: Credential, **wrong: Any) -> dict[str, Any]:
    """What a node answers. `wrong` is changed before the proof is made."""
    opened = tpm.activate(credential) or bytes(32)
    members = {
        "type": "lapee-tpm-credential-activation",
        "version": "1.0",
        "issued-at-unix": 1_790_000_000,
        "ak-name": b64url(tpm.ak_area.name),
        "credential-secret-sha256": b64url(hashlib.sha256(opened).digest()),
        "proof-alg": "HMAC-SHA256",
        "credential-secret-proof": "",
    } | wrong
    text = proof_text(read_activation(members), credential)
    return members | {"credential-secret-proof": b64url(hmac.digest(opened, text, "sha256"))}


@pytest.fixture
def credential(tpm: SimulatedTpm) -> Credential:
    return make_credential(tpm.ek_area, tpm.ak_area.name, CHALLENGE)


def check(tpm: SimulatedTpm, credential: Credential, members: dict[str, Any]) -> None:
    check_activation(read_activation(members), credential, tpm.ak_area.name, CHALLENGE)


def test_a_proof_that_passes(tpm: SimulatedTpm, credential: Credential) -> None:
    members = answer(tpm, credential)
    check(tpm, credential, members | {"commitments": {}, "more": 1})
    assert proof_text(read_activation(members), credential).decode().split("\n") == [
        "lapee-tpm-credential-activation-v1",
        "type:lapee-tpm-credential-activation",
        "version:1.0",
        "proof-alg:HMAC-SHA256",
        f"ak-name:{b64url(tpm.ak_area.name)}",
        "issued-at-unix:1790000000",
        f"credential-blob:{b64url(credential.blob)}",
        f"secret:{b64url(credential.secret)}",
    ]


@pytest.mark.parametrize(
    ("error", "wrong"),
    [
        ("ACTIVATION_SHAPE", {"type": "lapee-secret-activation"}),
        ("ACTIVATION_SHAPE", {"version": "1.1"}),
        ("ACTIVATION_SHAPE", {"proof-alg": "none"}),
        ("ACTIVATION_PROOF", {"ak-name": b64url(bytes(34))}),
        ("ACTIVATION_PROOF", {"ak-name": ""}),
        ("ACTIVATION_PROOF", {"credential-secret-sha256": b64url(bytes(32))}),
    ],
)
def test_another_answer(
    tpm: SimulatedTpm, credential: Credential, error: str, wrong: dict[str, Any]
) -> None:
    with pytest.raises(EvidenceError) as raised:
        check(tpm, credential, answer(tpm, credential, **wrong))
    assert raised.value.error == error


def test_edited_proofs(make_tpm: Make, tpm: SimulatedTpm, credential: Credential) -> None:
    good = answer(tpm, credential)
    proof = good["credential-secret-proof"]
    other = make_credential(tpm.ek_area, tpm.ak_area.name, CHALLENGE)
    stranger = make_tpm(ek_key=ec.generate_private_key(ec.SECP256R1()), template="L-2")
    for members in (
        good | {"credential-secret-proof": ""},
        good | {"credential-secret-proof": proof[:-1]},
        good | {"credential-secret-proof": proof + "="},
        good | {"credential-secret-proof": b64url(bytes(32))},
        good | {"issued-at-unix": good["issued-at-unix"] + 1},
        answer(tpm, other),  # the same challenge, wrapped once more
        answer(tpm, make_credential(tpm.ek_area, tpm.ak_area.name, bytes(32))),
        answer(stranger, make_credential(stranger.ek_area, stranger.ak_area.name, CHALLENGE)),
    ):
        with pytest.raises(EvidenceError) as raised:
            check(tpm, credential, members)
        assert raised.value.error == "ACTIVATION_PROOF"


MEMBERS = (
    *("type", "version", "issued-at-unix", "ak-name"),
    *("credential-secret-sha256", "proof-alg", "credential-secret-proof"),
)
GOOD = dict.fromkeys(MEMBERS, "text") | {"issued-at-unix": 1}
VALUES = st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.binary(max_size=3)


@pytest.mark.parametrize("name", MEMBERS)
def test_members_of_an_activation(name: str) -> None:
    assert isinstance(read_activation(GOOD), ActivationAnswer)
    wrong: list[Any] = [None, 1.5, b"text", ["text"], {}, True]
    wrong += [-1, 1 << 63, "1"] if name == "issued-at-unix" else [5, "x" * 2049, "é", "\ud800"]
    for members in (
        {key: value for key, value in GOOD.items() if key != name},
        *(GOOD | {name: value} for value in wrong),
    ):
        with pytest.raises(EvidenceError) as raised:
            read_activation(members)
        assert raised.value.error == "ACTIVATION_SHAPE"


@given(changed=st.dictionaries(st.sampled_from(MEMBERS), VALUES))
def test_any_activation(changed: dict[str, Any]) -> None:
    try:
        activation = read_activation(GOOD | changed)
        check_activation(activation, Credential(b"", b""), b"", CHALLENGE)
    except EvidenceError as error:
        assert error.error in ("ACTIVATION_SHAPE", "ACTIVATION_PROOF")
    else:
        pytest.fail("it passes")
