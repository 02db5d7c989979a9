from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from hypothesis import given, settings
from hypothesis import strategies as st

from aoshell.errors import AoError
from aoshell.protocol import wallet as module
from aoshell.protocol.encoding import b64url, unb64url
from aoshell.protocol.wallet import Wallet, address_of, verify


def jwk_of(key: rsa.RSAPrivateKey) -> dict[str, str]:
    """A JWK by hand, so that `Wallet.jwk()` is not its own measure."""
    private = key.private_numbers()
    public = private.public_numbers
    numbers = {
        **{"n": public.n, "e": public.e, "d": private.d, "p": private.p, "q": private.q},
        **{"dp": private.dmp1, "dq": private.dmq1, "qi": private.iqmp},
    }
    octets = {k: v.to_bytes((v.bit_length() + 7) // 8, "big") for k, v in numbers.items()}
    return {"kty": "RSA"} | {name: b64url(value) for name, value in octets.items()}


@pytest.fixture(scope="module")
def small() -> dict[str, str]:
    return jwk_of(rsa.generate_private_key(public_exponent=65537, key_size=2048))


def test_generated_wallet(wallet: Wallet) -> None:
    assert len(wallet.owner) == 512
    assert wallet.owner[0] >= 0x80
    assert len(wallet.address) == 43
    assert wallet.jwk()["e"] == "AQAB"


def test_jwk_round_trip(wallet: Wallet) -> None:
    again = Wallet.from_jwk(json.loads(json.dumps(wallet.jwk())))
    assert again.jwk() == wallet.jwk()
    assert again.address == wallet.address
    assert verify(wallet.owner, b"message", again.sign(b"message"))


def test_a_smaller_wallet_is_read(small: dict[str, str]) -> None:
    wallet = Wallet.from_jwk(small | {"kid": "ignored"})
    assert wallet.jwk() == small
    assert wallet.owner == unb64url(small["n"])
    assert verify(wallet.owner, b"", wallet.sign(b""))


def test_the_secret_is_not_shown(small: dict[str, str]) -> None:
    assert repr(Wallet.from_jwk(small)) == "Wallet()"


@pytest.mark.parametrize("salt", [0, 20, 32, 222])
def test_any_salt_length_verifies(small: dict[str, str], salt: int) -> None:
    wallet = Wallet.from_jwk(small)
    pss = padding.PSS(padding.MGF1(hashes.SHA256()), salt)
    signature = wallet._key.sign(b"message", pss, hashes.SHA256())
    assert verify(wallet.owner, b"message", signature)


def test_our_salt_has_32_bytes(small: dict[str, str]) -> None:
    wallet = Wallet.from_jwk(small)
    pss = padding.PSS(padding.MGF1(hashes.SHA256()), 32)
    signature = wallet.sign(b"message")
    wallet._key.public_key().verify(signature, b"message", pss, hashes.SHA256())
    assert signature != wallet.sign(b"message")


def test_a_wrong_signature_is_false(small: dict[str, str]) -> None:
    wallet = Wallet.from_jwk(small)
    signature = wallet.sign(b"message")
    assert not verify(wallet.owner, b"another", signature)
    assert not verify(wallet.owner, b"message", signature[:-1])
    assert not verify(wallet.owner, b"message", bytes(len(signature)))
    assert not verify(wallet.owner[:-1] + bytes([wallet.owner[-1] ^ 2]), b"message", signature)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=1030), st.binary(max_size=20), st.binary(max_size=520))
def test_verify_never_raises(owner: bytes, message: bytes, signature: bytes) -> None:
    assert verify(owner, message, signature) is False


@pytest.mark.parametrize("owner", [b"", bytes(512), b"\xff" * 512, b"\xff" * 5000, b"\x80" * 512])
def test_an_owner_that_is_no_modulus_verifies_nothing(owner: bytes) -> None:
    assert verify(owner, b"message", b"\1" * 512) is False


@pytest.mark.parametrize("value", [None, [], "text", 7, {}, {"kty": "EC"}, {"kty": "RSA"}])
def test_a_value_that_is_no_jwk(value: object) -> None:
    with pytest.raises(AoError) as caught:
        Wallet.from_jwk(value)
    assert caught.value.stage == "wallet"
    assert "kty, n, e, d" in caught.value.hint


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"d": None}, "public key only"),
        ({"qi": None}, "'qi' is missing"),
        ({"p": 7}, "'p' is no base64url"),
        ({"p": ""}, "'p' is no base64url"),
        ({"p": "ÄÖ"}, "'p' is no base64url"),
        ({"p": "a b="}, "'p' is no base64url"),
        ({"e": "Aw"}, "exponent"),
        ({"n": "AQAB"}, "17 bits"),
        ({"n": "_" * 1500}, "9000 bits"),
        ({"q": "AQ", "p": "AQ"}, "damaged"),
        *(({name: "AQAB"}, "damaged") for name in ("d", "p", "q", "dp", "dq", "qi")),
    ],
)
def test_a_damaged_jwk(small: dict[str, str], change: dict[str, Any], what: str) -> None:
    jwk = {k: v for k, v in (small | change).items() if v is not None}
    with pytest.raises(AoError) as caught:
        Wallet.from_jwk(jwk)
    assert what in caught.value.what
    assert small["n"] not in str(caught.value)


@given(st.binary(max_size=70))
def test_base64url_round_trip(raw: bytes) -> None:
    assert unb64url(b64url(raw)) == raw


@pytest.mark.parametrize("text", ["A", "AB", "AA=", "AA==", "A+/A", "AA\n", "A A", "é", "\udcff"])
def test_one_value_has_one_text(text: str) -> None:
    with pytest.raises(ValueError):
        unb64url(text)


def test_address_is_the_digest_of_the_modulus() -> None:
    assert address_of(b"") == "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU"


def test_cryptography_is_not_imported_before_it_is_needed() -> None:
    code = (
        "import aoshell.protocol.ans104, aoshell.home.folders, sys;"
        "print('cryptography' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"


def test_numbers_that_do_not_belong_together(small: dict[str, str]) -> None:
    """Each is wrong in one way only, and no other check sees it."""
    good = {
        name: int.from_bytes(unb64url(text), "big") for name, text in small.items() if name != "kty"
    }
    p, q, d = good["p"], good["q"], good["d"] + 2
    for wrong in (
        {"n": good["n"] + 2},
        {"p": 1, "q": good["n"]},
        {"p": good["n"], "q": 1},
        {"d": d, "dp": d % (p - 1), "dq": d % (q - 1)},
        {"dp": good["dp"] + 2},
        {"dq": good["dq"] + 2},
        {"qi": good["qi"] + 2},
        {"qi": good["qi"] + p},
    ):
        numbers = good | wrong
        octets = {
            name: one.to_bytes((one.bit_length() + 7) // 8, "big") for name, one in numbers.items()
        }
        with pytest.raises(AoError, match="belong together"):
            Wallet.from_jwk({"kty": "RSA"} | {name: b64url(raw) for name, raw in octets.items()})


def test_a_key_that_takes_long_to_verify_verifies_nothing(
    wallet: Wallet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever signs chooses the key, and so how long that takes."""
    signature = wallet.sign(b"x")
    monkeypatch.setattr(module, "LARGEST_BITS", 4096)
    assert verify(wallet.owner, b"x", signature)
    monkeypatch.setattr(module, "LARGEST_BITS", 4095)
    assert not verify(wallet.owner, b"x", signature)
