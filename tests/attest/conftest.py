"""The synthetic AMD and the keys of simulated TPMs, made once a session; vectors of a TPM."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from amd import Amd, Line, Sample
from attest_command import Command
from attest_node import SimulatedNode
from cryptography.hazmat.primitives.asymmetric import rsa
from ek import Maker
from envelope_node import SnpNode, TpmNode
from rsa_keys import RepeatingWallet, RsaKeys
from simulated_tpm import SimulatedTpm

from aoshell.protocol.wallet import Wallet


@pytest.fixture(scope="session")
def amd(rsa_keys: RsaKeys) -> Amd:
    return Amd([rsa_keys.key(number) for number in range(2, 6)])


@pytest.fixture(scope="session")
def milan(amd: Amd) -> Line:
    return amd.milan


@pytest.fixture(scope="session")
def good(milan: Line) -> Sample:
    """A report that passes."""
    return milan.sample()


@pytest.fixture(scope="session")
def wallet(rsa_keys: RsaKeys) -> Wallet:
    """That of the node."""
    return RepeatingWallet(rsa_keys.wallet(0).numbers)


@pytest.fixture(scope="session")
def attacker(other_wallet: Wallet) -> Wallet:
    return other_wallet


@pytest.fixture(scope="session")
def generate_node(wallet: Wallet, milan: Line) -> SimulatedNode:
    """A node with `~snp@1.0/generate` whose evidence passes."""
    return SimulatedNode(wallet, milan)


@pytest.fixture
def command(
    aoshell_home: Path, generate_node: SimulatedNode, capsys: pytest.CaptureFixture[str]
) -> Command:
    """`aoshell attest` with files for that node, in a home that is not made yet."""
    folder = aoshell_home.parent / "files"
    folder.mkdir()
    return Command(folder, generate_node.sample, capsys)


@pytest.fixture(scope="session")
def maker() -> Maker:
    return Maker()


@pytest.fixture
def snp_node(wallet: Wallet, milan: Line) -> SnpNode:
    """A node in an SEV-SNP guest whose evidence passes."""
    return SnpNode(wallet=wallet, line=milan)


@pytest.fixture
def tpm_node(
    wallet: Wallet, maker: Maker, tpm_keys: tuple[rsa.RSAPrivateKey, rsa.RSAPrivateKey]
) -> TpmNode:
    """A node with a TPM whose evidence passes."""
    return TpmNode(wallet=wallet, maker=maker, ak_key=tpm_keys[1])


@pytest.fixture(params=["snp_node", "tpm_node"])
def measured_node(request: pytest.FixtureRequest) -> SnpNode | TpmNode:
    """Each of these in turn."""
    found: SnpNode | TpmNode = request.getfixturevalue(request.param)
    return found


@pytest.fixture(scope="session")
def tpm_keys() -> tuple[rsa.RSAPrivateKey, rsa.RSAPrivateKey]:
    """Of an endorsement key and of an attestation key."""
    first, second = (rsa.generate_private_key(65537, 2048) for _ in range(2))
    return first, second


@pytest.fixture(scope="session")
def make_tpm(
    tpm_keys: tuple[rsa.RSAPrivateKey, rsa.RSAPrivateKey],
) -> Callable[..., SimulatedTpm]:
    """Makes a TPM that has booted; arguments are fields of SimulatedTpm."""

    def make(**fields: Any) -> SimulatedTpm:
        return SimulatedTpm(**{"ek_key": tpm_keys[0], "ak_key": tpm_keys[1]} | fields)

    return make


@pytest.fixture
def tpm(make_tpm: Callable[..., SimulatedTpm]) -> SimulatedTpm:
    return make_tpm()


@pytest.fixture(scope="session", params=["older", "newer"])
def vector(request: pytest.FixtureRequest) -> dict[str, Any]:
    """What a software TPM made: data/tpm/README.md."""
    path = Path(__file__).parent / "data" / "tpm" / f"{request.param}.json"
    found: dict[str, Any] = json.loads(path.read_text())
    return found
