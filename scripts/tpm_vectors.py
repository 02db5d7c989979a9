"""Records vectors of a software TPM: `scripts/tpm-vectors`. The README beside them says more.

Everything that a TPM computes comes from swtpm, driven by tpm2-tools. Only the form of the evidence
and the credentials for the TPM are ours. The stand-ins are those of tests/attest.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from simulated_tpm import NEWER, OLDER, evidence, recipient
from software_tpm import Key, SoftwareTpm, missing_tools
from tpm_writer import boot_log

from aoshell.attest.tpm.credential import make_credential
from aoshell.attest.tpm.runtime import LOG_TIP, SUBJECT
from aoshell.attest.tpm.structures import read_public
from aoshell.protocol.encoding import b64url

REPO = Path(__file__).resolve().parents[1]
FOLDER = REPO / "tests" / "attest" / "data" / "tpm"
WEAK_ATTRIBUTES = "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|sign"


def main() -> None:
    if missing := missing_tools():
        sys.exit(missing)
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, pcrs in (("older", OLDER), ("newer", NEWER)):
        with SoftwareTpm() as tpm:
            vector = record(tpm, name, pcrs)
        path = FOLDER / f"{name}.json"
        path.write_text(json.dumps(vector, indent=1) + "\n")
        print(f"{path}: {path.stat().st_size} bytes")


def record(tpm: SoftwareTpm, name: str, pcrs: Sequence[int]) -> dict[str, Any]:
    """A boot, two quotes of it, and the secrets that the TPM opened."""
    log, body_id = boot_log(), hashlib.sha256(f"the body of {name}".encode()).digest()
    digests = tpm.boot(log, body_id)
    ek, ak = tpm.ek(), tpm.make_ak(pcrs)
    areas = {"ek": read_public(ek.public), "ak": read_public(ak.public)}
    root, issuer = tpm.authorities()
    evidences = {}
    for which in ("boot", "fresh"):
        nonce = hashlib.sha256(f"{which} of {name}".encode()).digest()
        quoted, signature = tpm.quote(nonce, pcrs)
        evidences[which] = evidence(
            body_id=body_id,
            **areas,
            pcrs=pcrs,
            values=tpm.pcr_values(pcrs),
            nonce=nonce,
            quoted=quoted,
            signature=signature,
            log=log.write(),
            runtime=[*zip((SUBJECT, LOG_TIP), digests, strict=True)],
        ) | {"ek-cert-pem": pem(tpm.ek_certificate()), "ek-cert-chain-pem": issuer}
    return {
        "made-by": tpm.versions(),
        "at": int(time.time()),
        "root": root,
        "body-id": b64url(body_id),
        "keys": {"ek": told(ek), "ak": told(ak)},
        **evidences,
        "recipient": recipient(areas["ek"], areas["ak"], pcrs),
        "opened": [opened(tpm, template, ak) for template in ("L-1", "H-3")],
        "certificate-of-H-3": pem(tpm.ek_certificate("H-3")),
        "weak-ak": told(tpm.make_ak(pcrs, WEAK_ATTRIBUTES)),
        "owner-ak": told(tpm.make_ak(pcrs, hierarchy="o")),
    }


def opened(tpm: SoftwareTpm, template: str, ak: Key) -> dict[str, str]:
    """A credential of ours, and the secret that the TPM opened."""
    ek = tpm.ek(template)
    challenge = hashlib.sha256(f"a challenge for {template}".encode()).digest()
    credential = make_credential(read_public(ek.public), ak.name, challenge)
    found = tpm.activate(credential, template)
    if found != challenge:
        sys.exit(f"the TPM opened {found.hex()}, not {challenge.hex()}")
    return {
        "template": template,
        "ek": b64url(ek.public),
        "ek-name": b64url(ek.name),
        "ek-qualified-name": b64url(ek.qualified_name),
        "challenge": b64url(challenge),
        "blob": b64url(credential.blob),
        "secret": b64url(credential.secret),
        "opened": b64url(found),
    }


def told(key: Key) -> dict[str, str]:
    """A key as the TPM reports it."""
    return {
        "public": b64url(key.public),
        "name": b64url(key.name),
        "qualified-name": b64url(key.qualified_name),
    }


def pem(certificate: bytes) -> str:
    from cryptography.hazmat.primitives.serialization import Encoding
    from cryptography.x509 import load_der_x509_certificate

    return load_der_x509_certificate(certificate).public_bytes(Encoding.PEM).decode()


if __name__ == "__main__":
    main()
