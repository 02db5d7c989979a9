"""Each flag that a page gives to aoshell is one that the command takes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from documented import PAGES, REPO

from aoshell.commandline.table import forms

_CALL = re.compile(r"(?<![\w/.-])aoshell ((?:[^`\n#|;]|\\\n)+)")
_FLAG = re.compile(r"(?<![\w-])--[a-z][\w-]*")
_CODE = re.compile(r"```.*?```|`[^`\n]+`", re.DOTALL)
# A command takes the flags that are shown for it in one of these, and no page has others.
FLAGS = {form.words: {name for flag in form.flags for name in flag.names} for form in forms()}


def calls(page: Path) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Each call of aoshell in code, and the words that choose its command."""
    for code in _CODE.findall(page.read_text(encoding="utf-8")):
        for match in _CALL.finditer(code):
            words = tuple(match[1].split())
            yield match[1], max((form for form in FLAGS if words[: len(form)] == form), key=len)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_flags_exist(page: Path) -> None:
    wrong = [
        (call, flag)
        for call, form in calls(page)
        for flag in _FLAG.findall(call.partition(" -- ")[0])
        if flag not in FLAGS[form]
    ]
    assert not wrong


def test_calls_are_found() -> None:
    assert sum(len(list(calls(page))) for page in PAGES) > 60
    found = dict(calls(REPO / "docs" / "attest.md"))
    assert ("attest", "measure") in found.values()
