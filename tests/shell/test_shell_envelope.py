"""`.attest` and attested results on nodes with `~measurement@1.0`, over real HTTP."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

sys.path.extend(str(Path(__file__).parents[1] / room) for room in ("attest", "nodes"))

from amd import Line
from attested_shell import Guest, There, opened
from cryptography.hazmat.primitives.asymmetric import rsa
from ek import Maker
from envelope_node import MEASUREMENT, EnvelopeNode, SnpNode, TpmNode
from rsa_keys import RsaKeys
from shell_session import failed, printed, replied
from tpm_writer import boot_log

from aoshell.attest.x509 import material
from aoshell.home.folders import Settings
from aoshell.protocol.encoding import b64url
from aoshell.protocol.wallet import Wallet
from aoshell.shell.attestation.pins import Trusted
from aoshell.shell.lines.run import run_line

Body = Callable[[There], Awaitable[None]]


@pytest.fixture(scope="module")
def tpm(wallet: Wallet) -> TpmNode:
    return TpmNode(wallet=wallet, maker=Maker(), ak_key=rsa.generate_private_key(65537, 2048))


@pytest.fixture(scope="module")
def snp_(wallet: Wallet, rsa_keys: RsaKeys) -> SnpNode:
    ark, ask = rsa_keys.key(2), rsa_keys.key(3)
    return SnpNode(wallet=wallet, line=Line("Milan", ark, ask, ask))


def run(guest: EnvelopeNode, home: Settings, body: Body) -> None:
    async def whole() -> None:
        server = Guest(guest.wallet, sign_all=True)
        server.guest = guest
        async with opened(server, home) as at, asyncio.timeout(60):
            await body(at)

    asyncio.run(whole())


def without_revocation(home: Settings) -> None:
    home.config.mkdir(parents=True, exist_ok=True)
    (home.config / "attest.toml").write_text("ek_revocation = false\n")


def test_a_tpm_from_unknown_software_to_attested_results(tpm: TpmNode, home: Settings) -> None:
    without_revocation(home)

    async def body(at: There) -> None:
        found = await at.attest()
        assert not found.ok and "(SOFTWARE_UNKNOWN)" in found.text
        assert at.node.pin is None
        assert printed(await run_line(at.session, ".trust my machine")).startswith(
            f"my machine is trusted: {tpm.image.efi[0].hex()}"
        )
        (named,) = Trusted(home).images()
        assert (named.efi, named.pcr11) == (tpm.image.efi, tpm.image.pcr11)
        found = await at.attest()
        assert found.ok and found.text.startswith("PASS: a genuine TPM (INTC) vouches that")
        value: Any = found.value
        assert (value["kind"], value["freshness"]) == ("tpm", "nonce")
        assert value["tpm"]["programs"] == [one.hex() for one in tpm.image.efi]
        assert at.node.pin.address == tpm.wallet.address
        replied(await run_line(at.session, ".verify attested"))
        await at.attach()
        assert at.session.attestation.startswith("attested ")

    run(tpm, home, body)


def test_a_tpm_that_booted_something_else_is_loud(tpm: TpmNode, home: Settings) -> None:
    without_revocation(home)

    async def body(at: There) -> None:
        await at.pass_()
        at.server.become(tpm.but(parts={"log": boot_log(programs=[b"another image"])}))
        found = await at.attest()
        assert not found.ok and "(SOFTWARE_UNTRUSTED)" in found.text
        assert "CHANGED SINCE IT WAS ATTESTED LAST: the measurement was" in found.note
        assert at.node.pin is None and at.session.attestation == "FAIL"

    run(tpm, home, body)


def test_firmware_alone_is_not_the_software(snp_: SnpNode, home: Settings) -> None:
    sample = snp_.sample()
    ark, ask = material.read_der_values(sample.chain, "chain")
    came = {"vcek": sample.vek, "ask": ask, "ark": ark, "crl": sample.crl}
    enclosed = {kind: {"type": kind, "data": b64url(der)} for kind, der in came.items()}

    async def body(at: There) -> None:
        at.server.become(snp_.but(evidence_=lambda e, _: e | {"certificates": enclosed}))
        found = await at.attest()
        assert not found.ok and "(SOFTWARE_UNKNOWN)" in found.text, found.text
        replied(await run_line(at.session, ".trust my firmware"))
        found = await at.attest()
        assert "its measurement covers the firmware" in found.text and not found.ok
        assert ".trust --covers-os NAME" in found.text.splitlines()[-1]
        replied(await run_line(at.session, ".trust --covers-os my image"))
        assert [one.covers_os for one in Trusted(home).images()] == [False, True]
        assert Trusted(home).images()[1].measurement == MEASUREMENT
        found = await at.attest()
        assert found.ok and "launched from my image" in found.text

    run(snp_, home, body)


def test_only_the_kind_that_was_asked_for(tpm: TpmNode, home: Settings) -> None:
    async def body(at: There) -> None:
        with pytest.raises(Exception, match="not of the kind snp"):
            await at.attest("--offline --kind snp")
        wrong = failed(await run_line(at.session, ".attest --kind none"))
        for words in ('""', '--save ""', '--kind ""', "--save"):
            assert ".help attest" in failed(await run_line(at.session, f".attest {words}")).hint
        assert "none is no kind of evidence" in wrong.what and "--kind report" in wrong.hint

    run(tpm, home, body)


def test_what_nodes_offer(tpm: TpmNode, home: Settings) -> None:
    async def body(at: There) -> None:
        found = replied(await run_line(at.session, f".nodes --tee {at.server.url}"))
        value: Any = found.value
        assert value[0]["offered"] and value[0]["what"] == "an envelope of tpm@2.0a"

    run(tpm, home, body)
