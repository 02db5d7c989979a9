"""`aoshell attest`, called and started by tests."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from amd import Sample
from attest_node import HASHES
from der_writer import NOW

from aoshell.nodes.remote.hyperbeam.evidence import ask
from aoshell.shell.attestation import command as attest_command

REPO = Path(__file__).parents[2]


@dataclass
class Said:
    code: int
    out: str
    err: str

    @property
    def value(self) -> Any:
        return json.loads(self.out)


class Command:
    """The command line, trusting a synthetic AMD."""

    def __init__(self, folder: Path, sample: Sample, capsys: Any) -> None:
        self.folder, self.sample, self.capsys = folder, sample, capsys
        kinds = {"vek": sample.vek, "chain": sample.chain, "crl": sample.crl}
        self.files = {kind: self.file(kind, content) for kind, content in kinds.items()}

    def file(self, name: str, content: bytes) -> str:
        path = self.folder / name
        path.write_bytes(content)
        return str(path)

    @property
    def collateral(self) -> list[str]:
        return [word for kind, file in self.files.items() for word in (f"--{kind}", file)]

    @property
    def policy(self) -> list[str]:
        return ["--policy", self.file("policy.toml", TRUSTED.encode())]

    def __call__(self, *words: str, roots: Mapping[str, str] | None = None) -> Said:
        arguments = [*words, "--at", str(NOW), "--offline"]
        code = attest_command.main(arguments, ask, test_roots=roots or self.sample.roots)
        out, err = self.capsys.readouterr()
        return Said(code, out, err)


TRUSTED = "[[trusted]]\nname = 'the image'\nhashes = {{ {} }}\n".format(
    ", ".join(f'{name} = "{HASHES[name]}"' for name in ("firmware", "kernel", "initrd", "append"))
)


def of(said: Said, name: str) -> Any:
    return next(one for one in said.value["checks"] if one["name"] == name)


def started(words: list[str], before: str = "") -> subprocess.CompletedProcess[str]:
    """The command in a process of its own.

    Args:
        before: code that runs first.
    """
    code = before + "import sys; from aoshell.cli import main; sys.exit(main())"
    return subprocess.run(
        [sys.executable, "-c", code, *words],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(REPO), *sys.path])},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
