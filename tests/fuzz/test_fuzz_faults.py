"""Faults of the kinds that programs have, each put into a small one, are found and shown."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from fuzzed import FAULTS, HOLDING, SEQUENCES, Fuzzing

from aoshell.blueprints import SHIPPED
from aoshell.testing.command import main as run_tests

# Program → what has to be found, and how many messages show it at the most.
FOUND = {
    "cron": ("invariant", "the pool owes nothing", 1),
    "double_spend": ("invariant", "nobody owes", 5),
    "endless": ("time", "Find", 1),
    "missing_owner_check": ("invariant", "only the owner sets the price", 1),
    "overflow": ("invariant", "what was given grows", 2),
    "raises": ("raises", "Close", 1),
    "replayed_notice": ("invariant", "an order is credited once", 2),
    "replayed_message": ("invariant", "the total is that of all orders", 2),
    "self_transfer": ("invariant", "there are fifty", 1),
    "type_confusion": ("invariant", "nobody owes", 2),
    "unanswered": ("answer", "Log", 1),
    "unbounded_growth": ("invariant", "the book has an end", 1),
}


MORE = {"cron": ("--tag", "Cron-Interval=5-minutes", "--tag", "Cron-Tag-Action=Cron")}


def copy(name: str, folder: Path) -> None:
    for file in FAULTS.glob(f"{name}.*"):
        shutil.copy(file, folder)


def test_each_fault_is_in_the_table() -> None:
    programs = {path.stem for path in FAULTS.glob("*.lua") if ".invariants" not in path.name}
    assert programs == set(FOUND)


@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize("name", FOUND)
def test_a_fault_is_found(name: str, fuzzing: Fuzzing) -> None:
    copy(name, fuzzing.folder)
    kind, about, most = FOUND[name]
    said = fuzzing.json(f"{name}.lua", "--for", "5m", *MORE.get(name, ()))
    found = said["found"]
    assert found is not None, said
    assert (found["kind"], found["about"]) == (kind, about)
    assert len(found["messages"]) <= most, found["messages"]
    # The test that it writes was run by the runner, on a whole node, and failed at the message.
    assert found["doubt"] == ""
    assert Path(found["test"]).name == f"{name}_fuzz_test.lua"


@pytest.mark.usefixtures("bounded")
def test_the_test_passes_once_the_fault_is_mended(fuzzing: Fuzzing) -> None:
    copy("missing_owner_check", fuzzing.folder)
    found = fuzzing.json("missing_owner_check.lua")["found"]
    assert run_tests([found["test"]]) == 1
    program = fuzzing.folder / "missing_owner_check.lua"
    text = program.read_text()
    mended = text.replace("  Price =", "  if msg.From ~= Owner then return end\n  Price =")
    assert mended != text
    program.write_text(mended)
    assert run_tests([found["test"]]) == 0
    fuzzing.capsys.readouterr()
    assert fuzzing.json("missing_owner_check.lua", "--for", "5m")["found"] is None


@pytest.mark.long
def test_a_fault_in_our_token_is_found(fuzzing: Fuzzing) -> None:
    text = (SHIPPED / "token.lua").read_text()
    faulty = text.replace(
        "  put(msg.From, balance_of(msg.From) - quantity)\n"
        "  put(recipient, balance_of(recipient) + quantity)\n",
        "  local mine, theirs = balance_of(msg.From), balance_of(recipient)\n"
        "  put(msg.From, mine - quantity)\n"
        "  put(recipient, theirs + quantity)\n",
    )
    assert faulty != text
    fuzzing.write("token.lua", faulty)
    shutil.copy(HOLDING / "token.lua", fuzzing.folder / "token.invariants.lua")
    found = fuzzing.json("token.lua")["found"]
    assert found["about"] == "the balances are the supply"
    assert len(found["messages"]) == 1
    assert found["doubt"] == ""


@pytest.mark.usefixtures("bounded")
@pytest.mark.parametrize(
    "loaded",
    [("token",), ("chatroom",), ("voting",), ("token", "staking"), ("token", "staking", "voting")],
    ids="-".join,
)
def test_no_fault_is_found_in_our_blueprints(loaded: tuple[str, ...], fuzzing: Fuzzing) -> None:
    first, *others = loaded
    more = [argument for name in others for argument in ("--load", name)]
    holding = ["--invariants", str(HOLDING / f"{loaded[-1]}.lua")]
    program = str(SHIPPED / f"{first}.lua")
    said = fuzzing.json(program, *more, *holding, "--for", "5m", "--out", "found_test.lua")
    assert said["found"] is None, json.dumps(said["found"], indent=1)
    assert said["messages"] > SEQUENCES
    assert said["invariants"]
