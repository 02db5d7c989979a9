"""docs/attest.md has every check, error and key of the policy."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

from aoshell.attest.kinds import KIND_NAMES, Kind
from aoshell.attest.policy import MILAN_FLOOR, Policy, load_policy
from aoshell.attest.report import GUEST_BITS, PLATFORM_BITS
from aoshell.attest.verify import all_checks

PAGE = (Path(__file__).parents[2] / "docs" / "attest.md").read_text(encoding="utf-8")


KINDS = (Kind.REPORT, Kind.GENERATE, Kind.SNP, Kind.TPM)


def test_checks() -> None:
    row = r"^\| (\d+) \| `([a-z-]+)` \| (.) \| (.) \| (.) \| (.) \| [^|]+ \| ([A-Z0-9_ ]+) \|$"
    assert re.findall(row, PAGE, re.MULTILINE) == [
        (
            str(one.number),
            one.name,
            *("●" if kind in one.kinds else " " for kind in KINDS),
            " ".join(one.errors),
        )
        for one in all_checks()
    ]


def test_kinds() -> None:
    table = PAGE.split("## The kinds of evidence")[1].split("## What PASS means")[0]
    assert {*re.findall(r"^\| `([a-z]+)` \|", table, re.MULTILINE)} == {*KIND_NAMES}


def test_policy() -> None:
    section = PAGE.split("## The policy file")[1].split("## Offline")[0]
    named = {
        name
        for row in re.findall(r"^\| (`.+?`) \|", section, re.MULTILINE)
        for name in re.findall(r"`(\w+)`", row)
    }
    assert named == {one.name for one in fields(Policy)}
    for name in (*GUEST_BITS, *PLATFORM_BITS):
        assert f"`{name}`" in section or name in ("debug", "migration")
    assert ", ".join(map(str, MILAN_FLOOR.values())) in section


def test_the_example_is_a_policy() -> None:
    example = re.search(r"```toml\n(.+?)```", PAGE, re.DOTALL)
    assert example
    filled = example[1].replace('measurement = "…"', f'measurement = "{"ab" * 48}"')
    filled = filled.replace('firmware = "…"', f'firmware = "{"ab" * 48}"')
    filled = filled.replace('"…"', f'"{"ab" * 32}"')
    policy = load_policy(filled.encode())
    assert policy.trusted[0].name == "my build of 3 March"
