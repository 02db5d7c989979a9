"""Each kind of key, against signatures of another implementation and against signers made here."""

from __future__ import annotations

import base64
import hashlib
import subprocess
import sys

import pytest
from Crypto.Hash import keccak
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st
from signers import Ed25519, Ethereum, N, Solana

from aoshell.protocol.ans104 import DataItem
from aoshell.protocol.encoding import b64url
from aoshell.protocol.keys import KINDS, REFUSED, Signer, ethereum_address
from aoshell.protocol.message import tags_of

P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493  # of ed25519's group


# Signed by the JavaScript library of the network, with the ed25519 key 00 01 02 … 1f and the first
# key of Ethereum's usual test mnemonic, which `Ethereum` has, too.
KNOWN = [
    (
        "A0oIV_6OJKP5jifAjfXZujhqmXX_A_5av4TcHXrM_k4",
        "Vkdap1RjR0wChd9dvyvKtz2mUTWIOem3dIGy6rEHcIw",
        "AgCDFSg8kSYbBYRym02Zv32LalHEeluhC6j4eAnmUIWRN5F/NzLmClkhaB3/Jjs/g4Xbw7BnIqymSKBG2uMJFqYE"
        "A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbgBAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8A"
        "AQAAAAAAAAAOAAAAAAAAAAIMQWN0aW9uCEV2YWwAMSArIDE=",
    ),
    (
        "NWNvFZD5gI_vJUe0bVFKc5jxOMz2XlAZA-M3T2hZKpk",
        "0x90F8bf6A479f320ead074411a4B0e7944Ea8c9C1",
        "AwDknLN7SonixjDCHw/p/X2ZO0usx5+WAByo1adoGxTpsnWsJUBT9Wu28h//jsOklQ/565M4/SK2TzmIRuHLRi0d"
        "GwTmis/AJToQYg3/cGsKGx8fWDPqO+s73iJQ1fJx81Y2BmcuvEXgt+ougW7LcMoDE3sclHbuxj1GMumQAgt7b7o5"
        "AQABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4fAAEAAAAAAAAADgAAAAAAAAACDEFjdGlvbghFdmFsADEg"
        "KyAx",
    ),
    (
        "2Ra82jtMLrNC7BhIannyZ2eeqRyqObPHdHUr-p9hr2I",
        "Vkdap1RjR0wChd9dvyvKtz2mUTWIOem3dIGy6rEHcIw",
        "BADPaONdcJfUQgMZtfhS3tzzvUeAVEdjmJFoIAZ4G01IHGNDiQRyhLNyuErjyLLC1VlfrcrmtF1AcQ6rwrR78wQK"
        "A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbgBAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8A"
        "AQAAAAAAAAAOAAAAAAAAAAIMQWN0aW9uCEV2YWwAMSArIDE=",
    ),
]


@pytest.mark.versions
@pytest.mark.parametrize(("id", "address", "raw"), KNOWN, ids=["ed25519", "Ethereum", "Solana"])
def test_items_signed_elsewhere(id: str, address: str, raw: str) -> None:
    item = DataItem.parse(base64.b64decode(raw))
    assert item.verify()
    assert (item.id, item.owner_address) == (id, address)
    assert item.tags == tags_of([("Action", "Eval")])
    assert item.raw == base64.b64decode(raw)


def test_the_kinds_are_those_of_the_network() -> None:
    kinds = {number: (kind.name, kind.signature, kind.owner) for number, kind in KINDS.items()}
    assert kinds == {
        1: ("Arweave", 512, 512),
        2: ("ed25519", 64, 32),
        3: ("Ethereum", 65, 65),
        4: ("Solana", 64, 32),
    }
    assert not KINDS.keys() & REFUSED.keys()


@pytest.mark.parametrize("type", KINDS)
def test_a_signature_fits_its_message_and_its_owner_only(
    signers: dict[int, Signer], type: int
) -> None:
    signer, kind = signers[type], KINDS[type]
    signature = signer.sign(b"message")
    assert (len(signer.owner), len(signature)) == (kind.owner, kind.signature)
    assert kind.verify(signer.owner, b"message", signature)
    assert not kind.verify(signer.owner, b"another", signature)
    assert not kind.verify(signer.owner, b"", signature)
    other = signer.owner[:-1] + bytes([signer.owner[-1] ^ 2])
    assert not kind.verify(other, b"message", signature)


@pytest.mark.parametrize("type", KINDS)
def test_each_bit_of_a_signature_counts(signers: dict[int, Signer], type: int) -> None:
    signer = signers[type]
    signature = signer.sign(b"message")
    for at in {*range(0, len(signature), 8), len(signature) - 1}:
        for bit in range(8):
            changed = bytearray(signature)
            changed[at] ^= 1 << bit
            assert not KINDS[type].verify(signer.owner, b"message", bytes(changed)), (at, bit)


@pytest.mark.parametrize("type", KINDS)
def test_a_signature_of_another_length_is_none(signers: dict[int, Signer], type: int) -> None:
    signer = signers[type]
    signature = signer.sign(b"message")
    longer = (signature + b"\0", b"\0" + signature, signature[:-1] + b"\0" + signature[-1:])
    for changed in (signature[:-1], b"", *longer):
        assert not KINDS[type].verify(signer.owner, b"message", changed)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, N - 1), st.binary(max_size=60))
def test_ethereum_signatures_of_either_parity(secret: int, message: bytes) -> None:
    signer, verify = Ethereum(secret), KINDS[3].verify
    signature = signer.sign(message)
    assert verify(signer.owner, message, signature)
    r, s, v = signature[:32], int.from_bytes(signature[32:64], "big"), signature[64]
    for other_s, other_v in (
        *((s, 55 - v), (N - s, v), (N - s, 55 - v)),  # the other parity, the higher s
        *((s, v - 27), (s, v + 8), (0, v), (N, v)),
    ):
        changed = r + other_s.to_bytes(32, "big") + bytes([other_v])
        assert not verify(signer.owner, message, changed)


@pytest.mark.parametrize(("s", "taken"), [((N - 1) // 2, True), ((N + 1) // 2, False)])
def test_the_lower_half_of_s_ends_in_the_middle(s: int, taken: bool) -> None:
    """EIP-2, to the number. For any s a key can be found whose signature with k = 1 it is."""
    message = b"\x19Ethereum Signed Message:\n7message"
    digest = int.from_bytes(keccak.new(digest_bits=256, data=message).digest(), "big")
    point = ec.derive_private_key(1, ec.SECP256K1()).public_key().public_numbers()
    secret = (s - digest) * pow(point.x, -1, N) % N
    signature = point.x.to_bytes(32, "big") + s.to_bytes(32, "big") + bytes([27 + point.y % 2])
    assert KINDS[3].verify(Ethereum(secret).owner, b"message", signature) is taken


def test_an_ethereum_key_is_uncompressed() -> None:
    signer = Ethereum()
    signature = signer.sign(b"message")
    compressed = bytes([2 + signer.owner[-1] % 2]) + signer.owner[1:33]
    hybrid = bytes([6 + signer.owner[-1] % 2]) + signer.owner[1:]
    for owner in (compressed, compressed + bytes(32), hybrid, b"\0" * 65):
        assert not KINDS[3].verify(owner, b"message", signature)


@pytest.mark.parametrize("type", [2, 4])
def test_the_higher_half_of_an_ed25519_signature_is_refused(type: int) -> None:
    signer: Signer = Ed25519() if type == 2 else Solana()
    signature = signer.sign(b"message")
    higher = int.from_bytes(signature[32:], "little") + ORDER
    changed = signature[:32] + higher.to_bytes(32, "little")
    assert not KINDS[type].verify(signer.owner, b"message", changed)


# Ordinates of the points of order 1, 2, 4 and 8, the first ones also written beyond the field.
EIGHTH = 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD83D3D706A17C7
SMALL = (0, 1, P - 1, P, P + 1, EIGHTH, P - EIGHTH)


@pytest.mark.parametrize("y", SMALL)
@pytest.mark.parametrize("sign", [0, 1])
def test_ed25519_keys_of_small_order_sign_nothing(y: int, sign: int) -> None:
    owner = (y + (sign << 255)).to_bytes(32, "little")
    for point in SMALL:
        for bit in (0, 1):
            signature = (point + (bit << 255)).to_bytes(32, "little") + bytes(32)
            for message in (b"", b"a", b"b", b"c"):
                assert not KINDS[2].verify(owner, message, signature)


@settings(max_examples=80, deadline=None)
@given(
    st.sampled_from(sorted(KINDS)),
    st.binary(max_size=70) | st.binary(min_size=512, max_size=512),
    st.binary(max_size=20),
    st.binary(max_size=70) | st.binary(min_size=512, max_size=512),
)
def test_verify_never_raises(type: int, owner: bytes, message: bytes, signature: bytes) -> None:
    kind = KINDS[type]
    assert kind.verify(owner, message, signature) is False
    fitting = owner.ljust(kind.owner, b"\4")[: kind.owner]
    assert kind.verify(fitting, message, signature.ljust(kind.signature, b"\x1b")) is False
    assert kind.address(fitting)


@pytest.mark.versions
@pytest.mark.parametrize(
    ("owner", "address"),
    [
        (Ethereum().owner, "0x90F8bf6A479f320ead074411a4B0e7944Ea8c9C1"),
        (Ethereum(1).owner, "0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf"),
        (Ethereum(2).owner, "0x2B5AD5c4795c026514f8317c7a215E218DcCD6cF"),
    ],
)
def test_ethereum_addresses(owner: bytes, address: str) -> None:
    assert ethereum_address(owner) == address


@pytest.mark.parametrize("type", [1, 2, 4])
def test_other_addresses_are_digests(signers: dict[int, Signer], type: int) -> None:
    owner = signers[type].owner
    assert KINDS[type].address(owner) == b64url(hashlib.sha256(owner).digest())


def test_what_is_heavy_is_not_imported_before_it_is_needed() -> None:
    code = (
        "import aoshell.protocol.bundle, aoshell.protocol.stream, sys;"
        "print({'cryptography', 'Crypto'} & sys.modules.keys())"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"
