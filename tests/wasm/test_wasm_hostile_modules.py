"""Modules made to be slow to look at: the shell itself reads them, in bounded steps.

No time is measured: what is counted are the steps that cannot be walked by a regular expression.
"""

from __future__ import annotations

import pytest

from aoshell.sandbox.wasm import code, sections
from aoshell.sandbox.wasm.binary import ModuleError, describe_module

TYPE = b"\1\4\1\x60\0\0"


def leb(number: int) -> bytes:
    out = b""
    while number > 0x7F:
        out, number = out + bytes([number & 0x7F | 0x80]), number >> 7
    return out + bytes([number])


def module(bodies: list[bytes]) -> bytes:
    """A module of functions without parameters."""
    functions = leb(len(bodies)) + b"\0" * len(bodies)
    all_code = leb(len(bodies)) + b"".join(leb(len(body)) + body for body in bodies)
    parts = ((3, functions), (10, all_code))
    made = b"".join(bytes([number]) + leb(len(part)) + part for number, part in parts)
    return b"\0asm\1\0\0\0" + TYPE + made


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Instructions that were walked over one by one; there may be a hundred."""
    walked: list[int] = []
    skip = code.skip
    monkeypatch.setattr(code, "MAX_STOPS", 100)
    monkeypatch.setattr(code, "skip", lambda reader: (walked.append(reader.at), skip(reader)))
    return walked


@pytest.mark.parametrize(
    "instruction",
    [b"\x1c\1\x7f", b"\x0e\1\0\0", b"\x06\x40\x19\x0b"],
    ids=["select", "br_table", "try"],
)
def test_instructions_one_by_one_are_bounded(steps: list[int], instruction: bytes) -> None:
    try:
        told = describe_module(module([b"\0" + instruction * 10_000 + b"\x0b"]))
    except ModuleError as error:
        assert "too many jump tables" in str(error)
    else:
        assert told.moves_tables  # as far as anybody knows
    assert len(steps) < 300


def test_groups_of_locals_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sections, "MAX_GROUPS", 100)
    body = leb(30) + b"\0\x7f" * 30 + b"\x0b"
    describe_module(module([body] * 3))
    with pytest.raises(ModuleError, match="locals in too many groups"):
        describe_module(module([body] * 4))
