"""Genuine quotes and boot logs, where the folder of shared data has them."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from tpm_writer import public_area

from aoshell.attest.errors import EvidenceError
from aoshell.attest.tpm import quote as quotes
from aoshell.attest.tpm.eventlog import check_replay, read_event_log
from aoshell.attest.tpm.keys import check_ak_template
from aoshell.attest.tpm.runtime import RuntimeEvent, check_runtime, replay_runtime
from aoshell.attest.tpm.secureboot import read_programs, read_secure_boot
from aoshell.attest.tpm.structures import (
    RSAPSS,
    SHA256,
    PublicArea,
    attribute_bits,
    qualified_name,
    read_quote,
)
from aoshell.protocol.encoding import unb64url

# As their authors publish them: google/go-tpm-tools, server/eventlog_test.go (Apache-2.0).
PUBLISHED = {
    "go-tpm-tools-ubuntu-2404-amd-sevsnp.bin": {
        0: "50597a27846e91d025eef597abbc89f72bff9af849094db97b0684d8bc4c515e",
        1: "57344e1cc8c6619413df33013a7cd67915459f967395af41db21c1fa7ca9c307",
        4: "abe8b3fa6aecb36c2fd93c6f6edde661c21b353d007410a2739d69bfa7e1b9be",
        5: "0b0e1903aeb1bff649b82dba2cdcf5c4ffb75027e54f151ab00b3b989f16a300",
        7: "33ad69850fb2c7f30b4f8b4bc10ed93fc954dc07fa726e84f50f3d192dc1c140",
        8: "6932a3f71dc55ad3c1a6ac2196eeac26a1b7164b6bbfa106625d94088ec3ecc3",
        9: "ce08798b283c7a0ddc5e9ad1d602304b945b741fc60c20e254eafa0f4782512b",
    },
    "go-tpm-tools-arch-linux-workstation.bin": {
        0: "758b773d94feabf52ef5a4c00a7ad2c80d8d6e6d9d58756150be9bc973da9087",
        1: "bfda688a5d320123fddb3fc70b746bc17647e2e7f2f96e130d429542bf4622d5",
        4: "925d453d3dfef4ac0c72c957402163d45fa95d05e6d53f047263a3a60b598325",
        5: "202522f005ef625588bb7c9e21335ba96a63c5086306138885b3bb2c381730ca",
        7: "3b4a4db44b7a872524055364e62e897ae678e0d47ab0809f65c3a4ed77f66ab9",
        8: "47591b43af431963eaeb5238a5c42eda1eb0014c27f7de7ae483066a2d2a2e61",
    },
}
SECURE_BOOT = {  # sizes of PK, KEK, db, dbx; Secure Boot is off in all three
    "go-tpm-tools-ubuntu-2404-amd-sevsnp.bin": (1, 1, 2, 371),
    "go-tpm-tools-arch-linux-workstation.bin": (1, 2, 12, 77),
    "go-attestation-crypto_agile_eventlog.bin": (1, 1, 3, 77),
}


@pytest.fixture(scope="module")
def samples(shared: Path) -> Path:
    folder = shared / "measurement"
    if not folder.is_dir():
        pytest.skip(f"no {folder}")
    return folder


@pytest.fixture(scope="module")
def older(samples: Path) -> dict[str, Any]:
    """An envelope before ~measurement@1.0, of a software TPM in a real guest."""
    path = samples / "lapee-0.4-swtpm-core.json"
    if not path.is_file():
        pytest.skip(f"no {path}")
    members: dict[str, Any] = json.loads(path.read_text())
    return members


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_pcrs(samples: Path, name: str) -> None:
    log = read_event_log((samples / name).read_bytes())
    values = {pcr: bytes.fromhex(value) for pcr, value in PUBLISHED[name].items()}
    assert check_replay(log, values) == tuple(values)


@pytest.mark.parametrize("name", SECURE_BOOT)
def test_secure_boot_of_real_machines(samples: Path, name: str) -> None:
    data = (samples / name).read_bytes()
    log = read_event_log(data)
    found = read_secure_boot(log)
    assert not found.enabled
    assert tuple(len(entries) for entries in found.lists.values()) == SECURE_BOOT[name]
    assert len(read_programs(log)) == 2
    for more in (data + b"\0", data[:-1]):
        with pytest.raises(EvidenceError) as raised:
            read_event_log(more)
        assert raised.value.error == "EVENT_LOG_MALFORMED"


def area_of(members: dict[str, Any]) -> PublicArea:
    """That generation sends no public area. This one has the name that the quote tells."""
    key = load_pem_public_key(members["ak-pub-pem"].encode())
    assert isinstance(key, RSAPublicKey)
    attributes = attribute_bits(
        *("fixedTPM", "fixedParent", "sensitiveDataOrigin", "userWithAuth", "restricted", "sign")
    )
    return PublicArea.parse(public_area(key, attributes, scheme=(RSAPSS, SHA256)))


def test_a_quote_of_an_older_node(older: dict[str, Any]) -> None:
    told = older["tpm-quote"]
    quoted, signature = unb64url(told["quoted"]), unb64url(told["signature"])
    values = {
        int(pcr): unb64url(value) for pcr, value in told["pcr-values"].items() if pcr.isdigit()
    }
    area = area_of(older)
    quotes.check_signature(quoted, signature, area)
    quote = read_quote(quoted)
    quotes.check_signer(quote, qualified_name(area.name))
    quotes.check_nonce(quote, unb64url(told["nonce"]))
    assert quotes.check_selection(quote, told["pcr-selection"]) == quotes.POLICY_SETS[0]
    quotes.check_digest(quote, values)
    assert quote.firmware_version == older["tpm-properties"]["firmware-version-u64"]
    for error, check in {
        "AK_POLICY_EMPTY": lambda: quotes.check_policy(area, quotes.POLICY_SETS[0], values),
        "AK_ATTRIBUTES": lambda: check_ak_template(area),
    }.items():
        with pytest.raises(EvidenceError) as raised:
            check()
        assert raised.value.error == error


def test_the_logs_of_an_older_node(older: dict[str, Any]) -> None:
    values = {
        int(pcr): unb64url(value)
        for pcr, value in older["tpm-quote"]["pcr-values"].items()
        if pcr.isdigit()
    }
    data = unb64url(older["tcg-event-log"])
    log = read_event_log(data)
    assert len(log.events) == 41
    assert check_replay(log, values) == (0, 1, 7, 11)  # nothing was extended into PCR 14
    found = read_secure_boot(log)
    assert not found.enabled and not any(found.lists.values())
    assert len(read_programs(log)) == 2
    events = [
        RuntimeEvent(one["seq"], one["pcr"], one["event-type"], unb64url(one["digest"]))
        for one in older["runtime-event-log"]
    ]
    assert replay_runtime(events) == values[15]
    assert events[1].digest == hashlib.sha256(older["ak-pub-pem"].encode()).digest()
    assert events[2].digest == hashlib.sha256(data).digest()
    with pytest.raises(EvidenceError) as raised:
        check_runtime(events, values[15], events[0].digest, data)
    assert raised.value.error == "PCR15_SUBJECT"


def test_a_tpm_that_quotes_sha_1(samples: Path) -> None:
    """An AK that signs by another scheme and a quote of the SHA-1 bank: read, and refused."""
    told = json.loads((samples / "go-attestation-windows_gcp_shielded_vm.json").read_text())
    area = PublicArea.parse(base64.b64decode(told["AK"]["Public"]))
    with pytest.raises(EvidenceError) as raised:
        check_ak_template(area)
    assert raised.value.error == "AK_ATTRIBUTES"
    quote = read_quote(base64.b64decode(told["Quote"]["Quote"]))
    assert quote.qualified_signer != qualified_name(area.name)  # below another key
    with pytest.raises(EvidenceError) as raised:
        quotes.check_selection(quote, range(24))
    assert raised.value.error == "QUOTE_BANK"
    created = base64.b64decode(told["AK"]["CreateAttestation"])
    assert area.name in created  # as that TPM computed it
    with pytest.raises(EvidenceError) as raised:
        read_quote(created)
    assert raised.value.error == "QUOTE_TYPE"
    with pytest.raises(EvidenceError) as raised:
        read_event_log(base64.b64decode(told["Log"]["Raw"]))
    assert raised.value.error == "EVENT_LOG_MALFORMED"
