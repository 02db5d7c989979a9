"""The examples of docs/protocol.md run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs/protocol.md"


def test_the_examples_run(monkeypatch: pytest.MonkeyPatch, wallet: object) -> None:
    monkeypatch.setattr("aoshell.protocol.wallet.Wallet.generate", lambda: wallet)
    blocks = re.findall(r"```python\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) == 2
    names: dict[str, object] = {}
    for block in blocks:
        exec(block, names)
