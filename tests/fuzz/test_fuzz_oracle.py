"""What the oracle reads of an error takes time that grows with the length of the error."""

from __future__ import annotations

import time

import pytest

from aoshell.fuzz.oracle import FuzzVerdict, reason_of


@pytest.mark.parametrize("unit", ["y", "y:", "1:", ":1"])
def test_an_error_that_is_long_is_judged_soon(unit: str) -> None:
    verdict = FuzzVerdict("raises", "add", unit * (300_000 // len(unit)))
    before = time.process_time()
    assert verdict.same[0] == verdict.fault("add")[0] == "raises"
    assert time.process_time() - before < 2


def test_a_place_is_found_after_other_words() -> None:
    verdict = FuzzVerdict("raises", "add", "it said no: token.lua:12: attempt to index nil")
    assert verdict.same == ("raises", "add", "token.lua:12: ")
    assert verdict.fault("add")[1] == "add token.lua:12"


def test_the_places_that_aos_adds_are_left_out_soon() -> None:
    added = '[string "aos"]:1: '
    assert reason_of(f"{added * 3}token.lua:12: no") == "token.lua:12: no"
    assert reason_of(f"{added}no") == f"{added}no"  # the script's own
    before = time.process_time()
    assert reason_of(added * 20_000) == added * 20_000
    assert time.process_time() - before < 2
