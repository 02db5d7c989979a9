"""A software TPM (swtpm) of a test's own, with a certificate authority of its own.

It is driven by tpm2-tools, which know nothing of aoshell: policies, names and quotes are theirs.
Everything lies in one folder, and the program ends with the `with` block.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from eventually import SECONDS
from tpm_writer import LogDraft

from aoshell.attest.tpm.credential import Credential

TOOLS = ("swtpm", "swtpm_setup", "swtpm_localca", "tpm2")
TIMEOUT = 60  # seconds for one command
EK_CERTIFICATES = {"L-1": "0x1c00002", "H-3": "0x1c00016"}
EK_HANDLES = {"L-1": "0x81010001", "H-3": "0x81010016"}
AK_ATTRIBUTES = "fixedtpm|fixedparent|sensitivedataorigin|adminwithpolicy|noda|restricted|sign"
CREDENTIAL_MAGIC = bytes.fromhex("badcc0de00000001")  # of files of tpm2-tools

_SETUP = """\
create_certs_tool = {localca}
create_certs_tool_config = {folder}/localca.conf
create_certs_tool_options = {folder}/localca.options
active_pcr_banks = sha256
"""
_AUTHORITY = """\
statedir = {folder}/ca
signingkey = {folder}/ca/signkey.pem
issuercert = {folder}/ca/issuercert.pem
certserial = {folder}/ca/certserial
"""
_MACHINE = """\
--platform-manufacturer aoshell
--platform-version 1.0
--platform-model test
"""


def missing_tools() -> str:
    """The reason why there is no software TPM here, "" if there is one."""
    missing = [tool for tool in TOOLS if not shutil.which(tool)]
    return f"no software TPM: {', '.join(missing)} not installed" if missing else ""


@dataclass(frozen=True)
class Key:
    """A key as the tools tell of it.

    Attributes:
        public: TPM2B_PUBLIC.
        name, qualified_name: as the TPM computed them.
    """

    public: bytes
    name: bytes
    qualified_name: bytes


class SoftwareTpm:
    """A TPM that was made new, and has just been started."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._pcrs = ""

    def __enter__(self) -> SoftwareTpm:
        with self._stack:
            # Not below the folder of the test: the path of a socket must be short.
            made = self._stack.enter_context(tempfile.TemporaryDirectory(prefix="tpm-"))
            self.folder = Path(made)
            self._make()
            self._start()
            self._stack = self._stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _make(self) -> None:
        for name in ("state", "ca"):
            (self.folder / name).mkdir()
        values = {"folder": self.folder, "localca": shutil.which("swtpm_localca")}
        for name, text in (
            ("setup.conf", _SETUP),
            ("localca.conf", _AUTHORITY),
            ("localca.options", _MACHINE),
        ):
            (self.folder / name).write_text(text.format(**values))
        self._run("swtpm_setup", "--tpm2", "--tpmstate", "state", "--create-ek-cert",
                  "--rsa-keysize", "2048", "--config", "setup.conf")  # fmt: skip

    def _start(self) -> None:
        """Starts the TPM, and waits until it answers."""
        path = self.folder / "socket"
        command = [
            "swtpm", "socket", "--tpm2", "--tpmstate", "dir=state",
            "--server", f"type=unixio,path={path}",
            "--ctrl", f"type=unixio,path={path}.ctrl",
            "--flags", "not-need-init,startup-clear",
        ]  # fmt: skip
        process = subprocess.Popen(command, cwd=self.folder, stderr=subprocess.DEVNULL)
        self._stack.callback(process.wait, TIMEOUT)
        self._stack.callback(process.terminate)
        end = time.monotonic() + SECONDS
        while not _listens(path):
            assert process.poll() is None and time.monotonic() < end, "swtpm does not start"
            time.sleep(0.005)
        self._environment = {**os.environ, "TPM2TOOLS_TCTI": f"swtpm:path={path}"}

    def _run(self, *command: str) -> str:
        environment = getattr(self, "_environment", None)
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )
        assert done.returncode == 0, f"{' '.join(command)}: {done.stdout}{done.stderr}"
        return done.stdout

    def tpm2(self, tool: str, *arguments: str) -> str:
        """Runs a tool; then nothing is left loaded in the TPM but sessions."""
        shown = self._run("tpm2", tool, *arguments)
        self._run("tpm2", "flushcontext", "--transient-object")
        return shown

    def read(self, name: str) -> bytes:
        return (self.folder / name).read_bytes()

    def versions(self) -> str:
        """What was used, for a record."""
        tpm = self._run("swtpm", "--version").split("version ")[1].split(",")[0]
        tools = re.search(r'version="([^"]*)"', self._run("tpm2", "--version"))
        assert tools
        return f"swtpm {tpm}, tpm2-tools {tools[1]}"

    def authorities(self) -> tuple[str, str]:
        """(root, issuer of EK certificates) as PEM."""
        root = self.read("ca/swtpm-localca-rootca-cert.pem")
        return root.decode(), self.read("ca/issuercert.pem").decode()

    def ek_certificate(self, template: str = "L-1") -> bytes:
        """DER, from the TPM's own memory."""
        self.tpm2("nvread", EK_CERTIFICATES[template], "-o", "ek.der")
        return self.read("ek.der")

    def key(self, context: str) -> Key:
        """A key by its handle or file."""
        shown = self.tpm2("readpublic", "-c", context, "-f", "tss", "-o", "public")
        found = dict(re.findall(r"^(name|qualified name): ([0-9a-f]+)$", shown, re.MULTILINE))
        names = (bytes.fromhex(found[name]) for name in ("name", "qualified name"))
        return Key(self.read("public"), *names)

    def ek(self, template: str = "L-1") -> Key:
        return self.key(EK_HANDLES[template])

    def extend(self, pcr: int, digest: bytes) -> None:
        self.tpm2("pcrextend", f"{pcr}:sha256={digest.hex()}")

    def boot(self, log: LogDraft, body_id: bytes) -> list[bytes]:
        """Extends what a log says, and what a node does at its start: returns the digests of PCR
        15."""
        for pcr, digest in log.extended:
            self.extend(pcr, digest)
        self.extend(10, hashlib.sha256(b"measured by IMA").digest())
        digests = [body_id, hashlib.sha256(log.write()).digest()]
        for digest in digests:
            self.extend(15, digest)
        return digests

    def pcr_values(self, pcrs: Sequence[int]) -> dict[int, bytes]:
        self.tpm2("pcrread", _selected(pcrs), "-o", "values", "-F", "values")
        values = self.read("values")
        return {pcr: values[32 * at : 32 * at + 32] for at, pcr in enumerate(sorted(pcrs))}

    def make_ak(
        self, pcrs: Sequence[int], attributes: str = AK_ATTRIBUTES, hierarchy: str = "e"
    ) -> Key:
        """An attestation key whose policy is over PCRs as they are now."""
        self._pcrs = _selected(pcrs)
        with _Session(self, "trial") as session:
            self.tpm2("policypcr", "-S", session, "-l", self._pcrs, "-L", "pcr.policy")
            self.tpm2("policycommandcode", "-S", session, "-L", "command.policy",
                      "TPM2_CC_ActivateCredential")  # fmt: skip
        with _Session(self, "trial") as session:
            self.tpm2("policyor", "-S", session, "-L", "ak.policy", _BRANCHES)
        self.tpm2("createprimary", "-C", hierarchy, "-G", "rsa2048:rsapss-sha256:null",
                  "-a", attributes, "-L", "ak.policy", "-c", "ak")  # fmt: skip
        return self.key("ak")

    def quote(self, nonce: bytes, pcrs: Sequence[int]) -> tuple[bytes, bytes]:
        """(TPMS_ATTEST, raw signature) by the attestation key."""
        with _Session(self, "policy") as session:
            self.tpm2("policypcr", "-S", session, "-l", self._pcrs)
            self.tpm2("policyor", "-S", session, _BRANCHES)
            self.tpm2("quote", "-c", "ak", "-p", f"session:{session}", "-l", _selected(pcrs),
                      "--scheme", "rsapss", "-g", "sha256", "-q", nonce.hex(),
                      "-m", "quoted", "-s", "signature", "-f", "plain")  # fmt: skip
        return self.read("quoted"), self.read("signature")

    def activate(self, credential: Credential, template: str = "L-1") -> bytes:
        """What a credential for that EK and the attestation key holds."""
        (self.folder / "credential").write_bytes(
            CREDENTIAL_MAGIC + credential.blob + credential.secret
        )
        with _Session(self, "policy") as ak, _Session(self, "policy") as ek:
            self.tpm2("policypcr", "-S", ak, "-l", self._pcrs)
            self.tpm2("policycommandcode", "-S", ak, "TPM2_CC_ActivateCredential")
            self.tpm2("policyor", "-S", ak, _BRANCHES)
            self.tpm2("policysecret", "-S", ek, "-c", "e")
            # Of the high range, an empty password will do.
            ek_auth = ["-P", f"session:{ek}"] if template == "L-1" else []
            self.tpm2("activatecredential", "-c", "ak", "-C", EK_HANDLES[template],
                      "-p", f"session:{ak}", *ek_auth,
                      "-i", "credential", "-o", "opened")  # fmt: skip
        return self.read("opened")


_BRANCHES = "sha256:pcr.policy,command.policy"


def _selected(pcrs: Sequence[int]) -> str:
    return "sha256:" + ",".join(map(str, sorted(pcrs)))


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as tried:
        return tried.connect_ex(str(path)) == 0


class _Session:
    """A session of the TPM, which ends with the `with` block. Its value is the file's name."""

    _made = 0

    def __init__(self, tpm: SoftwareTpm, kind: str) -> None:
        self._tpm = tpm
        self._kind = kind
        _Session._made += 1
        self._name = f"session-{_Session._made}"

    def __enter__(self) -> str:
        more = ["--policy-session"] if self._kind == "policy" else []
        self._tpm.tpm2("startauthsession", "-S", self._name, *more)
        return self._name

    def __exit__(self, *_: object) -> None:
        self._tpm.tpm2("flushcontext", self._name)
